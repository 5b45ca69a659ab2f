package order_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/order"
)

type decision = func(order.Order) ([]domain.Event, error)

var (
	customer = domain.Actor{UserID: "c1", Role: domain.RoleCustomer}
	stranger = domain.Actor{UserID: "c2", Role: domain.RoleCustomer}
	admin    = domain.Actor{UserID: "boss", Role: domain.RoleAdmin}
	courier  = domain.Actor{UserID: "a1", Role: domain.RoleDelivery}
	other    = domain.Actor{UserID: "a2", Role: domain.RoleDelivery}

	// The way of every order, and what its customer is told by default.
	life = []order.Status{
		order.StatusPlaced, order.StatusConfirmed, order.StatusPreparing,
		order.StatusReady, order.StatusOutForDelivery, order.StatusDelivered,
	}
	defaults = map[order.Status]string{
		order.StatusConfirmed:      "Your order has been confirmed",
		order.StatusPreparing:      "Your order is being prepared",
		order.StatusReady:          "Your order is ready",
		order.StatusOutForDelivery: "Your order is out for delivery",
		order.StatusDelivered:      "Your order has been delivered",
	}
	all = append([]order.Status{order.StatusCancelled}, life...)

	placed = order.Placed{
		OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
		Items:    []order.Item{{Product: dosa, Name: "Dosa", Quantity: 2, UnitPrice: 450, Total: 900}},
		Subtotal: 900, TotalAmount: 900, Currency: "EUR", DeliveryAddress: "1 Main St", PaymentMethod: "cod",
	}
)

func given(t *testing.T, events ...domain.Event) *domaintest.Scenario[order.Order] {
	t.Helper()
	return domaintest.Given[order.Order](t, events...)
}

// at returns the events of an order that has come to a status. From confirmed on it is
// assigned to courier.
func at(status order.Status) []domain.Event {
	events := []domain.Event{placed}
	if status == order.StatusCancelled {
		return append(events, cancelled(order.StatusPlaced, "", "changed my mind"))
	}
	for i := 0; life[i] != status; i++ {
		events = append(events, changed(life[i], life[i+1], "a1", ""))
	}
	return events
}

func changed(from, to order.Status, agent, message string) order.StatusChanged {
	if message == "" {
		message = defaults[to]
	}
	return order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: agent, From: from, To: to, Message: message}
}

func cancelled(from order.Status, agent, reason string) order.Cancelled {
	return order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: agent, From: from, Reason: reason}
}

func changeStatus(by domain.Actor, to order.Status, message string) decision {
	return func(o order.Order) ([]domain.Event, error) {
		return o.ChangeStatus(order.ChangeStatus{By: by, To: to, Message: message})
	}
}

func cancel(by domain.Actor, reason string) decision {
	return func(o order.Order) ([]domain.Event, error) { return o.Cancel(order.Cancel{By: by, Reason: reason}) }
}

// agentAt is the courier of an order that came to a status as at() has it.
func agentAt(status order.Status) string {
	return domaintest.Fold(order.Order{}, at(status)...).AgentID
}

func TestAnAdminTakesEachStepInOrderAndNoOther(t *testing.T) {
	t.Parallel()
	for _, from := range all {
		for _, to := range all {
			s := given(t, at(from)...).When(changeStatus(admin, to, ""))
			if next := from.Next(); len(next) == 1 && next[0] == to {
				s.Then(changed(from, to, agentAt(from), defaults[to]))
				continue
			}
			refusal := s.ThenError(domain.CodeInvalidTransition)
			if refusal.Details["from"] != from || refusal.Details["to"] != to || !reflect.DeepEqual(refusal.Details["allowed"], from.Next()) {
				t.Errorf("%s→%s: details %v", from, to, refusal.Details)
			}
		}
	}
}

func TestTheWayIsTheOneOfTheContract(t *testing.T) {
	t.Parallel()
	for i, s := range life[:len(life)-1] {
		if !reflect.DeepEqual(s.Next(), life[i+1:i+2]) || s.Final() {
			t.Errorf("from %s: next %v, final %v", s, s.Next(), s.Final())
		}
	}
	for _, s := range []order.Status{order.StatusDelivered, order.StatusCancelled} {
		if len(s.Next()) != 0 || s.Next() == nil || !s.Final() {
			t.Errorf("from %s: next %#v, final %v", s, s.Next(), s.Final())
		}
	}
}

func TestAMessageReplacesTheDefault(t *testing.T) {
	t.Parallel()
	given(t, placed).When(changeStatus(admin, order.StatusConfirmed, "Ten minutes")).
		Then(changed(order.StatusPlaced, order.StatusConfirmed, "", "Ten minutes"))
	given(t, placed).When(changeStatus(admin, order.StatusConfirmed, strings.Repeat("é", 501))).ThenInvalid("message")
}

