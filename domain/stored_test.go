package domain_test

import (
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
)

var (
	orderID   = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	productID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000b")
	paymentID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000c")
	entryID   = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000d")

	paid = payment.Of{
		PaymentID: paymentID, OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1",
		Method: payment.MethodCard, Currency: "EUR",
	}
	terms = offer.Terms{
		Code: "TEN", Description: "Ten off", DiscountType: offer.DiscountPercent, DiscountValue: 10, MinOrder: 500,
		MaxDiscount: 200, MaxUses: 10, MaxUsesPerUser: 1,
		StartsAt: new(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)), EndsAt: new(time.Date(2026, 2, 1, 0, 0, 0, 0, time.UTC)),
	}
)

// What the events of one aggregate have in common.
const (
	paidJSON = `"paymentId":"0190b5a0-0000-7000-8000-00000000000c","orderId":"0190b5a0-0000-7000-8000-00000000000a",` +
		`"orderNumber":"ORD-000001","customerId":"c1","method":"card","currency":"EUR"`
	carriedJSON = `"agentId":"a1","orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1"`
	locatedJSON = `"orderId":"0190b5a0-0000-7000-8000-00000000000a","customerId":"c1","agentId":"a1"`
	ofOrderJSON = `"orderId":"0190b5a0-0000-7000-8000-00000000000a"`
	termsJSON   = `{"code":"TEN","description":"Ten off","discountType":"percent","discountValue":10,"minOrder":500,` +
		`"maxDiscount":200,"maxUses":10,"maxUsesPerUser":1,"startsAt":"2026-01-01T00:00:00Z","endsAt":"2026-02-01T00:00:00Z"}`
)

