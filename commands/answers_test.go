package commands_test

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

func TestAnOrderFromPlacedToDelivered(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	out, err := s.PlaceOrder(t.Context(), by(customer), s.wanted())
	if err != nil {
		t.Fatal(err)
	}
	o := out.Value
	wantShown(s, order.Order{}, order.StreamType, o.ID, out)
	if o.OrderNumber != "ORD-000001" || o.Status != order.StatusPlaced || o.TotalAmount != 900 || o.CustomerID != "c1" || o.CustomerName != "Ann" || o.ID.Version() != 7 {
		t.Errorf("placed %+v", o)
	}
	for _, status := range []string{"confirmed", "preparing", "ready", "out_for_delivery", "delivered"} {
		out, err := s.ChangeOrderStatus(t.Context(), by(admin), commands.ChangeOrderStatus{OrderID: o.ID, Status: status})
		if err != nil {
			t.Fatal(err)
		}
		wantShown(s, order.Order{}, order.StreamType, o.ID, out)
	}
	out, err = s.CancelOrder(t.Context(), by(admin), commands.CancelOrder{OrderID: s.placed().ID, Reason: "late"})
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, order.Order{}, order.StreamType, out.Value.ID, out)
}

func TestTheMenuAndTheBusinessAnswerWithWhatWillBeShown(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	shut, err := s.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{Message: "Back at six"})
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, business.Initial(), business.StreamType, business.StreamID, shut)

	add, err := s.AddProduct(t.Context(), by(admin), commands.AddProduct{Name: "Chai", Price: 120, Currency: "EUR", Available: true})
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, menu.Product{}, menu.StreamType, add.Value.ID, add)
	price := int64(130)
	update, err := s.UpdateProduct(t.Context(), by(admin), commands.UpdateProduct{ProductID: add.Value.ID, Price: &price})
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, menu.Product{}, menu.StreamType, add.Value.ID, update)
	archive, err := s.ArchiveProduct(t.Context(), by(admin), commands.ArchiveProduct{ProductID: add.Value.ID})
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, menu.Product{}, menu.StreamType, add.Value.ID, archive)

	s.setOpen(true) // so that the head is past the product
	for _, req := range []commands.Request{by(admin), keyed(admin, "again"), keyed(admin, "again")} {
		again, err := s.ArchiveProduct(t.Context(), req, commands.ArchiveProduct{ProductID: add.Value.ID})
		if err != nil || again.Value != archive.Value || again.Seq < archive.Seq {
			t.Errorf("archived again: %+v, %v; want %+v", again, err, archive)
		}
	}
}

func TestEventsSayWhoFromWhereAndWhy(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	req := commands.Request{Actor: admin, Key: "k1", CorrelationID: "corr", CausationID: "cause", RemoteAddr: "10.0.0.1:5"}
	if _, err := s.CancelOrder(t.Context(), req, commands.CancelOrder{OrderID: o.ID, Reason: "no flour"}); err != nil {
		t.Fatal(err)
	}
	events := s.store.Events()
	var meta eventstore.Meta
	if err := json.Unmarshal(events[len(events)-1].Meta, &meta); err != nil {
		t.Fatal(err)
	}
	want := eventstore.Meta{
		UserID: "boss", Role: "admin", CorrelationID: "corr", CausationID: "cause",
		IdempotencyKey: "k1", RemoteAddr: "10.0.0.1:5", Reason: "no flour",
	}
	if meta != want {
		t.Errorf("meta %+v; want %+v", meta, want)
	}
	if err := json.Unmarshal(events[0].Meta, &meta); err != nil {
		t.Fatal(err)
	}
	if _, err := uuid.Parse(meta.CorrelationID); err != nil {
		t.Errorf("no correlation id was made: %+v", meta)
	}
}

