package order_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
)

var (
	orderID  = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	dosa     = uuid.MustParse("0190b5a0-0000-7000-8000-000000000001")
	chai     = uuid.MustParse("0190b5a0-0000-7000-8000-000000000002")
	soldOut  = uuid.MustParse("0190b5a0-0000-7000-8000-000000000003")
	archived = uuid.MustParse("0190b5a0-0000-7000-8000-000000000004")
	rupees   = uuid.MustParse("0190b5a0-0000-7000-8000-000000000005")
	unknown  = uuid.MustParse("0190b5a0-0000-7000-8000-000000000006")

	onMenu = map[uuid.UUID]menu.Product{
		dosa:     {ID: dosa, Name: "Dosa", Price: 450, Currency: "EUR", Available: true, Version: 1},
		chai:     {ID: chai, Name: "Chai", Price: 120, Currency: "EUR", Available: true, Version: 3},
		soldOut:  {ID: soldOut, Name: "Idli", Price: 100, Currency: "EUR", Version: 1},
		archived: {ID: archived, Name: "Vada", Price: 100, Currency: "EUR", Archived: true, Version: 2},
		rupees:   {ID: rupees, Name: "Thali", Price: 100, Currency: "INR", Available: true, Version: 1},
	}
)

func asked(items ...order.PlaceItem) order.Place {
	return order.Place{
		OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
		Items: items, DeliveryAddress: "1 Main St", PaymentMethod: "cod", Note: "hot",
	}
}

func place(cmd order.Place) decision {
	return func(o order.Order) ([]domain.Event, error) { return o.Place(cmd, onMenu, nil) }
}

func TestPlacingTakesNamesAndPricesFromTheMenu(t *testing.T) {
	t.Parallel()
	cmd := asked(order.PlaceItem{Product: dosa, Quantity: 2}, order.PlaceItem{Product: chai, Quantity: 1}, order.PlaceItem{Product: dosa, Quantity: 1})
	given(t).When(place(cmd)).Then(order.Placed{
		OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
		Items: []order.Item{
			{Product: dosa, Name: "Dosa", Quantity: 2, UnitPrice: 450, Total: 900},
			{Product: chai, Name: "Chai", Quantity: 1, UnitPrice: 120, Total: 120},
			{Product: dosa, Name: "Dosa", Quantity: 1, UnitPrice: 450, Total: 450},
		},
		Subtotal: 1470, TotalAmount: 1470, Currency: "EUR",
		DeliveryAddress: "1 Main St", PaymentMethod: "cod", Note: "hot",
	})
}

func TestPlacingRefusesWhatTheMenuHasNot(t *testing.T) {
	t.Parallel()
	for product, code := range map[uuid.UUID]domain.Code{
		unknown:  domain.CodeNotFound,
		soldOut:  domain.CodeProductUnavailable,
		archived: domain.CodeProductUnavailable,
		rupees:   domain.CodeInvalidRequest,
	} {
		cmd := asked(order.PlaceItem{Product: dosa, Quantity: 1}, order.PlaceItem{Product: product, Quantity: 1})
		refusal := given(t).When(place(cmd)).ThenError(code)
		if refusal.Details["field"] != "items[1].product" || refusal.Details["index"] != 1 {
			t.Errorf("the refusal of %s does not say which line: %+v", product, refusal)
		}
	}
}

func TestPlacingIsBounded(t *testing.T) {
	t.Parallel()
	line := order.PlaceItem{Product: dosa, Quantity: 1}
	hundred := make([]order.PlaceItem, order.MaxItems)
	for i := range hundred {
		hundred[i] = order.PlaceItem{Product: dosa, Quantity: order.MaxQuantity}
	}
	if _, err := (order.Order{}).Place(asked(hundred...), onMenu, nil); err != nil {
		t.Errorf("the largest order was refused: %v", err)
	}
	for name, c := range map[string]struct {
		field  string
		change func(*order.Place)
	}{
		"no lines":          {"items", func(c *order.Place) { c.Items = nil }},
		"too many lines":    {"items", func(c *order.Place) { c.Items = append(hundred, line) }},
		"quantity 0":        {"items[0].quantity", func(c *order.Place) { c.Items[0].Quantity = 0 }},
		"negative quantity": {"items[0].quantity", func(c *order.Place) { c.Items[0].Quantity = -1 }},
		"quantity 1000":     {"items[1].quantity", func(c *order.Place) { c.Items = append(c.Items, order.PlaceItem{Product: dosa, Quantity: 1000}) }},
		"no address":        {"deliveryAddress", func(c *order.Place) { c.DeliveryAddress = "" }},
		"blank address":     {"deliveryAddress", func(c *order.Place) { c.DeliveryAddress = " \n" }},
		"long address":      {"deliveryAddress", func(c *order.Place) { c.DeliveryAddress = strings.Repeat("é", 501) }},
		"NUL in address":    {"deliveryAddress", func(c *order.Place) { c.DeliveryAddress = "1\x00" }},
		"long note":         {"note", func(c *order.Place) { c.Note = strings.Repeat("é", 501) }},
		"no payment method": {"paymentMethod", func(c *order.Place) { c.PaymentMethod = "" }},
		"another one":       {"paymentMethod", func(c *order.Place) { c.PaymentMethod = "gold" }},
		"long name":         {"customerName", func(c *order.Place) { c.CustomerName = strings.Repeat("é", 201) }},
		"long user id":      {"customerId", func(c *order.Place) { c.CustomerID = strings.Repeat("é", 129) }},
		"long offer code":   {"offerCode", func(c *order.Place) { c.OfferCode = strings.Repeat("é", 65) }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cmd := asked(line)
			c.change(&cmd)
			given(t).When(place(cmd)).ThenInvalid(c.field)
		})
	}
	given(t, placed).When(place(asked(line))).ThenError(domain.CodeVersionConflict)
}

