package replay_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

func TestEachEventOfAnOrderIsSaidInASentence(t *testing.T) {
	t.Parallel()
	id := uuid.MustParse("0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55")
	eur := payment.Of{Currency: "EUR", Method: payment.MethodCard}
	cash := payment.Of{Currency: "EUR", Method: payment.MethodCash}
	items := make([]order.Item, 7)
	for i := range items {
		items[i] = order.Item{Name: "Tea", Quantity: int64(i) + 1}
	}
	for _, c := range []struct {
		body domain.Event
		want string
	}{
		{order.Placed{Items: items[:2], TotalAmount: 900, Currency: "JPY"}, "Placed: 1 × Tea, 2 × Tea for 900 JPY"},
		{order.Placed{Items: items, TotalAmount: 900, Currency: "EUR"}, "Placed: 1 × Tea, 2 × Tea, 3 × Tea, 4 × Tea, 5 × Tea and 2 more for 9.00 EUR"},
		{order.StatusChanged{From: "ready", To: "out_for_delivery"}, "Status from ready to out for delivery"},
		{order.Assigned{AgentID: "raj"}, "Assigned to raj"},
		{order.Assigned{AgentID: "sam", PreviousAgentID: "raj"}, "Reassigned from raj to sam"},
		{order.PaymentOpened{PaymentID: id}, "Payment 0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55 is to be paid"},
		{order.PaymentClosed{PaymentID: id}, "Payment 0190a5e4-3c4e-7b2a-9f51-2f6f3f9e1c55 is closed: another may be started"},
		{order.Cancelled{From: "preparing"}, "Cancelled when preparing"},
		{payment.Started{Of: cash, Amount: 100}, "Payment of 1.00 EUR in cash started"},
		{payment.Captured{Of: eur, Amount: 100}, "1.00 EUR paid by card"},
		{payment.Captured{Of: cash, Amount: 100, CollectedBy: "raj"}, "1.00 EUR collected by raj"},
		{payment.Failed{Of: payment.Of{Currency: "EUR", Method: payment.MethodUPI}, Amount: 100}, "Payment of 1.00 EUR by UPI failed"},
		{payment.Voided{Of: eur}, "Payment by card voided: nothing is to be paid any more"},
		{payment.RefundDue{Of: eur, Amount: 100}, "1.00 EUR is to be given back"},
		{payment.Refunded{Of: eur, Amount: 100}, "1.00 EUR refunded"},
		{payment.Refunded{Of: eur, Amount: 100, ByProvider: true}, "1.00 EUR refunded by the payment provider"},
		{payment.RefundReported{Of: eur, Amount: 100}, "The payment provider told of a refund of 1.00 EUR before it told of the payment"},
		{payment.RefundSettled{Of: eur, RefundID: "r-1"}, "The payment provider accepted refund r-1"},
		{payment.RefundFailed{Of: eur, Amount: 100}, "The payment provider refused to refund 1.00 EUR: it is due again"},
		{courier.OrderTaken{AgentID: "raj"}, "Courier raj took the order"},
		{courier.OrderReleased{AgentID: "raj", Reason: "reassigned"}, "Courier raj let go of the order: reassigned"},
		{courier.Located{AgentID: "raj", Point: courier.Point{Latitude: -1.5, Longitude: 103.123456}}, "Courier raj at -1.50000, 103.12346"},
		{offer.Counted{Code: "TEN", Scope: offer.ScopeAll, CustomerID: "carl", Uses: 3}, "Offer TEN used, 3 in all"},
		{offer.Returned{Code: "TEN", Scope: offer.ScopeCustomer, CustomerID: "carl", Uses: 1}, "Use of offer TEN given back, 1 by carl"},
		{inbox.Entered{UserID: "carl", Title: "Order received"}, "Told carl: Order received"},
		{inbox.AllRead{UserID: "carl"}, "inbox.all_read"},
	} {
		if got := replay.Summary(eventstore.Recorded{Type: c.body.EventType()}, c.body); got != c.want {
			t.Errorf("%s: %q; want %q", c.body.EventType(), got, c.want)
		}
	}
}
