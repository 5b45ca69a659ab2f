package payment

import (
	"cmp"
	"slices"

	"github.com/orderlog/orderlog/domain"
)

// maxRefundID is the longest id of a refund, in characters: as long as an idempotency key.
const maxRefundID = 255

// RefundRequest asks to give money back.
type RefundRequest struct {
	RefundID string
	Amount   *int64 // minor units; nil: all that can be
	Reason   string
}

// ReportRefund is what the provider says of money that it gave back.
type ReportRefund struct {
	RefundID string
	Amount   int64
	Currency string
	Reason   string // may be empty
}

// Refund decides whether money is given back. The provider still has to be told to, except for cash. A refund that is
// known is no event.
func (p Payment) Refund(cmd RefundRequest) ([]domain.Event, error) {
	if err := p.checkExists(); err != nil {
		return nil, err
	}
	if err := domain.CheckText("reason", cmd.Reason, 1, maxReason); err != nil {
		return nil, err
	}
	if _, known := p.refund(cmd.RefundID); known {
		return nil, nil
	}
	amount := p.Refundable()
	if cmd.Amount != nil {
		if amount = *cmd.Amount; amount <= 0 {
			return nil, errNoAmount()
		}
	}
	if amount <= 0 || amount > p.Refundable() {
		return nil, p.refuseRefund(p.Refundable())
	}
	return []domain.Event{Refunded{Of: p.of(), RefundID: cmd.RefundID, Amount: amount, Reason: cmd.Reason}}, nil
}

// ReportRefund decides on money that the provider gave back. When it tells of that before it tells of the capture, the
// refund waits for it. A refund that is known is no event.
func (p Payment) ReportRefund(cmd ReportRefund) ([]domain.Event, error) {
	if err := p.checkProvider(StatusRefunded); err != nil {
		return nil, err
	}
	if err := cmd.validate(); err != nil {
		return nil, err
	}
	if cmd.Currency != p.Currency {
		return nil, domain.Errorf(domain.CodeAmountMismatch,
			"payment %s is in %s and not in %s: have the provider look into it", p.ID, p.Currency, cmd.Currency).
			With("paymentId", p.ID).With("currency", p.Currency)
	}
	// One that the provider had refused and made after all is counted as any other.
	if known, ok := p.refund(cmd.RefundID); ok && known.Status != RefundRefused {
		if known.Amount != cmd.Amount {
			return nil, domain.Errorf(domain.CodeAmountMismatch,
				"refund %s of payment %s is of %d minor units and not of %d: have the provider look into it", known.ID, p.ID, known.Amount, cmd.Amount).
				With("paymentId", p.ID).With("amount", known.Amount)
		}
		return nil, nil
	}
	if p.Captured == 0 {
		return p.reportEarly(cmd)
	}
	if cmd.Amount > p.Refundable() {
		return nil, p.refuseRefund(p.Refundable())
	}
	return []domain.Event{Refunded{
		Of: p.of(), RefundID: cmd.RefundID, Amount: cmd.Amount, Reason: cmp.Or(cmd.Reason, reasonProvider), ByProvider: true,
	}}, nil
}

func (cmd ReportRefund) validate() error {
	if err := domain.CheckText("eventId", cmd.RefundID, 1, maxRefundID); err != nil {
		return err
	}
	if err := domain.CheckText("reason", cmd.Reason, 0, maxReason); err != nil {
		return err
	}
	if cmd.Amount <= 0 {
		return errNoAmount()
	}
	return nil
}

func (p Payment) reportEarly(cmd ReportRefund) ([]domain.Event, error) {
	// The sum cannot overflow: each one fitted into what the others had left of the amount.
	var reported int64
	for _, r := range p.Refunds {
		reported += r.Amount
	}
	if cmd.Amount > p.Amount-reported {
		return nil, p.refuseRefund(p.Amount - reported)
	}
	return []domain.Event{RefundReported{Of: p.of(), RefundID: cmd.RefundID, Amount: cmd.Amount}}, nil
}

// SettleRefund decides that the provider accepted a refund; reference is its name for it. It is no event when the
// refund is done or was refused already.
func (p Payment) SettleRefund(refundID, reference string) ([]domain.Event, error) {
	r, err := p.requested(refundID)
	if err != nil || r.Status != RefundRequested {
		return nil, err
	}
	return []domain.Event{RefundSettled{Of: p.of(), RefundID: r.ID, Reference: reference}}, nil
}

// FailRefund decides that the provider will never make a refund: the money is due again. It is no event when the
// refund is done or was refused already.
func (p Payment) FailRefund(refundID, reason string) ([]domain.Event, error) {
	r, err := p.requested(refundID)
	if err != nil || r.Status != RefundRequested {
		return nil, err
	}
	return []domain.Event{RefundFailed{Of: p.of(), RefundID: r.ID, Amount: r.Amount, Reason: reason}}, nil
}

func (p Payment) requested(refundID string) (Refund, error) {
	if err := p.checkExists(); err != nil {
		return Refund{}, err
	}
	r, ok := p.refund(refundID)
	if !ok {
		return Refund{}, domain.Errorf(domain.CodeNotFound, "payment %s has no refund %s: look up those that it has", p.ID, refundID)
	}
	return r, nil
}

func (p Payment) refund(id string) (Refund, bool) {
	if i := slices.IndexFunc(p.Refunds, func(r Refund) bool { return r.ID == id }); i >= 0 {
		return p.Refunds[i], true
	}
	return Refund{}, false
}

func (p Payment) refuseRefund(refundable int64) error {
	what := "ask for less"
	if refundable == 0 {
		what = "wait until money came in, or leave it as it is"
	}
	return domain.Errorf(domain.CodeRefundExceeds, "no more than %d minor units of payment %s can be given back now: %s", refundable, p.ID, what).
		With("paymentId", p.ID).With("captured", p.Captured).With("refunded", p.Refunded).With("refundable", refundable)
}

func errNoAmount() error {
	return domain.Invalid("amount", "must be a whole number of minor units from 1 up")
}