func TestTheAssignedCourierDoesItsPartOnly(t *testing.T) {
	t.Parallel()
	given(t, at(order.StatusReady)...).When(changeStatus(courier, order.StatusOutForDelivery, "")).
		Then(changed(order.StatusReady, order.StatusOutForDelivery, "a1", ""))
	given(t, at(order.StatusOutForDelivery)...).When(changeStatus(courier, order.StatusDelivered, "")).
		Then(changed(order.StatusOutForDelivery, order.StatusDelivered, "a1", ""))

	given(t, at(order.StatusReady)...).When(changeStatus(courier, order.StatusDelivered, "")).ThenError(domain.CodeInvalidTransition)
	given(t, at(order.StatusPreparing)...).When(changeStatus(courier, order.StatusReady, "")).ThenError(domain.CodeForbidden)
	given(t, at(order.StatusReady)...).When(changeStatus(other, order.StatusOutForDelivery, "")).ThenError(domain.CodeForbidden)
}

func TestNobodyElseChangesTheStatus(t *testing.T) {
	t.Parallel()
	for _, by := range []domain.Actor{customer, stranger, {}, {UserID: "", Role: domain.RoleDelivery}, courier} {
		given(t, placed).When(changeStatus(by, order.StatusConfirmed, "")).ThenError(domain.CodeForbidden)
	}
}

func TestWhatIsNotThereCannotChange(t *testing.T) {
	t.Parallel()
	given(t).When(changeStatus(admin, order.StatusConfirmed, "")).ThenError(domain.CodeNotFound)
	given(t).When(cancel(admin, "late")).ThenError(domain.CodeNotFound)
	given(t, placed).When(changeStatus(admin, "eaten", "")).ThenInvalid("status")
	given(t, placed).When(changeStatus(admin, "", "")).ThenInvalid("status")
}

func TestCancelling(t *testing.T) {
	t.Parallel()
	for _, from := range all {
		byAdmin := given(t, at(from)...).When(cancel(admin, "closing early"))
		byCustomer := given(t, at(from)...).When(cancel(customer, "changed my mind"))
		if from.Final() {
			byAdmin.ThenError(domain.CodeInvalidTransition)
		} else {
			byAdmin.Then(cancelled(from, agentAt(from), "closing early"))
		}
		if from == order.StatusPlaced || from == order.StatusConfirmed {
			byCustomer.Then(cancelled(from, agentAt(from), "changed my mind"))
		} else {
			byCustomer.ThenError(domain.CodeInvalidTransition)
		}
		for _, by := range []domain.Actor{stranger, courier, other, {}} {
			given(t, at(from)...).When(cancel(by, "because")).ThenError(domain.CodeForbidden)
		}
	}
	for _, reason := range []string{"", "  ", strings.Repeat("é", 501), "a\x00"} {
		given(t, placed).When(cancel(admin, reason)).ThenInvalid("reason")
	}
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	want := order.Order{
		ID: orderID, OrderNumber: "ORD-000001", Status: order.StatusPlaced, CustomerID: "c1", CustomerName: "Ann",
		Items: placed.Items, Subtotal: 900, TotalAmount: 900, Currency: "EUR", DeliveryAddress: "1 Main St", PaymentMethod: "cod",
		PlacedAt: domaintest.At, UpdatedAt: domaintest.At, Version: 1,
	}
	got := domaintest.Fold(order.Order{}, placed, business.Opened{}) // one of another aggregate changes nothing
	if !reflect.DeepEqual(got, want) {
		t.Errorf("placed\n got %+v\nwant %+v", got, want)
	}
	later := domaintest.At.Add(time.Hour)
	want.Status, want.AgentID, want.UpdatedAt, want.Version = order.StatusConfirmed, "a1", later, 2
	if got = got.Apply(changed(order.StatusPlaced, order.StatusConfirmed, "a1", ""), later); !reflect.DeepEqual(got, want) {
		t.Errorf("confirmed\n got %+v\nwant %+v", got, want)
	}
	want.Status, want.CancelReason, want.Version = order.StatusCancelled, "late", 3
	if got = got.Apply(cancelled(order.StatusConfirmed, "a1", "late"), later); !reflect.DeepEqual(got, want) {
		t.Errorf("cancelled\n got %+v\nwant %+v", got, want)
	}
}

func TestAStateSharesNothingWithItsEvent(t *testing.T) {
	t.Parallel()
	e := placed
	e.Items = []order.Item{{Name: "Dosa"}}
	o := domaintest.Fold(order.Order{}, e)
	e.Items[0].Name = "changed"
	if o.Items[0].Name != "Dosa" {
		t.Error("a change of the event's items reached the state")
	}
}

func TestStampFillsTheTimesLeftOpen(t *testing.T) {
	t.Parallel()
	if got := (order.Order{}).Apply(placed, time.Time{}).Stamp(domaintest.At); !reflect.DeepEqual(got, domaintest.Fold(order.Order{}, placed)) {
		t.Errorf("stamped %+v", got)
	}
	later := domaintest.At.Add(time.Hour)
	step := changed(order.StatusPlaced, order.StatusConfirmed, "", "")
	before := domaintest.Fold(order.Order{}, placed)
	if got := before.Apply(step, time.Time{}).Stamp(later); !reflect.DeepEqual(got, before.Apply(step, later)) {
		t.Errorf("stamped %+v", got)
	}
}
