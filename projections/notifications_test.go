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
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

var orderID = uuid.MustParse("0190b5a0-0000-7000-8000-000000000001")

var (
	paymentID = uuid.MustParse("0190b5a0-0000-7000-8000-000000000002")
	midnight  = time.Date(2026, 5, 2, 0, 0, 0, 0, time.UTC)
	ofPayment = payment.Of{
		PaymentID: paymentID, OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", Method: payment.MethodCard, Currency: "EUR",
	}
)

const aboutPayment = `"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","paymentId":"0190b5a0-0000-7000-8000-000000000002"`

func ptr[T any](v T) *T { return &v }

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
			discounted(placed("ann", 1), 200),
			"order:new", "role:admin role:delivery",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","customerName":"Ann",` +
				`"items":[{"product":"0190b5a0-0000-7000-8000-0000000000aa","name":"Pizza","quantity":2,"unitPrice":900,"total":1800}],` +
				`"subtotal":2000,"discount":200,"totalAmount":1800,"currency":"EUR"}`,
		},
		{
			order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", From: order.StatusPlaced, To: order.StatusConfirmed, Message: "Yes"},
			"order:status:update", "user:ann role:admin " + room,
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","status":"confirmed","message":"Yes"}`,
		},
		{
			order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", AgentID: "dan", To: order.StatusDelivered, Message: "There"},
			"order:status:update", "user:ann role:admin user:dan " + room,
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","status":"delivered","message":"There"}`,
		},
		{
			order.Assigned{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", AgentID: "dan"},
			"order:assigned", "user:dan " + room + " role:admin user:ann",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","agentId":"dan"}`,
		},
		{
			order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", AgentID: "dan", Reason: "Late", RefundDue: 1800},
			"order:cancelled", "user:ann role:admin user:dan " + room,
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","reason":"Late","refundDue":1800}`,
		},
		{
			order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", Reason: "Late"},
			"order:cancelled", "user:ann role:admin " + room,
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","orderNumber":"ORD-000001","reason":"Late","refundDue":0}`,
		},
		{
			courier.StatusChanged{AgentID: "dan", Name: "Dan", Chosen: courier.StatusOnline, Status: courier.StatusOnline},
			"delivery:status:update", "role:admin delivery:dan",
			`{"deliveryBoyId":"dan","status":"online","currentOrder":null}`,
		},
		{
			courier.StatusChanged{AgentID: "dan", Name: "Dan", Chosen: courier.StatusOnline, Status: courier.StatusBusy, CurrentOrder: &orderID},
			"delivery:status:update", "role:admin delivery:dan",
			`{"deliveryBoyId":"dan","status":"busy","currentOrder":"0190b5a0-0000-7000-8000-000000000001"}`,
		},
		{
			courier.OrderTaken{AgentID: "dan", OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", Status: courier.StatusBusy},
			"delivery:status:update", "role:admin delivery:dan",
			`{"deliveryBoyId":"dan","status":"busy","currentOrder":"0190b5a0-0000-7000-8000-000000000001"}`,
		},
		{
			courier.OrderReleased{AgentID: "dan", OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "ann", Status: courier.StatusOffline, Reason: courier.ReasonDelivered},
			"delivery:status:update", "role:admin delivery:dan",
			`{"deliveryBoyId":"dan","status":"offline","currentOrder":null}`,
		},
		{
			courier.Located{OrderID: orderID, CustomerID: "ann", AgentID: "dan", Point: courier.Point{Latitude: 41.9, Longitude: -12.5}},
			"delivery:location:update", "user:ann role:admin " + room + " delivery:dan",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","deliveryBoyId":"dan","location":{"lat":41.9,"lng":-12.5}}`,
		},
		{
			courier.Located{OrderID: orderID, CustomerID: "ann", AgentID: "dan", Point: courier.Point{
				Latitude: 41.9, Longitude: -12.5, Speed: ptr(4.5), Heading: ptr(0.0), Accuracy: ptr(10.0),
			}},
			"delivery:location:update", "user:ann role:admin " + room + " delivery:dan",
			`{"orderId":"0190b5a0-0000-7000-8000-000000000001","deliveryBoyId":"dan","location":{"lat":41.9,"lng":-12.5},"speed":4.5,"heading":0,"accuracy":10}`,
		},
		{
			payment.Captured{Of: ofPayment, Amount: 1800},
			"payment:received", "role:admin user:ann " + room,
			`{` + aboutPayment + `,"amount":1800,"currency":"EUR","paymentMethod":"card"}`,
		},
		{
			payment.Failed{Of: ofPayment, Amount: 1800, Reason: "no cover"},
			"payment:failed", "role:admin user:ann " + room,
			`{` + aboutPayment + `,"amount":1800,"currency":"EUR","paymentMethod":"card","reason":"no cover"}`,
		},
		{
			payment.Refunded{Of: ofPayment, RefundID: "r1", Amount: 500, Reason: "cold", ByProvider: true},
			"payment:refunded", "role:admin user:ann " + room,
			`{` + aboutPayment + `,"amount":500,"currency":"EUR","paymentMethod":"card","reason":"cold"}`,
		},
		{
			inbox.Entered{ID: paymentID, UserID: "ann", Title: "Hello", Message: "You", Type: "order", OrderID: &orderID},
			"notification:new", "user:ann",
			`{"id":"0190b5a0-0000-7000-8000-000000000002","title":"Hello","message":"You","type":"order","orderId":"0190b5a0-0000-7000-8000-000000000001"}`,
		},
		{
			inbox.Entered{ID: paymentID, UserID: "ann", Title: "Hello", Message: "You", Type: "news"},
			"notification:new", "user:ann",
			`{"id":"0190b5a0-0000-7000-8000-000000000002","title":"Hello","message":"You","type":"news"}`,
		},
		{
			offer.Created{Terms: offer.Terms{Code: "TEN", Description: "Ten off", DiscountType: offer.DiscountPercent, DiscountValue: 10, EndsAt: &midnight}},
			"offer:new", "role:customer role:admin",
			`{"code":"TEN","description":"Ten off","discountType":"percent","discountValue":10,"minOrder":0,"maxDiscount":0,"endsAt":"2026-05-02T00:00:00Z"}`,
		},
		{
			offer.Updated{Terms: offer.Terms{Code: "TEN", DiscountType: offer.DiscountAmount, DiscountValue: 200, MinOrder: 1000, StartsAt: &midnight, MaxUses: 5}},
			"offer:updated", "role:customer role:admin",
			`{"code":"TEN","description":"","discountType":"amount","discountValue":200,"minOrder":1000,"maxDiscount":0,"startsAt":"2026-05-02T00:00:00Z"}`,
		},
		{
			offer.Withdrawn{Terms: offer.Terms{Code: "TEN", DiscountType: offer.DiscountPercent, DiscountValue: 10, MaxDiscount: 300}},
			"offer:withdrawn", "role:customer role:admin",
			`{"code":"TEN","description":"","discountType":"percent","discountValue":10,"minOrder":0,"maxDiscount":300}`,
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

// Whatever is not here is somebody's news: see TestEveryKindOfEventIsInTheCatalogue.
func TestWhatIsNobodysNews(t *testing.T) {
	t.Parallel()
	for _, e := range []domain.Event{
		menu.Added{},
		menu.Updated{},
		menu.Archived{},
		order.PaymentOpened{},
		order.PaymentClosed{},
		payment.Started{},
		payment.Voided{},
		payment.RefundDue{},
		payment.RefundReported{},
		payment.RefundSettled{},
		payment.RefundFailed{},
		offer.Counted{},
		offer.Returned{},
		inbox.Read{},
		inbox.AllRead{},
	} {
		if _, ok, err := projections.Notify(projections.Event{Body: e}); ok || err != nil {
			t.Errorf("%T: told %v, %v", e, ok, err)
		}
	}
}

func TestWhatEndsARight(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		happened domain.Event
		want     []projections.Ending
	}{
		"a first assignment ends none": {order.Assigned{OrderID: orderID, CustomerID: "ann", AgentID: "dan"}, nil},
		"assigning again ends the order's room for the courier before": {
			order.Assigned{OrderID: orderID, CustomerID: "ann", AgentID: "eve", PreviousAgentID: "dan"},
			[]projections.Ending{{Channel: projections.ChannelOrder(orderID), User: "dan", Role: "delivery"}},
		},
		"an order off a courier's hands ends the courier's room for its customer": {
			courier.OrderReleased{AgentID: "dan", OrderID: orderID, CustomerID: "ann", Reason: courier.ReasonDelivered},
			[]projections.Ending{{Channel: projections.ChannelCourier("dan"), User: "ann", Role: "customer"}},
		},
		"taking an order ends none": {courier.OrderTaken{AgentID: "dan", OrderID: orderID, CustomerID: "ann"}, nil},
	} {
		n, ok, err := projections.Notify(projections.Event{Body: c.happened})
		if err != nil || !ok || !slices.Equal(n.Endings, c.want) {
			t.Errorf("%s: %v, %v, %v", name, n.Endings, ok, err)
		}
	}
}

func discounted(e order.Placed, off int64) order.Placed {
	e.Subtotal, e.Discount = e.TotalAmount+off, off
	return e
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
