package order

import (
	"fmt"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/menu"
)

// The bounds of an order. Lengths are in characters.
const (
	MaxItems    = 100
	MaxQuantity = 999

	maxAddress      = 500
	maxNote         = 500
	maxCustomerName = 200
	maxOfferCode    = 64
)

// paymentMethods are the ways an order can be paid.
var paymentMethods = []string{"cod", "card", "upi", "wallet"}

// PlaceItem is a line as the customer asks for it: a price is never part of it.
type PlaceItem struct {
	Product  uuid.UUID
	Quantity int64
}

// Place asks for a new order.
type Place struct {
	OrderID         uuid.UUID
	OrderNumber     string
	CustomerID      string
	CustomerName    string
	Items           []PlaceItem // the same product may come twice; it is two lines
	DeliveryAddress string
	PaymentMethod   string
	Note            string
	OfferCode       string
}

// Validate checks what can be checked without the menu.
func (cmd Place) Validate() error {
	if err := checkLines(cmd.Items); err != nil {
		return err
	}
	if !slices.Contains(paymentMethods, cmd.PaymentMethod) {
		return domain.Invalid("paymentMethod", "must be one of %s", strings.Join(paymentMethods, ", "))
	}
	for _, text := range []struct {
		field, text     string
		lowest, highest int
		check           func(field, text string, lowest, highest int) error
	}{
		{"deliveryAddress", cmd.DeliveryAddress, 1, maxAddress, domain.CheckText},
		{"note", cmd.Note, 0, maxNote, domain.CheckText},
		{"customerId", cmd.CustomerID, 1, domain.MaxUserID, domain.CheckLine},
		{"customerName", cmd.CustomerName, 1, maxCustomerName, domain.CheckLine},
		{"offerCode", cmd.OfferCode, 0, maxOfferCode, domain.CheckLine},
	} {
		if err := text.check(text.field, text.text, text.lowest, text.highest); err != nil {
			return err
		}
	}
	return nil
}

func checkLines(items []PlaceItem) error {
	if n := len(items); n < 1 || n > MaxItems {
		return domain.Invalid("items", "must have 1 to %d lines, not %d", MaxItems, n)
	}
	for i, item := range items {
		if item.Quantity < 1 || item.Quantity > MaxQuantity {
			return domain.Invalid(itemField(i, "quantity"), "must be 1 to %d", MaxQuantity).With("index", i)
		}
	}
	return nil
}

// Place decides on a new order; the state must be that of none. onMenu holds the
// products that exist, by id; names, prices and the currency are theirs. discount says
// what the offer that cmd.OfferCode names takes off a subtotal, or refuses; it is nil
// when the order uses none.
func (o Order) Place(
	cmd Place, onMenu map[uuid.UUID]menu.Product, discount func(subtotal domain.Money) (int64, error),
) ([]domain.Event, error) {
	if o.Version > 0 {
		return nil, domain.Errorf(domain.CodeVersionConflict, "order %s exists already: place a new one", o.ID)
	}
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	items, subtotal, err := Price(cmd.Items, onMenu)
	if err != nil {
		return nil, err
	}
	off, err := cmd.takeOff(subtotal, discount)
	if err != nil {
		return nil, err
	}
	return []domain.Event{Placed{
		OrderID: cmd.OrderID, OrderNumber: cmd.OrderNumber,
		CustomerID: cmd.CustomerID, CustomerName: cmd.CustomerName,
		Items: items, Subtotal: subtotal.Amount, Discount: off, TotalAmount: subtotal.Amount - off,
		Currency: subtotal.Currency, DeliveryAddress: cmd.DeliveryAddress,
		PaymentMethod: cmd.PaymentMethod, Note: cmd.Note, OfferCode: cmd.OfferCode,
	}}, nil
}

// takeOff returns the discount, which is never more than the subtotal. An order that
// names an offer never goes without it in silence.
func (cmd Place) takeOff(subtotal domain.Money, discount func(domain.Money) (int64, error)) (int64, error) {
	if discount == nil {
		if cmd.OfferCode != "" {
			return 0, domain.Errorf(domain.CodeOfferNotFound, "there is no offer %q: order without it", cmd.OfferCode).
				With("field", "offerCode")
		}
		return 0, nil
	}
	off, err := discount(subtotal)
	if err != nil {
		return 0, err
	}
	if off < 0 || off > subtotal.Amount {
		return 0, fmt.Errorf("offer %q takes %d off a subtotal of %d", cmd.OfferCode, off, subtotal.Amount)
	}
	return off, nil
}

// Price turns what is asked for into the lines of an order and their sum, as [Order.Place]
// does.
func Price(wanted []PlaceItem, onMenu map[uuid.UUID]menu.Product) ([]Item, domain.Money, error) {
	if err := checkLines(wanted); err != nil {
		return nil, domain.Money{}, err
	}
	items := make([]Item, 0, len(wanted))
	var subtotal domain.Money
	for i, w := range wanted {
		p, err := orderable(i, w.Product, onMenu)
		if err != nil {
			return nil, domain.Money{}, err
		}
		if i == 0 {
			subtotal.Currency = p.Currency
		}
		if p.Currency != subtotal.Currency {
			return nil, domain.Money{}, domain.Invalid(itemField(i, "product"),
				"is priced in %s and the lines before it in %s: order them apart", p.Currency, subtotal.Currency).With("index", i)
		}
		unit := domain.Money{Amount: p.Price, Currency: p.Currency}
		total, err := unit.Times(w.Quantity)
		if err == nil {
			subtotal, err = subtotal.Add(total)
		}
		if err != nil {
			return nil, domain.Money{}, domain.Invalid("items", "cost more than can be reckoned: order less").WithCause(err)
		}
		items = append(items, Item{
			Product: p.ID, Name: p.Name, Quantity: w.Quantity, UnitPrice: p.Price, Total: total.Amount,
		})
	}
	return items, subtotal, nil
}

func orderable(i int, id uuid.UUID, onMenu map[uuid.UUID]menu.Product) (menu.Product, error) {
	p, ok := onMenu[id]
	refuse := func(code domain.Code, why string) error {
		return domain.Errorf(code, "%s: product %s %s", itemField(i, "product"), id, why).
			With("field", itemField(i, "product")).With("index", i).With("product", id.String())
	}
	switch {
	case !ok || p.Version == 0:
		return p, refuse(domain.CodeNotFound, "does not exist: choose one from the menu")
	case p.Archived:
		return p, refuse(domain.CodeProductUnavailable, "is no longer on the menu: choose another")
	case !p.Available:
		return p, refuse(domain.CodeProductUnavailable, "is not available now: choose another or try later")
	}
	return p, nil
}

func itemField(i int, name string) string { return fmt.Sprintf("items[%d].%s", i, name) }