func TestAnAmountThatCannotBeReckonedIsRefused(t *testing.T) {
	t.Parallel()
	dear := map[uuid.UUID]menu.Product{dosa: {ID: dosa, Name: "Dosa", Price: 1 << 62, Currency: "EUR", Available: true, Version: 1}}
	for _, items := range [][]order.PlaceItem{
		{{Product: dosa, Quantity: 2}},
		{{Product: dosa, Quantity: 1}, {Product: dosa, Quantity: 1}},
	} {
		domaintest.Given[order.Order](t).When(func(o order.Order) ([]domain.Event, error) {
			return o.Place(asked(items...), dear, nil)
		}).ThenInvalid("items")
	}
}

func TestAnOfferTakesItsDiscountOff(t *testing.T) {
	t.Parallel()
	cmd := asked(order.PlaceItem{Product: dosa, Quantity: 2})
	cmd.OfferCode = "TEN"
	with := func(discount func(domain.Money) (int64, error)) decision {
		return func(o order.Order) ([]domain.Event, error) { return o.Place(cmd, onMenu, discount) }
	}
	for _, off := range []int64{0, 90, 900} {
		want := order.Placed{
			OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
			Items:    []order.Item{{Product: dosa, Name: "Dosa", Quantity: 2, UnitPrice: 450, Total: 900}},
			Subtotal: 900, Discount: off, TotalAmount: 900 - off, Currency: "EUR", OfferCode: "TEN",
			DeliveryAddress: "1 Main St", PaymentMethod: "cod", Note: "hot",
		}
		given(t).When(with(func(subtotal domain.Money) (int64, error) {
			if subtotal != (domain.Money{Amount: 900, Currency: "EUR"}) {
				t.Errorf("the discount is reckoned on %+v", subtotal)
			}
			return off, nil
		})).Then(want)
	}
	for _, off := range []int64{-1, 901} {
		if events, err := with(func(domain.Money) (int64, error) { return off, nil })(order.Order{}); err == nil {
			t.Errorf("%d was taken off 900: %+v", off, events)
		}
	}
	given(t).When(with(func(domain.Money) (int64, error) {
		return 0, domain.Errorf(domain.CodeOfferNotApplicable, "it is over: order without it")
	})).ThenError(domain.CodeOfferNotApplicable)
	// Nobody looked the offer up: the order does not go without it in silence.
	given(t).When(with(nil)).ThenError(domain.CodeOfferNotFound)
}

func TestPricesAreThoseOfAnOrder(t *testing.T) {
	t.Parallel()
	lines := []order.PlaceItem{{Product: dosa, Quantity: 2}, {Product: chai, Quantity: 1}}
	items, subtotal, err := order.Price(lines, onMenu)
	if err != nil || subtotal != (domain.Money{Amount: 1020, Currency: "EUR"}) || len(items) != 2 || items[0].Total != 900 {
		t.Errorf("%+v cost %+v, %v", items, subtotal, err)
	}
	for code, lines := range map[domain.Code][]order.PlaceItem{
		domain.CodeInvalidRequest:     {{Product: dosa, Quantity: 0}},
		domain.CodeNotFound:           {{Product: unknown, Quantity: 1}},
		domain.CodeProductUnavailable: {{Product: soldOut, Quantity: 1}},
	} {
		if _, _, err := order.Price(lines, onMenu); domain.CodeOf(err) != code {
			t.Errorf("%+v: %v; want %s", lines, err, code)
		}
	}
	if _, _, err := order.Price(nil, onMenu); domain.CodeOf(err) != domain.CodeInvalidRequest {
		t.Errorf("no lines: %v", err)
	}
}
