package commands

import (
	"cmp"
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// The types of a [ProviderEvent].
const (
	ProviderCaptured = "payment.captured"
	ProviderFailed   = "payment.failed"
	ProviderRefunded = "payment.refunded"
)

// ProviderEvent is what the payment provider says became of a payment.
type ProviderEvent struct {
	EventID   string // of the provider's; one that was carried out before changes nothing. At most 255 characters
	PaymentID uuid.UUID
	Type      string // a Provider… constant
	Amount    int64  // minor units
	Currency  string
	Reason    string // may be empty
	// RefundID is, of a refund, the id under which the provider was told to make it, or its own; a refund that is known
	// by it changes nothing. Empty: EventID.
	RefundID string
}

// SettleRefund asks to tell the provider of a refund.
type SettleRefund struct {
	PaymentID uuid.UUID
	RefundID  string
}

// providerFingerprint is the same for all of a provider's events: one whose id is known is the one that is known,
// whatever else it says.
var providerFingerprint = []byte("provider event")

// ProviderEvent records what the provider says became of a payment, in whatever order it says so. Money that came in
// is recorded also when nobody waits for it any more, and is then due to be given back. An event id that was carried
// out before changes nothing and gets the answer from then; one that was refused is looked at anew. Only the program
// itself may, on a message that the provider signed; Request.Key is not looked at.
func (s *Service) ProviderEvent(ctx context.Context, req Request, cmd ProviderEvent) (Outcome[payment.Payment], error) {
	if err := domain.CheckText("eventId", cmd.EventID, 1, maxKey); err != nil {
		return Outcome[payment.Payment]{}, err
	}
	req.Key, req.Fingerprint = cmd.EventID, providerFingerprint
	c := command{name: "say what became of a payment", roles: []domain.Role{domain.RoleSystem}, asked: cmd}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[payment.Payment], error) {
		if !slices.Contains([]string{ProviderCaptured, ProviderFailed, ProviderRefunded}, cmd.Type) {
			return change[payment.Payment]{}, domain.Invalid("type", "must be one of %s, %s, %s", ProviderCaptured, ProviderFailed, ProviderRefunded)
		}
		p, err := s.loadPaid(ctx, cmd.PaymentID)
		if err != nil {
			return change[payment.Payment]{}, err
		}
		switch cmd.Type {
		case ProviderCaptured:
			return p.captured(cmd)
		case ProviderFailed:
			return p.failed(cmd)
		default:
			return p.refunded(cmd)
		}
	})
}

func (p paid) captured(cmd ProviderEvent) (change[payment.Payment], error) {
	live := p.order.state.PaymentID
	events, err := p.payment.state.Capture(payment.Capture{
		Amount: cmd.Amount, Currency: cmd.Currency,
		OrderCancelled: p.order.state.Status == order.StatusCancelled,
		OtherLive:      live != "" && live != p.payment.state.ID.String(),
	})
	if err != nil {
		return change[payment.Payment]{}, err
	}
	ofOrder := p.closedWhenGivenBack(events)
	if len(events) > 0 && p.payment.after(events).Live() {
		// It may have failed before: then the order had none any more.
		ofOrder = p.order.state.ReopenPayment(p.payment.state.ID)
	}
	return p.change(events, ofOrder)
}

func (p paid) failed(cmd ProviderEvent) (change[payment.Payment], error) {
	events, err := p.payment.state.Fail(cmd.Reason)
	if err != nil || len(events) == 0 {
		return p.orElse(err)
	}
	return p.change(events, p.order.state.ClosePayment(p.payment.state.ID))
}

func (p paid) refunded(cmd ProviderEvent) (change[payment.Payment], error) {
	refundID := cmp.Or(cmd.RefundID, cmd.EventID)
	if id, err := uuid.Parse(refundID); err == nil {
		refundID = id.String() // in whatever case the provider writes it
	}
	events, err := p.payment.state.ReportRefund(payment.ReportRefund{
		RefundID: refundID, Amount: cmd.Amount, Currency: cmd.Currency, Reason: cmd.Reason,
	})
	if err != nil {
		return change[payment.Payment]{}, err
	}
	return p.change(events, p.closedWhenGivenBack(events))
}

// orElse is the change that there is none, or the refusal.
func (p paid) orElse(err error) (change[payment.Payment], error) {
	if err != nil {
		return change[payment.Payment]{}, err
	}
	return p.change(nil, nil)
}

// SettleRefund tells the provider of a refund that it was not told of yet, and records its answer: the money is on its
// way, or is due again because the provider will never give it back. What was settled before stays as it is. Only the
// program itself may. After provider_unavailable nothing is recorded, and asking again gives nothing back twice.
func (s *Service) SettleRefund(ctx context.Context, req Request, cmd SettleRefund) (Outcome[payment.Payment], error) {
	t := settling{service: s, cmd: cmd}
	c := command{name: "settle a refund", roles: []domain.Role{domain.RoleSystem}, asked: cmd}
	return execute(ctx, s, req, c, t.decide)
}

// settling is one SettleRefund over all its attempts.
type settling struct {
	service   *Service
	cmd       SettleRefund
	answered  bool // the provider has
	reference string
	refused   error // for good; nil: accepted
}

func (t *settling) decide(ctx context.Context) (change[payment.Payment], error) {
	p, err := load(ctx, t.service, paymentStream(t.cmd.PaymentID), payment.Payment{})
	if err != nil {
		return change[payment.Payment]{}, err
	}
	i := slices.IndexFunc(p.state.Refunds, func(r payment.Refund) bool { return r.ID == t.cmd.RefundID })
	if i >= 0 && p.state.Refunds[i].Status == payment.RefundRequested {
		if err := t.ask(ctx, p.state, p.state.Refunds[i]); err != nil {
			return change[payment.Payment]{}, err
		}
	}
	var events []domain.Event
	if t.refused != nil {
		events, err = p.state.FailRefund(t.cmd.RefundID, storable(t.refused.Error()))
	} else {
		events, err = p.state.SettleRefund(t.cmd.RefundID, storable(t.reference))
	}
	if err != nil {
		return change[payment.Payment]{}, err
	}
	return decided(p, events)
}

// ask tells the provider, once.
func (t *settling) ask(ctx context.Context, p payment.Payment, r payment.Refund) error {
	if t.answered {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, t.service.opts.ProviderTimeout)
	defer cancel()
	reference, err := t.service.provider.Refund(limited, payment.ProviderRefund{
		RefundID: r.ID, PaymentID: p.ID, Reference: p.Reference, Amount: r.Amount, Currency: p.Currency,
	})
	if err != nil && !errors.Is(err, payment.ErrRefundRefused) {
		return errProvider(err)
	}
	t.answered, t.reference, t.refused = true, reference, err
	return nil
}

// storable makes what a provider says fit for the log: a text that could not be stored would keep its refund from
// ever being settled.
func storable(text string) string {
	const most = 500 // characters
	runes := []rune(strings.ReplaceAll(strings.ToValidUTF8(text, "?"), "\x00", "?"))
	return string(runes[:min(len(runes), most)])
}
