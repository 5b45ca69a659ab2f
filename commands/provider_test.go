package commands_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// provider is the actor on whose behalf a signed message of the payment provider is carried out.
var provider = commands.Actor{UserID: "payment-provider", Role: domain.RoleSystem}

func (s *shop) tell(eventID string, p payment.Payment, typ string, amount int64) (commands.Outcome[payment.Payment], error) {
	s.t.Helper()
	return s.ProviderEvent(s.t.Context(), by(provider), commands.ProviderEvent{
		EventID: eventID, PaymentID: p.ID, Type: typ, Amount: amount, Currency: "EUR",
	})
}

// told has the provider tell of something under a new event id.
func (s *shop) told(p payment.Payment, typ string, amount int64) payment.Payment {
	s.t.Helper()
	return must(s.tell(uuid.NewString(), p, typ, amount))(s.t)
}

// captured is a card payment of an order that came in.
func (s *shop) captured(o order.Order) payment.Payment {
	s.t.Helper()
	return s.told(s.start(o, "card"), commands.ProviderCaptured, 900)
}

func TestTheProviderTellsWhatBecomesOfAPayment(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	p := s.start(o, "card")
	out, err := s.tell("e-1", p, commands.ProviderCaptured, 900)
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, payment.Payment{}, payment.StreamType, p.ID, out)
	if out.Value.Captured != 900 || s.order(o.ID).PaymentID != p.ID.String() {
		t.Errorf("captured %+v, order %+v", out.Value, s.order(o.ID))
	}
	if p = s.told(p, commands.ProviderRefunded, 400); p.Refunded != 400 || s.order(o.ID).PaymentID == "" {
		t.Errorf("refunded %+v", p)
	}
	if p = s.told(p, commands.ProviderRefunded, 500); p.Status != payment.StatusRefunded || s.order(o.ID).PaymentID != "" {
		t.Errorf("refunded the rest: %+v, order %+v", p, s.order(o.ID))
	}
}

func TestAnEventOfTheProviderCountsOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	p := s.start(o, "card")
	first, err := s.tell("e-1", p, commands.ProviderCaptured, 900)
	if err != nil {
		t.Fatal(err)
	}
	s.told(p, commands.ProviderRefunded, 100)
	events := len(s.store.Events())
	for name, cmd := range map[string]commands.ProviderEvent{
		"the same":               {EventID: "e-1", PaymentID: p.ID, Type: commands.ProviderCaptured, Amount: 900, Currency: "EUR"},
		"of another type":        {EventID: "e-1", PaymentID: p.ID, Type: commands.ProviderRefunded, Amount: 100, Currency: "EUR"},
		"of another payment":     {EventID: "e-1", PaymentID: uuid.New(), Type: commands.ProviderCaptured, Amount: 900, Currency: "EUR"},
		"with a body that is no": {EventID: "e-1", Type: "payment.what"},
	} {
		again, err := s.ProviderEvent(t.Context(), by(provider), cmd)
		if err != nil || !again.Replayed || !reflect.DeepEqual(again.Value, first.Value) || again.Seq != first.Seq {
			t.Errorf("%s: %+v, %v; want the first answer, %+v", name, again, err, first)
		}
	}
	if got := s.types(events); got != "" {
		t.Errorf("a repeated event added %s", got)
	}
	// A known capture under a new id is no event either, and its id is kept.
	for _, replayed := range []bool{false, true} {
		out, err := s.tell("e-2", p, commands.ProviderCaptured, 900)
		if err != nil || out.Replayed != replayed || s.types(events) != "" {
			t.Errorf("captured again: %+v, %v, events %q", out, err, s.types(events))
		}
	}
}

func TestOfTheSameEventTwiceAtOnceOneCounts(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.start(s.placed(), "card")
	s.told(p, commands.ProviderCaptured, 900)
	s.onNextAppend(func() { must(s.tell("e-1", p, commands.ProviderRefunded, 500))(t) })
	out, err := s.tell("e-1", p, commands.ProviderRefunded, 500)
	if err != nil || !out.Replayed || s.payment(p.ID).Refunded != 500 {
		t.Errorf("told twice: %+v, %v; payment %+v", out, err, s.payment(p.ID))
	}
}

func TestWhatTheProviderSaysIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p, cash := s.start(s.placed(), "card"), s.start(s.placed(), "cod")
	for name, c := range map[string]struct {
		by   commands.Actor
		cmd  commands.ProviderEvent
		code domain.Code
	}{
		"of no payment":             {provider, commands.ProviderEvent{EventID: "e", PaymentID: uuid.New(), Type: commands.ProviderCaptured}, domain.CodeNotFound},
		"of another amount":         {provider, commands.ProviderEvent{EventID: "e", PaymentID: p.ID, Type: commands.ProviderCaptured, Amount: 899, Currency: "EUR"}, domain.CodeAmountMismatch},
		"in another currency":       {provider, commands.ProviderEvent{EventID: "e", PaymentID: p.ID, Type: commands.ProviderCaptured, Amount: 900, Currency: "INR"}, domain.CodeAmountMismatch},
		"of too large a refund":     {provider, commands.ProviderEvent{EventID: "e", PaymentID: p.ID, Type: commands.ProviderRefunded, Amount: 901, Currency: "EUR"}, domain.CodeRefundExceeds},
		"of cash":                   {provider, commands.ProviderEvent{EventID: "e", PaymentID: cash.ID, Type: commands.ProviderCaptured, Amount: 900, Currency: "EUR"}, domain.CodeInvalidTransition},
		"of a type that is none":    {provider, commands.ProviderEvent{EventID: "e", PaymentID: p.ID, Type: "payment.what"}, domain.CodeInvalidRequest},
		"without an id":             {provider, commands.ProviderEvent{PaymentID: p.ID, Type: commands.ProviderCaptured}, domain.CodeInvalidRequest},
		"when it was not its":       {admin, commands.ProviderEvent{EventID: "e", PaymentID: p.ID, Type: commands.ProviderFailed}, domain.CodeForbidden},
		"when a customer claims so": {customer, commands.ProviderEvent{EventID: "e", PaymentID: p.ID, Type: commands.ProviderCaptured, Amount: 900, Currency: "EUR"}, domain.CodeForbidden},
	} {
		if _, err := s.ProviderEvent(t.Context(), by(c.by), c.cmd); domain.CodeOf(err) != c.code {
			t.Errorf("%s: %v; want %s", name, err, c.code)
		}
	}
	// None of those used the id up.
	if out, err := s.tell("e", p, commands.ProviderCaptured, 900); err != nil || out.Replayed {
		t.Errorf("told right at last: %+v, %v", out, err)
	}
}

