// Package payment is the aggregate of one payment of an order, from started to captured and perhaps refunded.
// What the provider says happened is always recorded, in whatever order it says so: money that came in cannot be
// decided away. Captured, refunded and due always add up: refunded + due never exceed captured.
package payment

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of a payment's stream in the log; the stream's id is the payment's.
const StreamType = "payment"

// Method is how an order is paid.
type Method string

// The methods of the wire. Cash is paid on delivery, all others through the provider.
const (
	MethodCash   Method = "cod"
	MethodCard   Method = "card"
	MethodUPI    Method = "upi"
	MethodWallet Method = "wallet"
)

// Status is where a payment is.
type Status string

// The life of a payment.
const (
	StatusPending           Status = "pending"
	StatusCaptured          Status = "captured"
	StatusFailed            Status = "failed"
	StatusVoided            Status = "voided" // the order was cancelled before the money came in
	StatusPartiallyRefunded Status = "partially_refunded"
	StatusRefunded          Status = "refunded"
)

// Payment is the state of a payment, and what clients read of it. All amounts are minor units of Currency.
type Payment struct {
	ID            uuid.UUID `json:"id"`
	OrderID       uuid.UUID `json:"orderId"`
	OrderNumber   string    `json:"orderNumber"`
	CustomerID    string    `json:"customerId"`
	Method        Method    `json:"method"`
	Status        Status    `json:"status"`
	Amount        int64     `json:"amount"` // asked for
	Currency      string    `json:"currency"`
	Captured      int64     `json:"captured"`
	Refunded      int64     `json:"refunded"`
	RefundDue     int64     `json:"refundDue"` // to be given back still
	FailureReason string    `json:"failureReason"`
	Reference     string    `json:"reference"`   // the provider's name for it
	CheckoutURL   string    `json:"checkoutUrl"` // where the customer pays; empty for cash
	CollectedBy   string    `json:"collectedBy"` // who took the cash
	Refunds       []Refund  `json:"refunds"`
	CreatedAt     time.Time `json:"createdAt"`
	UpdatedAt     time.Time `json:"updatedAt"`
	Version       int64     `json:"version"` // 0: does not exist
}

// Refund is money given back, or to be counted when the capture is known.
type Refund struct {
	ID     string       `json:"id"`
	Amount int64        `json:"amount"`
	Reason string       `json:"reason"`
	Status RefundStatus `json:"status"`
}

// RefundStatus is where a refund is.
type RefundStatus string

// The life of a refund.
const (
	RefundReportedEarly RefundStatus = "reported" // before the capture: not counted yet
	RefundRequested     RefundStatus = "requested"
	RefundDone          RefundStatus = "done"
	RefundRefused       RefundStatus = "failed" // not counted any more
)

// Apply returns the state after an event that was recorded at a time. An event of another aggregate changes nothing.
// The state it was called on stays as it was.
func (p Payment) Apply(e domain.Event, at time.Time) Payment {
	at = at.UTC()
	switch e := e.(type) {
	case Started:
		p.ID, p.OrderID, p.OrderNumber, p.CustomerID = e.PaymentID, e.OrderID, e.OrderNumber, e.CustomerID
		p.Method, p.Currency, p.Amount, p.Status = e.Method, e.Currency, e.Amount, StatusPending
		p.Reference, p.CheckoutURL, p.Refunds = e.Reference, e.CheckoutURL, []Refund{}
		p.CreatedAt = at
	case Captured:
		p.Captured, p.CollectedBy, p.FailureReason = e.Amount, e.CollectedBy, ""
	case Failed:
		p.Status, p.FailureReason = StatusFailed, e.Reason
	case Voided:
		p.Status = StatusVoided
	case RefundDue:
		p.RefundDue += e.Amount
	case Refunded:
		status := RefundRequested
		if e.ByProvider || p.Method == MethodCash {
			status = RefundDone
		}
		p.Refunds = p.withRefund(Refund{ID: e.RefundID, Amount: e.Amount, Reason: e.Reason, Status: status})
		p.Refunded += e.Amount
		p.RefundDue = max(0, p.RefundDue-e.Amount)
	case RefundReported:
		p.Refunds = p.withRefund(Refund{ID: e.RefundID, Amount: e.Amount, Status: RefundReportedEarly})
	case RefundSettled:
		p.Refunds = p.withStatus(e.RefundID, RefundDone)
	case RefundFailed:
		p.Refunds = p.withStatus(e.RefundID, RefundRefused)
		p.Refunded -= e.Amount
		p.RefundDue += e.Amount
	default:
		return p
	}
	if p.Captured > 0 {
		p.Status = statusOf(p.Captured, p.Refunded)
	}
	p.UpdatedAt = at
	p.Version++
	return p
}

func statusOf(captured, refunded int64) Status {
	switch {
	case refunded == 0:
		return StatusCaptured
	case refunded < captured:
		return StatusPartiallyRefunded
	}
	return StatusRefunded
}

// withRefund adds a refund, or replaces the one of the same id.
func (p Payment) withRefund(r Refund) []Refund {
	refunds := slices.Clone(p.Refunds)
	for i := range refunds {
		if refunds[i].ID == r.ID {
			refunds[i] = r
			return refunds
		}
	}
	return append(refunds, r)
}

func (p Payment) withStatus(id string, status RefundStatus) []Refund {
	refunds := slices.Clone(p.Refunds)
	for i := range refunds {
		if refunds[i].ID == id {
			refunds[i].Status = status
		}
	}
	return refunds
}

// Stamp fills in the times of a state whose last event was applied with the zero time.
func (p Payment) Stamp(at time.Time) Payment {
	p.UpdatedAt = at.UTC()
	if p.CreatedAt.IsZero() {
		p.CreatedAt = p.UpdatedAt
	}
	return p
}
