package commands_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

func (s *shop) start(o order.Order, method string) payment.Payment {
	s.t.Helper()
	return must(s.StartPayment(s.t.Context(), by(customer), commands.StartPayment{OrderID: o.ID, Method: method}))(s.t)
}

func TestACardPaymentIsOpenedWithTheProvider(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	before := len(s.store.Events())
	out, err := s.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: o.ID, Method: "card"})
	if err != nil {
		t.Fatal(err)
	}
	p := out.Value
	wantShown(s, payment.Payment{}, payment.StreamType, p.ID, out)
	asked := payment.Checkout{PaymentID: p.ID, OrderNumber: o.OrderNumber, Amount: 900, Currency: "EUR", Method: payment.MethodCard}
	if len(s.bank.checkouts) != 1 || s.bank.checkouts[0] != asked {
		t.Errorf("the provider was asked for %+v; want %+v", s.bank.checkouts, asked)
	}
	if p.Status != payment.StatusPending || p.Reference != "ref-"+p.ID.String() || p.CheckoutURL != "https://pay.example/"+p.ID.String() {
		t.Errorf("started %+v", p)
	}
	if got := s.types(before); got != "payment.started order.payment_opened" || s.order(o.ID).PaymentID != p.ID.String() {
		t.Errorf("events %s, order %+v", got, s.order(o.ID))
	}
}

func TestCashNeedsNoProvider(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	if p := s.start(s.placed(), "cod"); p.Reference != "" || p.CheckoutURL != "" || len(s.bank.checkouts) != 0 {
		t.Errorf("started %+v", p)
	}
}

func TestStartingAPaymentRefuses(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	free := s.addProduct("Water", 0)
	o, cancelled, paying := s.placed(), s.cancel(s.placed()), s.placed()
	live := s.start(paying, "cod")
	cmd := s.wanted()
	cmd.Items[0].Product = free.ID.String()
	gift := must(s.PlaceOrder(t.Context(), by(customer), cmd))(t)
	before := len(s.store.Events())
	for name, c := range map[string]struct {
		by     commands.Actor
		order  uuid.UUID
		method string
		code   domain.Code
	}{
		"a method that is none":    {customer, o.ID, "gold", domain.CodeInvalidRequest},
		"no order":                 {customer, uuid.New(), "card", domain.CodeNotFound},
		"another's order":          {stranger, o.ID, "card", domain.CodeForbidden},
		"a cancelled order":        {customer, cancelled.ID, "card", domain.CodeOrderNotActive},
		"an order that is free":    {customer, gift.ID, "card", domain.CodeNothingToPay},
		"an order with a live one": {admin, paying.ID, "card", domain.CodePaymentExists},
	} {
		_, err := s.StartPayment(t.Context(), by(c.by), commands.StartPayment{OrderID: c.order, Method: c.method})
		if domain.CodeOf(err) != c.code {
			t.Errorf("%s: %v; want %s", name, err, c.code)
		}
		if c.code == domain.CodePaymentExists {
			wantDetail(t, err, "paymentId", live.ID.String())
		}
	}
	if len(s.store.Events()) != before || len(s.bank.checkouts) != 0 {
		t.Errorf("a refusal left events %q and checkouts %+v", s.types(before), s.bank.checkouts)
	}
}

func TestAProviderThatFailsLeavesNothing(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	down := errors.New("bad gateway")
	s.bank.fail(down)
	before := len(s.store.Events())
	_, err := s.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: o.ID, Method: "upi"})
	wantCode(t, err, domain.CodeProviderUnavailable)
	if !errors.Is(err, down) || len(s.store.Events()) != before {
		t.Errorf("error %v, events %q", err, s.types(before))
	}
	s.bank.fail(nil)
	s.start(o, "upi")
}

func TestAProviderThatHangsIsNotWaitedForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s := newShop(t)
		o := s.placed()
		s.bank.Meanwhile = func(ctx context.Context) { <-ctx.Done() }
		start := time.Now()
		_, err := s.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: o.ID, Method: "card"})
		wantCode(t, err, domain.CodeProviderUnavailable)
		if took := time.Since(start); took != 5*time.Second {
			t.Errorf("waited %s; want 5 s", took)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err = s.StartPayment(ctx, by(customer), commands.StartPayment{OrderID: o.ID, Method: "card"})
		wantCode(t, err, domain.CodeUnavailable) // the request ended, whatever the provider would have said
	})
}

func TestACheckoutIsOpenedOnceForAPayment(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	s.onNextAppend(func() { s.step(o) })
	if p := s.start(o, "card"); len(s.bank.checkouts) != 1 || s.bank.checkouts[0].PaymentID != p.ID {
		t.Errorf("checkouts %+v for payment %s", s.bank.checkouts, p.ID)
	}
}

func TestOfTwoPaymentsStartedAtOnceOneLives(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	s.onNextAppend(func() { s.start(o, "cod") })
	_, err := s.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: o.ID, Method: "card"})
	wantCode(t, err, domain.CodePaymentExists)
}

func TestAPaymentThatRacesWithCancellingIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	s.onNextAppend(func() { s.cancel(o) })
	_, err := s.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: o.ID, Method: "cod"})
	wantCode(t, err, domain.CodeOrderNotActive)
}