// stored is how events lie in the log. The log is never rewritten: a line may be added
// here, and a field to a line, but nothing that is here may change.
var stored = []struct {
	event domain.Event
	typ   string
	data  string
}{
	{business.Opened{BusinessName: "Orderlog", Message: "open"}, "business.opened", `{"businessName":"Orderlog","message":"open"}`},
	{business.Closed{BusinessName: "Orderlog", Message: "closed"}, "business.closed", `{"businessName":"Orderlog","message":"closed"}`},
	{
		menu.Added{ProductID: productID, Name: "Dosa", Description: "crisp", Price: 450, Currency: "EUR", Available: true},
		"product.added",
		`{"productId":"0190b5a0-0000-7000-8000-00000000000b","name":"Dosa","description":"crisp","price":450,"currency":"EUR","available":true}`,
	},
	{
		menu.Updated{ProductID: productID, Price: new(int64(0)), Available: new(false)},
		"product.updated",
		`{"productId":"0190b5a0-0000-7000-8000-00000000000b","price":0,"available":false}`,
	},
	{menu.Archived{ProductID: productID}, "product.archived", `{"productId":"0190b5a0-0000-7000-8000-00000000000b"}`},
	{
		order.Placed{
			OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
			Items:    []order.Item{{Product: productID, Name: "Dosa", Quantity: 2, UnitPrice: 450, Total: 900}},
			Subtotal: 900, TotalAmount: 900, Currency: "EUR", DeliveryAddress: "1 Main St", PaymentMethod: "cod", Note: "hot",
		},
		"order.placed",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","customerName":"Ann",` +
			`"items":[{"product":"0190b5a0-0000-7000-8000-00000000000b","name":"Dosa","quantity":2,"unitPrice":450,"total":900}],` +
			`"subtotal":900,"discount":0,"totalAmount":900,"currency":"EUR","deliveryAddress":"1 Main St","paymentMethod":"cod","note":"hot","offerCode":""}`,
	},
	{
		order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: "a1", From: order.StatusReady, To: order.StatusOutForDelivery, Message: "soon"},
		"order.status_changed",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","agentId":"a1","from":"ready","to":"out_for_delivery","message":"soon"}`,
	},
	{
		order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", From: order.StatusPlaced, Reason: "late", RefundDue: 900},
		"order.cancelled",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","agentId":"","from":"placed","reason":"late","refundDue":900}`,
	},
	{
		order.Assigned{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: "a2", PreviousAgentID: "a1"},
		"order.assigned",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","agentId":"a2","previousAgentId":"a1"}`,
	},
	{
		order.PaymentOpened{OrderID: orderID, PaymentID: paymentID},
		"order.payment_opened", `{` + ofOrderJSON + `,"paymentId":"0190b5a0-0000-7000-8000-00000000000c"}`,
	},
	{
		order.PaymentClosed{OrderID: orderID, PaymentID: paymentID},
		"order.payment_closed", `{` + ofOrderJSON + `,"paymentId":"0190b5a0-0000-7000-8000-00000000000c"}`,
	},
	{
		payment.Started{Of: paid, Amount: 900, Reference: "ch_1", CheckoutURL: "https://pay.example/ch_1"},
		"payment.started", `{` + paidJSON + `,"amount":900,"reference":"ch_1","checkoutUrl":"https://pay.example/ch_1"}`,
	},
	{payment.Captured{Of: paid, Amount: 900, CollectedBy: "a1"}, "payment.captured", `{` + paidJSON + `,"amount":900,"collectedBy":"a1"}`},
	{payment.Failed{Of: paid, Amount: 900, Reason: "declined"}, "payment.failed", `{` + paidJSON + `,"amount":900,"reason":"declined"}`},
	{payment.Voided{Of: paid, Reason: "late"}, "payment.voided", `{` + paidJSON + `,"reason":"late"}`},
	{payment.RefundDue{Of: paid, Amount: 900, Reason: "late"}, "payment.refund_due", `{` + paidJSON + `,"amount":900,"reason":"late"}`},
	{
		payment.Refunded{Of: paid, RefundID: "r1", Amount: 400, Reason: "cold", ByProvider: true},
		"payment.refunded", `{` + paidJSON + `,"refundId":"r1","amount":400,"reason":"cold","byProvider":true}`,
	},
	{payment.RefundReported{Of: paid, RefundID: "r1", Amount: 400}, "payment.refund_reported", `{` + paidJSON + `,"refundId":"r1","amount":400}`},
	{payment.RefundSettled{Of: paid, RefundID: "r1", Reference: "re_1"}, "payment.refund_settled", `{` + paidJSON + `,"refundId":"r1","reference":"re_1"}`},
	{
		payment.RefundFailed{Of: paid, RefundID: "r1", Amount: 400, Reason: "account closed"},
		"payment.refund_failed", `{` + paidJSON + `,"refundId":"r1","amount":400,"reason":"account closed"}`,
	},
	{
		courier.StatusChanged{AgentID: "a1", Name: "Ravi", Chosen: courier.StatusOnline, Status: courier.StatusBusy, CurrentOrder: &orderID},
		"courier.status_changed",
		`{"agentId":"a1","name":"Ravi","chosen":"online","status":"busy","currentOrder":"0190b5a0-0000-7000-8000-00000000000a"}`,
	},
	{
		courier.StatusChanged{AgentID: "a1", Chosen: courier.StatusOffline, Status: courier.StatusOffline},
		"courier.status_changed", `{"agentId":"a1","name":"","chosen":"offline","status":"offline","currentOrder":null}`,
	},
	{
		courier.OrderTaken{AgentID: "a1", OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Status: courier.StatusBusy},
		"courier.order_taken", `{` + carriedJSON + `,"status":"busy"}`,
	},
	{
		courier.OrderReleased{AgentID: "a1", OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Status: courier.StatusOnline, Reason: courier.ReasonReassigned},
		"courier.order_released", `{` + carriedJSON + `,"status":"online","reason":"reassigned"}`,
	},
	{
		courier.Located{OrderID: orderID, CustomerID: "c1", AgentID: "a1", Point: courier.Point{Latitude: 12.97, Longitude: -77.59}},
		"courier.located", `{` + locatedJSON + `,"latitude":12.97,"longitude":-77.59}`,
	},
	{
		courier.Located{
			OrderID: orderID, CustomerID: "c1", AgentID: "a1",
			Point: courier.Point{Speed: new(0.0), Heading: new(270.5), Accuracy: new(8.0)},
		},
		"courier.located", `{` + locatedJSON + `,"latitude":0,"longitude":0,"speed":0,"heading":270.5,"accuracy":8}`,
	},
	{offer.Created{Terms: terms}, "offer.created", termsJSON},
	{offer.Updated{Terms: terms}, "offer.updated", termsJSON},
	{
		offer.Withdrawn{Terms: offer.Terms{Code: "TEN", Description: "Ten off", DiscountType: offer.DiscountAmount, DiscountValue: 100}},
		"offer.withdrawn",
		`{"code":"TEN","description":"Ten off","discountType":"amount","discountValue":100,"minOrder":0,"maxDiscount":0,"maxUses":0,"maxUsesPerUser":0}`,
	},
	{
		offer.Counted{Code: "TEN", Scope: offer.ScopeAll, CustomerID: "c1", OrderID: orderID, Uses: 7},
		"offer.use_counted", `{"code":"TEN","scope":"all","customerId":"c1",` + ofOrderJSON + `,"uses":7}`,
	},
	{
		offer.Returned{Code: "TEN", Scope: offer.ScopeCustomer, CustomerID: "c1", OrderID: orderID},
		"offer.use_returned", `{"code":"TEN","scope":"customer","customerId":"c1",` + ofOrderJSON + `,"uses":0}`,
	},
	{
		inbox.Entered{ID: entryID, UserID: "c1", Title: "Order placed", Message: "We have it", Type: "order", OrderID: &orderID},
		"inbox.entered",
		`{"id":"0190b5a0-0000-7000-8000-00000000000d","userId":"c1","title":"Order placed","message":"We have it","type":"order",` + ofOrderJSON + `}`,
	},
	{
		inbox.Entered{ID: entryID, UserID: "c1", Title: "Hello", Message: "We are back", Type: "news"},
		"inbox.entered",
		`{"id":"0190b5a0-0000-7000-8000-00000000000d","userId":"c1","title":"Hello","message":"We are back","type":"news"}`,
	},
	{inbox.Read{ID: entryID, UserID: "c1"}, "inbox.read", `{"id":"0190b5a0-0000-7000-8000-00000000000d","userId":"c1"}`},
	{inbox.AllRead{UserID: "c1"}, "inbox.all_read", `{"userId":"c1"}`},
}

// olderLines are how events lay in the log before a field was added to them: they mean what they meant.
var olderLines = []struct {
	event domain.Event
	typ   string
	data  string
}{
	{
		order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", From: order.StatusPlaced, Reason: "late"},
		"order.cancelled",
		`{"orderId":"0190b5a0-0000-7000-8000-00000000000a","orderNumber":"ORD-000001","customerId":"c1","agentId":"","from":"placed","reason":"late"}`,
	},
}