func TestMoneyThatComesInLateIsKeptOrDue(t *testing.T) {
	t.Parallel()
	t.Run("after the payment failed", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.told(s.start(o, "card"), commands.ProviderFailed, 900)
		if p.Status != payment.StatusFailed || s.order(o.ID).PaymentID != "" {
			t.Errorf("failed %+v, order %+v", p, s.order(o.ID))
		}
		p = s.told(p, commands.ProviderCaptured, 900)
		if p.Captured != 900 || p.RefundDue != 0 || s.order(o.ID).PaymentID != p.ID.String() {
			t.Errorf("captured %+v, order %+v: want it to be the live one again", p, s.order(o.ID))
		}
	})
	t.Run("after another payment took its place", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		late := s.told(s.start(o, "card"), commands.ProviderFailed, 900)
		other := s.captured(o)
		late = s.told(late, commands.ProviderCaptured, 900)
		if late.RefundDue != 900 || s.order(o.ID).PaymentID != other.ID.String() {
			t.Errorf("captured %+v, order %+v: want all of it due", late, s.order(o.ID))
		}
		must(s.RefundPayment(t.Context(), by(admin), commands.RefundPayment{PaymentID: late.ID, Reason: "twice"}))(t)
		if s.order(o.ID).PaymentID != other.ID.String() {
			t.Error("giving back one payment closed the other")
		}
	})
	t.Run("after the order was cancelled", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.start(o, "card")
		s.cancel(o)
		if p = s.told(p, commands.ProviderCaptured, 900); p.RefundDue != 900 || s.order(o.ID).PaymentID != "" {
			t.Errorf("captured %+v, order %+v", p, s.order(o.ID))
		}
		wantSettled(s, o.ID, p.ID)
	})
	t.Run("while the order is cancelled", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.start(o, "card")
		s.onNextAppend(func() { s.cancel(o) })
		if p = s.told(p, commands.ProviderCaptured, 900); p.RefundDue != 900 {
			t.Errorf("captured %+v", p)
		}
		wantSettled(s, o.ID, p.ID)
	})
	t.Run("while another payment is started", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.told(s.start(o, "card"), commands.ProviderFailed, 900)
		s.onNextAppend(func() { s.start(o, "cod") })
		if p = s.told(p, commands.ProviderCaptured, 900); p.RefundDue != 900 || s.order(o.ID).PaymentID == p.ID.String() {
			t.Errorf("captured %+v, order %+v", p, s.order(o.ID))
		}
	})
	t.Run("after it was given back", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.told(s.start(o, "card"), commands.ProviderRefunded, 900)
		if p.Refunded != 0 {
			t.Errorf("counted before the capture: %+v", p)
		}
		if p = s.told(p, commands.ProviderCaptured, 900); p.Status != payment.StatusRefunded || s.order(o.ID).PaymentID != "" {
			t.Errorf("captured %+v, order %+v", p, s.order(o.ID))
		}
	})
}

func TestFailingIsForPendingPayments(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	p := s.captured(o)
	before := len(s.store.Events())
	if p = s.told(p, commands.ProviderFailed, 900); p.Captured != 900 || s.types(before) != "" || s.order(o.ID).PaymentID == "" {
		t.Errorf("failed after it was captured: %+v, events %q", p, s.types(before))
	}
}

func (s *shop) settle(p payment.Payment) (commands.Outcome[payment.Payment], error) {
	s.t.Helper()
	return s.SettleRefund(s.t.Context(), by(commands.Actor{UserID: "orderlog", Role: domain.RoleSystem}),
		commands.SettleRefund{PaymentID: p.ID, RefundID: p.Refunds[0].ID})
}

func (s *shop) refunded(amount int64) payment.Payment {
	s.t.Helper()
	p := s.captured(s.placed())
	return must(s.RefundPayment(s.t.Context(), by(admin), commands.RefundPayment{PaymentID: p.ID, Amount: &amount, Reason: "cold"}))(s.t)
}

func TestTheProviderIsToldOfARefundOnce(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.refunded(300)
	for range 2 {
		out, err := s.settle(p)
		if err != nil {
			t.Fatal(err)
		}
		wantShown(s, payment.Payment{}, payment.StreamType, p.ID, out)
		if r := out.Value.Refunds[0]; r.Status != payment.RefundDone {
			t.Errorf("settled %+v", r)
		}
	}
	asked := payment.ProviderRefund{RefundID: p.Refunds[0].ID, PaymentID: p.ID, Reference: p.Reference, Amount: 300, Currency: "EUR"}
	if len(s.bank.refunds) != 1 || s.bank.refunds[0] != asked {
		t.Errorf("the provider was asked for %+v; want %+v once", s.bank.refunds, asked)
	}
}

