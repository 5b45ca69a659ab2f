package projections_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/projections"
)

func TestPaymentsAreShownByThemselvesAndByTheirOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	views := projections.NewViews(w.pool)
	start := func(order uuid.UUID, amount int64) payment.Of {
		of := ofPayment
		of.PaymentID, of.OrderID = uuid.New(), order
		w.append(t, payment.StreamType, of.PaymentID, payment.Started{Of: of, Amount: amount, CheckoutURL: "https://pay.example/1"})
		return of
	}
	mine, other := uuid.New(), uuid.New()
	first := start(mine, 1800)
	w.append(t, payment.StreamType, first.PaymentID, payment.Failed{Of: first, Amount: 1800, Reason: "no cover"})
	elsewhere := start(other, 500)
	second := start(mine, 1800)
	w.waitFor(t, 4) // so that what follows changes rows that are there
	w.append(t, payment.StreamType, second.PaymentID, payment.Captured{Of: second, Amount: 1800})
	last := w.append(t, payment.StreamType, second.PaymentID, payment.Refunded{Of: second, RefundID: "r1", Amount: 300, Reason: "cold", ByProvider: true})
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}

	p, seq, err := views.Payment(t.Context(), second.PaymentID)
	if err != nil || seq != last || p.Status != payment.StatusPartiallyRefunded || p.Captured != 1800 || p.Refunded != 300 ||
		p.Version != 3 || len(p.Refunds) != 1 || p.CheckoutURL == "" {
		t.Errorf("the payment is %+v at %d, %v", p, seq, err)
	}
	all, seq, err := views.OrderPayments(t.Context(), mine)
	if err != nil || seq != last || len(all) != 2 || all[0].ID != first.PaymentID || all[1].ID != second.PaymentID {
		t.Errorf("the order's payments are %+v at %d, %v", all, seq, err)
	}
	if all, _, err = views.OrderPayments(t.Context(), other); err != nil || len(all) != 1 || all[0].ID != elsewhere.PaymentID {
		t.Errorf("the other order's payments are %+v, %v", all, err)
	}
	if all, seq, err = views.OrderPayments(t.Context(), uuid.New()); err != nil || all == nil || len(all) != 0 || seq != last {
		t.Errorf("an order that is not there has payments %v at %d, %v", all, seq, err)
	}
	if _, _, err := views.Payment(t.Context(), uuid.New()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("a payment that is not there: %v", err)
	}
}

func TestOfVeryManyPaymentsOfAnOrderTheNewestAreShown(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	of := ofPayment
	var last int64
	var ids []uuid.UUID
	for range 203 {
		of.PaymentID = uuid.New()
		ids = append(ids, of.PaymentID)
		last = w.append(t, payment.StreamType, of.PaymentID, payment.Started{Of: of, Amount: 1})
	}
	w.project(t)
	views := projections.NewViews(w.pool)
	if err := views.WaitFor(t.Context(), last); err != nil {
		t.Fatal(err)
	}
	all, _, err := views.OrderPayments(t.Context(), of.OrderID)
	if err != nil || len(all) != 200 || all[0].ID != ids[3] || all[199].ID != ids[202] {
		t.Errorf("%d payments, %v", len(all), err)
	}
}
