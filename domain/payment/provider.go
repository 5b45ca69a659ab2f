package payment

import (
	"errors"

	"github.com/google/uuid"
)

// Checkout is what a payment provider is asked to open: a page where a customer pays for an order. The provider knows
// it by PaymentID, so that asking twice opens one.
type Checkout struct {
	PaymentID   uuid.UUID
	OrderNumber string
	Amount      int64 // minor units of Currency
	Currency    string
	Method      Method
}

// Opened is a provider's answer to a [Checkout].
type Opened struct {
	Reference string // the provider's name for the payment
	URL       string // where the customer pays
}

// ProviderRefund is what a payment provider is asked to give back. The provider knows it by RefundID, so that asking
// twice gives back once.
type ProviderRefund struct {
	RefundID  string
	PaymentID uuid.UUID
	Reference string // of the payment, as the provider named it
	Amount    int64  // minor units of Currency
	Currency  string
}

// ErrRefundRefused is wrapped by what a provider answers to a refund that it will never make. Any other error says
// nothing of the kind: ask again.
var ErrRefundRefused = errors.New("the payment provider refuses the refund")