// A provider reports also the refunds that it was told to make: by the id it was told they are known already.
func TestARefundThatTheProviderWasToldToMakeIsNotCountedAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.refunded(300)
	report := commands.ProviderEvent{
		EventID: "evt-9", PaymentID: p.ID, Type: commands.ProviderRefunded, Amount: 300, Currency: "EUR", RefundID: p.Refunds[0].ID,
	}
	if out, err := s.ProviderEvent(t.Context(), by(provider), report); err != nil || out.Value.Refunded != 300 || len(out.Value.Refunds) != 1 {
		t.Errorf("reported %+v, %v", out.Value, err)
	}
	report.EventID, report.RefundID = "evt-9b", strings.ToUpper(report.RefundID)
	if out, err := s.ProviderEvent(t.Context(), by(provider), report); err != nil || out.Value.Refunded != 300 {
		t.Errorf("reported in other letters %+v, %v", out.Value, err)
	}
	report.EventID, report.Amount = "evt-9c", 299
	if _, err := s.ProviderEvent(t.Context(), by(provider), report); domain.CodeOf(err) != domain.CodeAmountMismatch {
		t.Errorf("reported with another amount: %v", err)
	}
	report.EventID, report.Amount, report.RefundID = "evt-10", 300, "" // one of its own
	if out, err := s.ProviderEvent(t.Context(), by(provider), report); err != nil || out.Value.Refunded != 600 {
		t.Errorf("reported %+v, %v", out.Value, err)
	}
}

// Users cannot use up the ids of the provider's events, whatever they are called.
func TestTheProvidersKeysAreItsOwn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := must(s.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: s.placed().ID, Method: "card"}))(t)
	namesake := by(commands.Actor{UserID: provider.UserID, Role: domain.RoleCustomer})
	namesake.Key = "evt-1"
	if _, err := s.ReadAllNotifications(t.Context(), namesake); err != nil {
		t.Fatal(err)
	}
	out, err := s.ProviderEvent(t.Context(), by(provider), commands.ProviderEvent{
		EventID: "evt-1", PaymentID: p.ID, Type: commands.ProviderCaptured, Amount: p.Amount, Currency: p.Currency,
	})
	if err != nil || out.Replayed || out.Value.Captured != p.Amount {
		t.Errorf("captured %+v, %v", out, err)
	}
}

func TestARefundThatTheProviderRefusesIsDueAgain(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.refunded(300)
	s.bank.fail(fmt.Errorf("card closed\x00\xff %s: %w", strings.Repeat("x", 600), payment.ErrRefundRefused))
	out, err := s.settle(p)
	if err != nil {
		t.Fatal(err)
	}
	if p := out.Value; p.Refunded != 0 || p.RefundDue != 300 || p.Refunds[0].Status != payment.RefundRefused {
		t.Errorf("refused %+v", p)
	}
	if _, err := s.settle(p); err != nil || len(s.bank.refunds) != 1 {
		t.Errorf("settled again: %v, asked %d times", err, len(s.bank.refunds))
	}
}

func TestARefundWaitsForAProviderThatDoesNotAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		p := s.refunded(300)
		s.bank.fail(errors.New("bad gateway"))
		_, err := s.settle(p)
		wantCode(t, err, domain.CodeProviderUnavailable)
		s.bank.fail(nil)
		s.bank.Meanwhile = func(ctx context.Context) { <-ctx.Done() }
		start := time.Now()
		_, err = s.settle(p)
		wantCode(t, err, domain.CodeProviderUnavailable)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("waited %s; want 5 s", took)
		}
		if r := s.payment(p.ID).Refunds[0]; r.Status != payment.RefundRequested {
			t.Errorf("refund %+v", r)
		}
		s.bank.Meanwhile = nil
		must(s.settle(p))(t)
	})
}

// The provider tells of something else about the payment while it is told of the refund.
func TestSettlingARefundIsDecidedAnewWithoutAskingAnew(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.refunded(300)
	s.onNextAppend(func() { s.told(p, commands.ProviderRefunded, 100) })
	out, err := s.settle(p)
	if err != nil || out.Value.Refunded != 400 || len(s.bank.refunds) != 1 {
		t.Errorf("settled %+v, %v; asked %d times", out, err, len(s.bank.refunds))
	}
	_, err = s.SettleRefund(t.Context(), by(admin), commands.SettleRefund{PaymentID: p.ID, RefundID: p.Refunds[0].ID})
	wantCode(t, err, domain.CodeForbidden)
}
