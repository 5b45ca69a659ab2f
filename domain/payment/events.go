package payment

import (
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// Of says which payment an event is about. Every event of a payment has all of it, so that whoever reads one event
// alone knows whom to tell. Amounts of a payment's events are minor units of Currency.
type Of struct {
	PaymentID   uuid.UUID `json:"paymentId"`
	OrderID     uuid.UUID `json:"orderId"`
	OrderNumber string    `json:"orderNumber"`
	CustomerID  string    `json:"customerId"`
	Method      Method    `json:"method"`
	Currency    string    `json:"currency"`
}

// Started says that Amount is to be paid. Reference is the provider's name for the payment and CheckoutURL the page
// where the customer pays; both are empty for cash.
type Started struct {
	Of
	Amount      int64  `json:"amount"`
	Reference   string `json:"reference"`
	CheckoutURL string `json:"checkoutUrl"`
}

// Captured says that the money came in. CollectedBy is the user who took cash, empty when the provider captured it.
type Captured struct {
	Of
	Amount      int64  `json:"amount"`
	CollectedBy string `json:"collectedBy"`
}

// Failed says that the customer did not pay.
type Failed struct {
	Of
	Amount int64  `json:"amount"` // what was asked for
	Reason string `json:"reason"`
}

// Voided says that nothing is to be paid any more, because the order was cancelled before the money came in.
type Voided struct {
	Of
	Reason string `json:"reason"`
}

// RefundDue says that Amount has to be given back: what was paid for a cancelled order, or twice.
type RefundDue struct {
	Of
	Amount int64  `json:"amount"`
	Reason string `json:"reason"`
}

// Refunded says that Amount is given back. RefundID tells refunds apart. ByProvider says that the provider began it
// and has done it; otherwise it still has to be told to.
type Refunded struct {
	Of
	RefundID   string `json:"refundId"`
	Amount     int64  `json:"amount"`
	Reason     string `json:"reason"`
	ByProvider bool   `json:"byProvider"`
}

// RefundReported says that the provider told of a refund before it told of the capture. It counts when the capture
// comes.
type RefundReported struct {
	Of
	RefundID string `json:"refundId"`
	Amount   int64  `json:"amount"`
}

// RefundSettled says that the provider accepted a refund that it was told to make.
type RefundSettled struct {
	Of
	RefundID  string `json:"refundId"`
	Reference string `json:"reference"` // the provider's
}

// RefundFailed says that the provider refused a refund for good: Amount is due again.
type RefundFailed struct {
	Of
	RefundID string `json:"refundId"`
	Amount   int64  `json:"amount"`
	Reason   string `json:"reason"`
}

// EventType is "payment.started".
func (Started) EventType() string { return "payment.started" }

// EventType is "payment.captured".
func (Captured) EventType() string { return "payment.captured" }

// EventType is "payment.failed".
func (Failed) EventType() string { return "payment.failed" }

// EventType is "payment.voided".
func (Voided) EventType() string { return "payment.voided" }

// EventType is "payment.refund_due".
func (RefundDue) EventType() string { return "payment.refund_due" }

// EventType is "payment.refunded".
func (Refunded) EventType() string { return "payment.refunded" }

// EventType is "payment.refund_reported".
func (RefundReported) EventType() string { return "payment.refund_reported" }

// EventType is "payment.refund_settled".
func (RefundSettled) EventType() string { return "payment.refund_settled" }

// EventType is "payment.refund_failed".
func (RefundFailed) EventType() string { return "payment.refund_failed" }

func init() {
	domain.Register[Started](1)
	domain.Register[Captured](1)
	domain.Register[Failed](1)
	domain.Register[Voided](1)
	domain.Register[RefundDue](1)
	domain.Register[Refunded](1)
	domain.Register[RefundReported](1)
	domain.Register[RefundSettled](1)
	domain.Register[RefundFailed](1)
}