func TestTheCustomersNameIsTheOneGivenOrTheTokensOrTheId(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for want, c := range map[string]struct {
		actor commands.Actor
		given string
	}{
		"Granny": {customer, "Granny"},
		"Ann":    {customer, " "},
		"c9":     {commands.Actor{UserID: "c9", Role: domain.RoleCustomer}, ""},
	} {
		cmd := s.wanted()
		cmd.CustomerName = c.given
		if o := must(s.PlaceOrder(t.Context(), by(c.actor), cmd))(t); o.CustomerName != want {
			t.Errorf("customer name %q; want %q", o.CustomerName, want)
		}
	}
}

func TestPlacingRefuses(t *testing.T) {
	t.Parallel()
	type command = commands.PlaceOrder
	for name, c := range map[string]struct {
		given  func(*shop)
		change func(*shop, *command)
		code   domain.Code
		field  string
	}{
		"while closed": {func(s *shop) { s.setOpen(false) }, nil, domain.CodeBusinessClosed, ""},
		"a product id that is none": {nil, func(_ *shop, c *command) {
			c.Items = append(c.Items, commands.OrderItem{Product: "dosa", Quantity: 1})
		}, domain.CodeInvalidRequest, "items[1].product"},
		"a product that does not exist": {nil, func(_ *shop, c *command) {
			c.Items = append(c.Items, commands.OrderItem{Product: uuid.NewString(), Quantity: 1})
		}, domain.CodeNotFound, "items[1].product"},
		"an archived product": {func(s *shop) {
			must(s.ArchiveProduct(s.t.Context(), by(admin), commands.ArchiveProduct{ProductID: s.dosa.ID}))(s.t)
		}, nil, domain.CodeProductUnavailable, "items[0].product"},
		"an offer":        {nil, func(_ *shop, c *command) { c.OfferCode = "HALF" }, domain.CodeOfferNotFound, "offerCode"},
		"a long address":  {nil, func(_ *shop, c *command) { c.DeliveryAddress = strings.Repeat("x", 501) }, domain.CodeInvalidRequest, "deliveryAddress"},
		"an empty basket": {nil, func(_ *shop, c *command) { c.Items = nil }, domain.CodeInvalidRequest, "items"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			cmd := s.wanted()
			if c.given != nil {
				c.given(s)
			}
			if c.change != nil {
				c.change(s, &cmd)
			}
			before := len(s.store.Events())
			_, err := s.PlaceOrder(t.Context(), by(customer), cmd)
			wantCode(t, err, c.code)
			var refusal *domain.Error
			if errors.As(err, &refusal) && c.field != "" && refusal.Details["field"] != c.field {
				t.Errorf("refused field %v; want %s", refusal.Details["field"], c.field)
			}
			if len(s.store.Events()) != before {
				t.Error("an event was added")
			}
		})
	}
}

func TestAProductMayBeOnTwoLines(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	cmd := s.wanted()
	cmd.Items = append(cmd.Items, cmd.Items[0])
	if o := must(s.PlaceOrder(t.Context(), by(customer), cmd))(t); len(o.Items) != 2 || o.TotalAmount != 1800 {
		t.Errorf("placed %+v", o)
	}
}

// An event that this program cannot read may be the one that forbids what is asked.
func TestHalfAHistoryIsNotDecidedOn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	stream := eventstore.StreamID{Type: order.StreamType, ID: o.ID}
	future := eventstore.NewEvent{ID: uuid.Must(uuid.NewV7()), Type: "order.frozen", Data: json.RawMessage(`{}`)}
	_, err := s.store.Append(t.Context(), eventstore.Append{Streams: []eventstore.StreamAppend{{Stream: stream, Expected: 1, Events: []eventstore.NewEvent{future}}}})
	if err != nil {
		t.Fatal(err)
	}
	_, err = s.ChangeOrderStatus(t.Context(), by(admin), commands.ChangeOrderStatus{OrderID: o.ID, Status: "confirmed"})
	if !errors.Is(err, domain.ErrUnknownEventType) {
		t.Errorf("error %v; want ErrUnknownEventType", err)
	}
}
