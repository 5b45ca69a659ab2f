// Package paysandbox stands in for a payment provider: for trying the program out, for its simulation and for tests.
// No money moves. It does by rule what a provider does: the same checkout or refund gets the same answer, however
// often and on whichever node it is asked for, so it has nothing to remember.
//
// What became of a payment a provider tells by a signed message; [Event] is its body and [Sign] its signature.
package paysandbox

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/payment"
)

// Provider is the sandbox. Safe for concurrent use.
type Provider struct{}

// New returns the sandbox.
func New() *Provider { return &Provider{} }

// OpenCheckout opens a checkout that is always there. Its page is at a name that no host ever has.
func (*Provider) OpenCheckout(ctx context.Context, c payment.Checkout) (payment.Opened, error) {
	if err := ctx.Err(); err != nil {
		return payment.Opened{}, err
	}
	if c.Amount <= 0 || c.Method == payment.MethodCash {
		return payment.Opened{}, fmt.Errorf("paysandbox: no checkout for %d %s by %s", c.Amount, c.Currency, c.Method)
	}
	return payment.Opened{Reference: reference(c.PaymentID), URL: "https://pay.orderlog.invalid/checkout/" + c.PaymentID.String()}, nil
}

// Refund accepts every refund of a payment that it opened, and refuses any other for good.
func (*Provider) Refund(ctx context.Context, r payment.ProviderRefund) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	if r.Reference != reference(r.PaymentID) || r.Amount <= 0 {
		return "", fmt.Errorf("paysandbox: %d %s of %q: %w", r.Amount, r.Currency, r.Reference, payment.ErrRefundRefused)
	}
	return "sandbox_refund_" + r.RefundID, nil
}

func reference(paymentID uuid.UUID) string { return "sandbox_" + paymentID.String() }

// Event is the body of the message by which a provider tells what became of a payment.
type Event struct {
	EventID   string    `json:"eventId"`
	PaymentID uuid.UUID `json:"paymentId"`
	Type      string    `json:"type"`   // payment.captured, payment.failed or payment.refunded
	Amount    int64     `json:"amount"` // minor units
	Currency  string    `json:"currency"`
	Reason    string    `json:"reason,omitempty"`
	SentAt    time.Time `json:"sentAt,omitzero"`
}

// Sign returns the signature of a message, as the header X-Signature has it: "sha256=" and the HMAC-SHA256 of the body
// in hexadecimal.
func Sign(secret, body []byte) string {
	mac := hmac.New(sha256.New, secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}
