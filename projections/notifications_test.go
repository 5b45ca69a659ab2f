package projections_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

var orderID = uuid.MustParse("0190b5a0-0000-7000-8000-000000000001")

func TestWhoIsToldOfWhat(t *testing.T) {
	t.Parallel()
	const room = "order:0190b5a0-0000-7000-8000-000000000001"
	for _, c := range []struct {
		happened domain.Event
		event    string
		channels string
		data     string
	}{
		{
			business.Opened{BusinessName: "Luigi", Message: "Ciao"},
			"business:status:update", "all", `{"isOpen":true,"businessName":"Luigi","message":"Ciao"}`,
		},
		{
			business.Closed{BusinessName: "Luigi", Message: "Night"},
			"business:status:update", "all", `{"isOpen":false,"businessName":"Luigi","message":"Night"}`,
		},
		{
			placed("ann", 1),
			"order:new", "role:admin role:delivery",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","customerName":"Ann",` +
				`"items":[{"product":"0190b5a0-0000-7000-8000-0000000000aa","name":"Pizza","quantity":2,"unitPrice":900,"total":1800}],` +
				`"totalAmount":1800,"currency":"EUR"}`,
		},
		{
			order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", From: order.StatusPlaced, To: order.StatusConfirmed, Message: "Yes"},
			"order:status:update", "user:ann role:admin " + room,
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","status":"confirmed","message":"Yes"}`,
		},
		{
			order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", AgentID: "dan", To: order.StatusDelivered, Message: "There"},
			"order:status:update", "user:ann role:admin " + room + " user:dan",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","status":"delivered","message":"There"}`,
		},
		{
			order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", AgentID: "dan", Reason: "Late"},
			"order:cancelled", "user:ann role:admin " + room + " user:dan",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","reason":"Late"}`,
		},
	} {
		at := time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)
		n, ok, err := projections.Notify(projections.Event{Recorded: eventstore.Recorded{Seq: 7, RecordedAt: at}, Body: c.happened})
		if err != nil || !ok {
			t.Errorf("%T: told %v, %v", c.happened, ok, err)
			continue
		}
		if n.Seq != 7 || !n.At.Equal(at) || n.Event != c.event || !slices.Equal(n.Channels, strings.Fields(c.channels)) || string(n.Data) != c.data {
			t.Errorf("%T is told as %s at %s to %q: %s", c.happened, n.Event, n.At, n.Channels, n.Data)
		}
	}
}

func TestTheMenuIsNobodysNews(t *testing.T) {
	t.Parallel()
	for _, e := range []domain.Event{menu.Added{}, menu.Updated{}, menu.Archived{}} {
		if _, ok, err := projections.Notify(projections.Event{Body: e}); ok || err != nil {
			t.Errorf("%T: told %v, %v", e, ok, err)
		}
	}
}

// placed is an order of two pizzas.
func placed(customer string, number int) order.Placed {
	return order.Placed{
		OrderID: orderID, OrderNumber: "ORD-00000" + string(rune('0'+number)), CustomerID: customer, CustomerName: "Ann",
		Items: []order.Item{{
			Product: uuid.MustParse("0190b5a0-0000-7000-8000-0000000000aa"), Name: "Pizza", Quantity: 2, UnitPrice: 900, Total: 1800,
		}},
		Subtotal: 1800, TotalAmount: 1800, Currency: "EUR", DeliveryAddress: "Via Roma 1", PaymentMethod: "card",
	}
}

func TestPayloadsAreJSONObjects(t *testing.T) {
	t.Parallel()
	for _, typ := range domain.EventTypes() {
		body, err := domain.Decode(typ.Name, []byte(`{}`))
		if err != nil {
			t.Fatal(err)
		}
		n, ok, err := projections.Notify(projections.Event{Body: body})
		if err != nil {
			t.Errorf("%s: %v", typ.Name, err)
		}
		var object map[string]any
		if ok && (json.Unmarshal(n.Data, &object) != nil || len(n.Channels) == 0) {
			t.Errorf("%s is told to %q as %s", typ.Name, n.Channels, n.Data)
		}
	}
}
