package replay

import (
	"fmt"
	"strings"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// maxItems is how many lines of an order its summary names.
const maxItems = 5

// summary says in a sentence what happened. The name of the type is all there is for one that this program does not know,
// when body is nil, and for one that needs no sentence.
func summary(e eventstore.Recorded, body domain.Event) string {
	if body == nil {
		return e.Type
	}
	for _, of := range []func(domain.Event) string{ofOrder, ofPayment, ofCourier, ofOthers} {
		if s := of(body); s != "" {
			return s
		}
	}
	return body.EventType()
}

func ofOrder(e domain.Event) string {
	switch e := e.(type) {
	case order.Placed:
		s := "Placed: " + items(e.Items) + " for " + money(e.TotalAmount, e.Currency)
		if e.Discount > 0 {
			s += fmt.Sprintf(", %s off", money(e.Discount, e.Currency))
		}
		if e.OfferCode != "" {
			s += " with offer " + e.OfferCode
		}
		return s
	case order.StatusChanged:
		return fmt.Sprintf("Status from %s to %s", inWords(string(e.From)), inWords(string(e.To)))
	case order.Assigned:
		if e.PreviousAgentID != "" {
			return fmt.Sprintf("Reassigned from %s to %s", e.PreviousAgentID, e.AgentID)
		}
		return "Assigned to " + e.AgentID
	case order.PaymentOpened:
		return fmt.Sprintf("Payment %s is to be paid", e.PaymentID)
	case order.PaymentClosed:
		return fmt.Sprintf("Payment %s is closed: another may be started", e.PaymentID)
	case order.Cancelled:
		return "Cancelled when " + inWords(string(e.From))
	}
	return ""
}

// items names the lines of an order: "2 × Margherita, 1 × Water".
func items(all []order.Item) string {
	var lines []string
	for _, item := range all[:min(len(all), maxItems)] {
		lines = append(lines, fmt.Sprintf("%d × %s", item.Quantity, item.Name))
	}
	s := strings.Join(lines, ", ")
	if len(all) == 0 {
		return "nothing"
	}
	if more := len(all) - maxItems; more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}

func ofPayment(e domain.Event) string {
	switch e := e.(type) {
	case payment.Started:
		return fmt.Sprintf("Payment of %s %s started", money(e.Amount, e.Currency), by(e.Method))
	case payment.Captured:
		if e.CollectedBy != "" {
			return fmt.Sprintf("%s collected by %s", money(e.Amount, e.Currency), e.CollectedBy)
		}
		return fmt.Sprintf("%s paid %s", money(e.Amount, e.Currency), by(e.Method))
	case payment.Failed:
		return fmt.Sprintf("Payment of %s %s failed", money(e.Amount, e.Currency), by(e.Method))
	case payment.Voided:
		return fmt.Sprintf("Payment %s voided: nothing is to be paid any more", by(e.Method))
	case payment.RefundDue:
		return money(e.Amount, e.Currency) + " is to be given back"
	case payment.Refunded:
		if e.ByProvider {
			return money(e.Amount, e.Currency) + " refunded by the payment provider"
		}
		return money(e.Amount, e.Currency) + " refunded"
	case payment.RefundReported:
		return fmt.Sprintf("The payment provider told of a refund of %s before it told of the payment", money(e.Amount, e.Currency))
	case payment.RefundSettled:
		return fmt.Sprintf("The payment provider accepted refund %s", e.RefundID)
	case payment.RefundFailed:
		return fmt.Sprintf("The payment provider refused to refund %s: it is due again", money(e.Amount, e.Currency))
	}
	return ""
}

// by says how something is paid.
func by(m payment.Method) string {
	switch m {
	case payment.MethodCash:
		return "in cash"
	case payment.MethodUPI:
		return "by UPI"
	}
	return "by " + string(m)
}

func ofCourier(e domain.Event) string {
	switch e := e.(type) {
	case courier.OrderTaken:
		return fmt.Sprintf("Courier %s took the order", e.AgentID)
	case courier.OrderReleased:
		return fmt.Sprintf("Courier %s let go of the order: %s", e.AgentID, inWords(string(e.Reason)))
	case courier.Located:
		return fmt.Sprintf("Courier %s at %s", e.AgentID, place(e.Point))
	}
	return ""
}

// place is where a point is, to about a metre.
func place(p courier.Point) string { return fmt.Sprintf("%.5f, %.5f", p.Latitude, p.Longitude) }

func ofOthers(e domain.Event) string {
	switch e := e.(type) {
	case offer.Counted:
		return fmt.Sprintf("Offer %s used, %s", e.Code, uses(e.Uses, e.Scope, e.CustomerID))
	case offer.Returned:
		return fmt.Sprintf("Use of offer %s given back, %s", e.Code, uses(e.Uses, e.Scope, e.CustomerID))
	case inbox.Entered:
		return fmt.Sprintf("Told %s: %s", e.UserID, e.Title)
	}
	return ""
}

func uses(n int64, scope offer.Scope, customerID string) string {
	if scope == offer.ScopeCustomer {
		return fmt.Sprintf("%d by %s", n, customerID)
	}
	return fmt.Sprintf("%d in all", n)
}

// inWords is a name of the wire as people say it: "out for delivery".
func inWords(name string) string { return strings.ReplaceAll(name, "_", " ") }
