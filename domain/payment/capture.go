package payment

import (
	"time"

	"github.com/orderlog/orderlog/domain"
)

// The reasons that the program gives when nobody else does.
const (
	reasonCancelled = "the order was cancelled before it was paid"
	reasonTwice     = "the order is paid by another payment"
	reasonProvider  = "given back by the payment provider"
)

// Capture is what the provider says when the money came in.
type Capture struct {
	Amount         int64
	Currency       string
	OrderCancelled bool // the payment's order is
	OtherLive      bool // another payment is the live one of the order
}

// Capture decides on money that came in through the provider. It is recorded also after the payment had failed or was
// voided; what the order has no use for becomes due. Refunds that were told of before are counted right after it. It
// is no event when the capture is known.
func (p Payment) Capture(cmd Capture) ([]domain.Event, error) {
	if err := p.checkProvider(StatusCaptured); err != nil {
		return nil, err
	}
	if cmd.Amount != p.Amount || cmd.Currency != p.Currency {
		return nil, domain.Errorf(domain.CodeAmountMismatch,
			"payment %s asks for %d %s, and %d %s came in: have the provider look into it", p.ID, p.Amount, p.Currency, cmd.Amount, cmd.Currency).
			With("paymentId", p.ID).With("amount", p.Amount).With("currency", p.Currency)
	}
	if p.Captured > 0 {
		return nil, nil
	}
	events := []domain.Event{Captured{Of: p.of(), Amount: cmd.Amount}}
	for _, r := range p.Refunds {
		if r.Status == RefundReportedEarly {
			events = append(events, Refunded{
				Of: p.of(), RefundID: r.ID, Amount: r.Amount, Reason: reasonProvider, ByProvider: true,
			})
		}
	}
	if !cmd.OrderCancelled && !cmd.OtherLive {
		return events, nil
	}
	reason := reasonTwice
	if cmd.OrderCancelled {
		reason = reasonCancelled
	}
	after := p
	for _, e := range events {
		after = after.Apply(e, time.Time{})
	}
	return append(events, after.due(reason)...), nil
}

// Fail decides on a payment that the customer did not make, for a reason of the provider's that may be empty. It is no
// event unless the payment is pending.
func (p Payment) Fail(reason string) ([]domain.Event, error) {
	if err := p.checkProvider(StatusFailed); err != nil {
		return nil, err
	}
	if err := domain.CheckText("reason", reason, 0, maxReason); err != nil {
		return nil, err
	}
	if p.Status != StatusPending {
		return nil, nil
	}
	return []domain.Event{Failed{Of: p.of(), Amount: p.Amount, Reason: reason}}, nil
}

// checkProvider refuses what the provider cannot know of: it has no part in cash.
func (p Payment) checkProvider(to Status) error {
	if err := p.checkExists(); err != nil {
		return err
	}
	if p.Method == MethodCash {
		return p.refuseStep(to, "it is paid in cash: collect or refund it by hand")
	}
	return nil
}