func TestCashIsCollectedByWhoCarriesTheOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	o := s.assign(s.placed(), raj)
	p := s.start(o, "cod")
	collect := func(a commands.Actor, id uuid.UUID) (commands.Outcome[payment.Payment], error) {
		return s.CollectPayment(t.Context(), by(a), commands.CollectPayment{PaymentID: id})
	}
	_, err := collect(sam, p.ID)
	wantCode(t, err, domain.CodeForbidden)
	s.delivered(o) // the door is open before the purse
	out, err := collect(raj, p.ID)
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, payment.Payment{}, payment.StreamType, p.ID, out)
	if out.Value.Captured != 900 || out.Value.CollectedBy != raj.UserID {
		t.Errorf("collected %+v", out.Value)
	}
	_, err = collect(admin, p.ID)
	wantCode(t, err, domain.CodeInvalidTransition)
	_, err = collect(admin, s.start(s.placed(), "card").ID)
	wantCode(t, err, domain.CodeInvalidTransition)
	_, err = collect(admin, uuid.New())
	wantCode(t, err, domain.CodeNotFound)
}

func TestCashIsNotCollectedByWhoHasJustLostTheOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	s.online(sam)
	o := s.assign(s.placed(), raj)
	p := s.start(o, "cod")
	s.onNextAppend(func() { s.assign(o, sam) })
	_, err := s.CollectPayment(t.Context(), by(raj), commands.CollectPayment{PaymentID: p.ID})
	wantCode(t, err, domain.CodeForbidden)
}

func TestMoneyIsGivenBackUpToWhatCameIn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	p := s.captured(o)
	refund := func(amount *int64) (commands.Outcome[payment.Payment], error) {
		return s.RefundPayment(t.Context(), by(admin), commands.RefundPayment{PaymentID: p.ID, Amount: amount, Reason: "cold"})
	}
	out, err := refund(new(int64(300)))
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, payment.Payment{}, payment.StreamType, p.ID, out)
	if s.order(o.ID).PaymentID == "" {
		t.Error("a payment that was given back in part is not the live one any more")
	}
	_, err = refund(new(int64(601)))
	wantCode(t, err, domain.CodeRefundExceeds)
	wantDetail(t, err, "refundable", int64(600))
	if out, err = refund(nil); err != nil || out.Value.Refunded != 900 || out.Value.Status != payment.StatusRefunded {
		t.Errorf("gave back the rest: %+v, %v", out, err)
	}
	if s.order(o.ID).PaymentID != "" {
		t.Error("a payment that was given back whole is still the live one")
	}
	_, err = refund(nil)
	wantCode(t, err, domain.CodeRefundExceeds)
	s.start(o, "card") // the customer may pay again
}

func TestOfTwoRefundsAtOnceNoMoreIsGivenBackThanCameIn(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	p := s.captured(s.placed())
	cmd := commands.RefundPayment{PaymentID: p.ID, Amount: new(int64(600)), Reason: "cold"}
	s.onNextAppend(func() { must(s.RefundPayment(t.Context(), by(admin), cmd))(t) })
	_, err := s.RefundPayment(t.Context(), by(admin), cmd)
	wantCode(t, err, domain.CodeRefundExceeds)
	if p := s.payment(p.ID); p.Refunded != 600 {
		t.Errorf("given back %d of %d", p.Refunded, p.Captured)
	}
}

func TestCancellingAnOrderSettlesItsPayment(t *testing.T) {
	t.Parallel()
	t.Run("that is pending", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.start(o, "card")
		before := len(s.store.Events())
		o = s.cancel(o)
		if got := s.types(before); got != "order.cancelled order.payment_closed payment.voided" {
			t.Errorf("events %s", got)
		}
		if p = s.payment(p.ID); p.Status != payment.StatusVoided || o.PaymentID != "" {
			t.Errorf("payment %+v, order %+v", p, o)
		}
	})
	t.Run("that is paid", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.captured(o)
		must(s.RefundPayment(t.Context(), by(admin), commands.RefundPayment{PaymentID: p.ID, Amount: new(int64(100)), Reason: "cold"}))(t)
		before := len(s.store.Events())
		s.cancel(o)
		if got := s.types(before); got != "order.cancelled payment.refund_due" {
			t.Errorf("events %s", got)
		}
		if p = s.payment(p.ID); p.RefundDue != 800 {
			t.Errorf("payment %+v; want 800 due", p)
		}
		if e := s.cancelledEvent(o.ID); e.RefundDue != 800 {
			t.Errorf("cancelled %+v; want 800 due", e)
		}
		must(s.RefundPayment(t.Context(), by(admin), commands.RefundPayment{PaymentID: p.ID, Reason: "cancelled"}))(t)
		wantSettled(s, o.ID, p.ID)
	})
	t.Run("that is paid at that moment", func(t *testing.T) {
		t.Parallel()
		s := newShop(t)
		o := s.placed()
		p := s.start(o, "card")
		s.onNextAppend(func() { s.told(p, commands.ProviderCaptured, 900) })
		s.cancel(o)
		if e := s.cancelledEvent(o.ID); e.RefundDue != 900 {
			t.Errorf("cancelled %+v; want 900 due", e)
		}
		wantSettled(s, o.ID, p.ID)
	})
}

func (s *shop) cancelledEvent(id uuid.UUID) order.Cancelled {
	s.t.Helper()
	for _, r := range s.store.Events() {
		if r.Type != (order.Cancelled{}).EventType() || r.Stream.ID != id {
			continue
		}
		e, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		return e.(order.Cancelled)
	}
	s.t.Fatal("the order is not cancelled")
	panic("unreachable")
}

// wantSettled requires that what came in for a cancelled order is given back, or due.
func wantSettled(s *shop, orderID uuid.UUID, payments ...uuid.UUID) {
	s.t.Helper()
	if o := s.order(orderID); o.Status != order.StatusCancelled {
		s.t.Errorf("order %+v is not cancelled", o)
	}
	for _, id := range payments {
		if p := s.payment(id); p.Captured != p.Refunded+p.RefundDue {
			s.t.Errorf("payment %+v: captured is not what is refunded and due", p)
		}
	}
}
