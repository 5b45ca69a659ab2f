package order_test

import (
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/order"
)

func assign(by domain.Actor, agent string) decision {
	return func(o order.Order) ([]domain.Event, error) {
		return o.Assign(order.Assign{By: by, AgentID: agent})
	}
}

func assigned(agent, previous string) order.Assigned {
	return order.Assigned{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: agent, PreviousAgentID: previous}
}

func TestAnAdminAssignsUntilTheOrderIsFinal(t *testing.T) {
	t.Parallel()
	for _, from := range all {
		s := given(t, at(from)...).When(assign(admin, "a2"))
		if !from.Final() {
			s.Then(assigned("a2", agentAt(from)))
			continue
		}
		refusal := s.ThenError(domain.CodeOrderNotActive)
		if refusal.Details["orderStatus"] != from {
			t.Errorf("details %v of an order that is %s", refusal.Details, from)
		}
		// Also to the courier who has it.
		given(t, at(from)...).When(assign(admin, "a1")).ThenError(domain.CodeOrderNotActive)
	}
}

func TestAssigningMovesTheOrder(t *testing.T) {
	t.Parallel()
	given(t, placed, assigned("a1", "")).When(assign(admin, "a2")).Then(assigned("a2", "a1"))
	given(t, placed, assigned("a1", "")).When(assign(admin, "a1")).Then() // as it is already
	moved := []domain.Event{placed, assigned("a1", ""), assigned("a2", "a1"), changed(order.StatusPlaced, order.StatusConfirmed, "a2", "")}
	if o := domaintest.Fold(order.Order{}, moved...); o.AgentID != "a2" || o.Version != 4 {
		t.Errorf("state %+v", o)
	}
	// The courier who lost it has no more part in it.
	ready := append(moved, changed(order.StatusConfirmed, order.StatusPreparing, "a2", ""), changed(order.StatusPreparing, order.StatusReady, "a2", ""))
	given(t, ready...).When(changeStatus(courier, order.StatusOutForDelivery, "")).ThenError(domain.CodeForbidden)
	given(t, ready...).When(changeStatus(other, order.StatusOutForDelivery, "")).
		Then(changed(order.StatusReady, order.StatusOutForDelivery, "a2", ""))
}

func TestNobodyElseAssigns(t *testing.T) {
	t.Parallel()
	for _, by := range []domain.Actor{customer, courier, {}} {
		given(t, placed).When(assign(by, "a1")).ThenError(domain.CodeForbidden)
	}
	given(t).When(assign(admin, "a1")).ThenError(domain.CodeNotFound)
	for _, agent := range []string{"", " ", strings.Repeat("é", 129), "a\x00"} {
		given(t, placed).When(assign(admin, agent)).ThenInvalid("agentId")
	}
}

func TestOnlyAnActiveOrderIsWorkedOn(t *testing.T) {
	t.Parallel()
	for _, s := range all {
		if err := domaintest.Fold(order.Order{}, at(s)...).CheckActive(); (err == nil) == s.Final() {
			t.Errorf("%s: %v", s, err)
		}
	}
	if err := (order.Order{}).CheckActive(); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("an order that does not exist: %v", err)
	}
}

func openPayment(id uuid.UUID) decision {
	return func(o order.Order) ([]domain.Event, error) { return o.OpenPayment(id) }
}

func TestAnOrderHasOneLivePayment(t *testing.T) {
	t.Parallel()
	one, two := paymentIDs[0], paymentIDs[1]
	opened, closed := order.PaymentOpened{OrderID: orderID, PaymentID: one}, order.PaymentClosed{OrderID: orderID, PaymentID: one}
	given(t, placed).When(openPayment(one)).Then(opened)
	given(t, at(order.StatusDelivered)...).When(openPayment(one)).Then(opened)
	given(t, placed, opened, closed).When(openPayment(two)).Then(order.PaymentOpened{OrderID: orderID, PaymentID: two})

	refusal := given(t, placed, opened).When(openPayment(two)).ThenError(domain.CodePaymentExists)
	if refusal.Details["paymentId"] != one.String() {
		t.Errorf("the details %v do not name the live payment", refusal.Details)
	}
	given(t).When(openPayment(one)).ThenError(domain.CodeNotFound)
	given(t, at(order.StatusCancelled)...).When(openPayment(one)).ThenError(domain.CodeOrderNotActive)
	given(t, append(at(order.StatusCancelled), opened)...).When(openPayment(two)).ThenError(domain.CodeOrderNotActive)
	free := placed
	free.Discount, free.TotalAmount = free.Subtotal, 0
	given(t, free).When(openPayment(one)).ThenError(domain.CodeNothingToPay)
}

func TestAPaymentIsClosedAndReopened(t *testing.T) {
	t.Parallel()
	one, two := paymentIDs[0], paymentIDs[1]
	closePayment := func(id uuid.UUID) decision {
		return func(o order.Order) ([]domain.Event, error) { return o.ClosePayment(id), nil }
	}
	reopen := func(id uuid.UUID) decision {
		return func(o order.Order) ([]domain.Event, error) { return o.ReopenPayment(id), nil }
	}
	opened := order.PaymentOpened{OrderID: orderID, PaymentID: one}
	given(t, placed, opened).When(closePayment(one)).Then(order.PaymentClosed{OrderID: orderID, PaymentID: one})
	given(t, placed, opened).When(closePayment(two)).Then()
	given(t, placed).When(closePayment(one)).Then()
	given(t, placed, opened, order.PaymentClosed{OrderID: orderID, PaymentID: two}).When(openPayment(two)).ThenError(domain.CodePaymentExists)

	given(t, placed).When(reopen(one)).Then(opened)
	given(t, at(order.StatusDelivered)...).When(reopen(one)).Then(opened)
	given(t, placed, opened).When(reopen(two)).Then()
	given(t, at(order.StatusCancelled)...).When(reopen(one)).Then()
	given(t).When(reopen(one)).Then()
}

func TestCancellingSaysWhatIsOwed(t *testing.T) {
	t.Parallel()
	want := cancelled(order.StatusPlaced, "", "late")
	want.RefundDue = 900
	given(t, placed).When(func(o order.Order) ([]domain.Event, error) {
		return o.Cancel(order.Cancel{By: admin, Reason: "late", RefundDue: 900})
	}).Then(want)
	if _, err := domaintest.Fold(order.Order{}, placed).Cancel(order.Cancel{By: admin, Reason: "late", RefundDue: -1}); err == nil {
		t.Error("less than nothing is owed")
	}
}
