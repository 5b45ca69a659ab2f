package payment_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

type decision = func(payment.Payment) ([]domain.Event, error)

var (
	orderID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	id      = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000c")
	dosa    = uuid.MustParse("0190b5a0-0000-7000-8000-000000000001")

	admin    = domain.Actor{UserID: "boss", Role: domain.RoleAdmin}
	customer = domain.Actor{UserID: "c1", Role: domain.RoleCustomer}
	agent    = domain.Actor{UserID: "a1", Role: domain.RoleDelivery}

	placed = order.Placed{
		OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", CustomerName: "Ann",
		Subtotal: 1000, Discount: 100, TotalAmount: 900, Currency: "EUR", PaymentMethod: "card",
	}
	toPay = domaintest.Fold(order.Order{}, placed)

	byCard = payment.Of{PaymentID: id, OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Method: payment.MethodCard, Currency: "EUR"}
	inCash = payment.Of{PaymentID: id, OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Method: payment.MethodCash, Currency: "EUR"}

	started     = payment.Started{Of: byCard, Amount: 900, Reference: "ch_1", CheckoutURL: "https://pay.example/ch_1"}
	startedCash = payment.Started{Of: inCash, Amount: 900}
	captured    = payment.Captured{Of: byCard, Amount: 900}
	collected   = payment.Captured{Of: inCash, Amount: 900, CollectedBy: "a1"}
	failed      = payment.Failed{Of: byCard, Amount: 900, Reason: "declined"}
	voided      = payment.Voided{Of: byCard, Reason: "late"}
)

func given(t *testing.T, events ...domain.Event) *domaintest.Scenario[payment.Payment] {
	t.Helper()
	return domaintest.Given[payment.Payment](t, events...)
}

func start(change func(*payment.Start)) decision {
	cmd := payment.Start{PaymentID: id, Order: toPay, Method: "card", Reference: "ch_1", CheckoutURL: "https://pay.example/ch_1"}
	change(&cmd)
	return func(p payment.Payment) ([]domain.Event, error) { return p.Start(cmd) }
}

func collect(by domain.Actor, assigned bool) decision {
	return func(p payment.Payment) ([]domain.Event, error) { return p.Collect(by, assigned) }
}

func orderCancelled(p payment.Payment) ([]domain.Event, error) { return p.OrderCancelled("late") }

// refunded is money given back because an admin asked for it.
func refunded(of payment.Of, refundID string, amount int64) payment.Refunded {
	return payment.Refunded{Of: of, RefundID: refundID, Amount: amount, Reason: "cold"}
}

func due(of payment.Of, amount int64, reason string) payment.RefundDue {
	return payment.RefundDue{Of: of, Amount: amount, Reason: reason}
}

func TestStartingAsksForWhatTheOrderCosts(t *testing.T) {
	t.Parallel()
	given(t).When(start(func(*payment.Start) {})).Then(started)
	given(t).When(start(func(c *payment.Start) { c.Method = "cod" })).Then(startedCash) // no provider has a part in cash

	given(t, started).When(start(func(*payment.Start) {})).ThenError(domain.CodeVersionConflict)
	for _, method := range []string{"", "Card", "gold"} {
		given(t).When(start(func(c *payment.Start) { c.Method = method })).ThenInvalid("method")
	}
	given(t).When(start(func(c *payment.Start) { c.Order = order.Order{} })).ThenError(domain.CodeNotFound)
	given(t).When(start(func(c *payment.Start) { c.Order.Status = order.StatusCancelled })).ThenError(domain.CodeOrderNotActive)
	given(t).When(start(func(c *payment.Start) { c.Order.TotalAmount = 0 })).ThenError(domain.CodeNothingToPay)
}

func TestADeliveredOrderCanBePaid(t *testing.T) {
	t.Parallel()
	given(t).When(start(func(c *payment.Start) { c.Order.Status = order.StatusDelivered })).Then(started)
}

func TestAnOrderIsPlacedWithTheMethodsThatAPaymentKnows(t *testing.T) {
	t.Parallel()
	onMenu := map[uuid.UUID]menu.Product{dosa: {ID: dosa, Name: "Dosa", Price: 450, Currency: "EUR", Available: true, Version: 1}}
	for _, method := range payment.Methods() {
		cmd := order.Place{
			CustomerID: "c1", CustomerName: "Ann", Items: []order.PlaceItem{{Product: dosa, Quantity: 1}},
			DeliveryAddress: "1 Main St", PaymentMethod: string(method),
		}
		if _, err := (order.Order{}).Place(cmd, onMenu, nil); err != nil {
			t.Errorf("an order to be paid by %s: %v", method, err)
		}
	}
}

func TestCashIsCollectedByTheAssignedCourierOrAnAdmin(t *testing.T) {
	t.Parallel()
	given(t, startedCash).When(collect(agent, true)).Then(collected)
	given(t, startedCash).When(collect(admin, false)).Then(payment.Captured{Of: inCash, Amount: 900, CollectedBy: "boss"})
	given(t, startedCash).When(collect(agent, false)).ThenError(domain.CodeForbidden)
	given(t, startedCash).When(collect(customer, true)).ThenError(domain.CodeForbidden)
	given(t, startedCash).When(collect(domain.Actor{}, true)).ThenError(domain.CodeForbidden)
	given(t).When(collect(admin, false)).ThenError(domain.CodeNotFound)
}

func TestOnlyCashThatIsPendingIsCollected(t *testing.T) {
	t.Parallel()
	voidedCash := payment.Voided{Of: inCash, Reason: "late"}
	for from, events := range map[payment.Status][]domain.Event{
		payment.StatusPending:  {started},
		payment.StatusCaptured: {startedCash, collected},
		payment.StatusVoided:   {startedCash, voidedCash},
		payment.StatusRefunded: {startedCash, collected, refunded(inCash, "r1", 900)},
	} {
		refusal := given(t, events...).When(collect(admin, false)).ThenError(domain.CodeInvalidTransition)
		if refusal.Details["from"] != from || refusal.Details["to"] != payment.StatusCaptured || refusal.Details["allowed"] == nil {
			t.Errorf("from %s: details %v", from, refusal.Details)
		}
	}
}

func TestCancellingTheOrderVoidsOrMakesDue(t *testing.T) {
	t.Parallel()
	given(t, started).When(orderCancelled).Then(voided)
	given(t, started, captured).When(orderCancelled).Then(due(byCard, 900, "late"))
	given(t, startedCash, collected).When(orderCancelled).Then(due(inCash, 900, "late"))
	given(t, started, captured, refunded(byCard, "r1", 400)).When(orderCancelled).Then(due(byCard, 500, "late"))
	// What is due already is not due twice.
	given(t, started, captured, due(byCard, 900, "late")).When(orderCancelled).Then()
	given(t, started, captured, refunded(byCard, "r1", 400), payment.RefundFailed{Of: byCard, RefundID: "r1", Amount: 400}).
		When(orderCancelled).Then(due(byCard, 500, "late"))

	given(t, started, captured, refunded(byCard, "r1", 900)).When(orderCancelled).Then()
	given(t, started, failed).When(orderCancelled).Then()
	given(t, started, voided).When(orderCancelled).Then()
	given(t).When(orderCancelled).ThenError(domain.CodeNotFound)
}

func TestAPaymentIsLiveUntilItsMoneyGoesBack(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		live   bool
		events []domain.Event
	}{
		"none":                     {false, nil},
		"pending":                  {true, []domain.Event{started}},
		"failed":                   {false, []domain.Event{started, failed}},
		"voided":                   {false, []domain.Event{started, voided}},
		"captured":                 {true, []domain.Event{started, captured}},
		"captured after it failed": {true, []domain.Event{started, failed, captured}},
		"given back in part":       {true, []domain.Event{started, captured, refunded(byCard, "r1", 899)}},
		"given back":               {false, []domain.Event{started, captured, refunded(byCard, "r1", 900)}},
		"to be given back":         {false, []domain.Event{started, captured, due(byCard, 900, "late")}},
		"to be given back once more": {false, []domain.Event{
			started, captured, refunded(byCard, "r1", 900), payment.RefundFailed{Of: byCard, RefundID: "r1", Amount: 900},
		}},
	} {
		if got := domaintest.Fold(payment.Payment{}, c.events...).Live(); got != c.live {
			t.Errorf("%s: live %v", name, got)
		}
	}
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	want := payment.Payment{
		ID: id, OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Method: payment.MethodCard,
		Status: payment.StatusPending, Amount: 900, Currency: "EUR", Reference: "ch_1", CheckoutURL: "https://pay.example/ch_1",
		Refunds: []payment.Refund{}, CreatedAt: domaintest.At, UpdatedAt: domaintest.At, Version: 1,
	}
	got := domaintest.Fold(payment.Payment{}, started, business.Opened{}) // one of another aggregate changes nothing
	later := domaintest.At.Add(time.Hour)
	for i, step := range []struct {
		event  domain.Event
		change func()
	}{
		{business.Closed{}, func() {}},
		{failed, func() { want.Status, want.FailureReason = payment.StatusFailed, "declined" }},
		{payment.RefundReported{Of: byCard, RefundID: "r1", Amount: 100}, func() {
			want.Refunds = []payment.Refund{{ID: "r1", Amount: 100, Status: payment.RefundReportedEarly}}
		}},
		{captured, func() { want.Status, want.FailureReason, want.Captured = payment.StatusCaptured, "", 900 }},
		{payment.Refunded{Of: byCard, RefundID: "r1", Amount: 100, Reason: "cold", ByProvider: true}, func() {
			want.Status, want.Refunded = payment.StatusPartiallyRefunded, 100
			want.Refunds = []payment.Refund{{ID: "r1", Amount: 100, Reason: "cold", Status: payment.RefundDone}}
		}},
		{due(byCard, 800, "late"), func() { want.RefundDue = 800 }},
		{refunded(byCard, "r2", 300), func() {
			want.Refunded, want.RefundDue = 400, 500
			want.Refunds = append(slices.Clone(want.Refunds), payment.Refund{ID: "r2", Amount: 300, Reason: "cold", Status: payment.RefundRequested})
		}},
		{payment.RefundFailed{Of: byCard, RefundID: "r2", Amount: 300, Reason: "account closed"}, func() {
			want.Refunded, want.RefundDue = 100, 800
			want.Refunds = slices.Clone(want.Refunds)
			want.Refunds[1].Status = payment.RefundRefused
		}},
		{refunded(byCard, "r3", 800), func() {
			want.Status, want.Refunded, want.RefundDue = payment.StatusRefunded, 900, 0
			want.Refunds = append(slices.Clone(want.Refunds), payment.Refund{ID: "r3", Amount: 800, Reason: "cold", Status: payment.RefundRequested})
		}},
		{payment.RefundSettled{Of: byCard, RefundID: "r3", Reference: "re_3"}, func() {
			want.Refunds = slices.Clone(want.Refunds)
			want.Refunds[2].Status = payment.RefundDone
		}},
	} {
		before, copied := got, slices.Clone(got.Refunds)
		got = got.Apply(step.event, later)
		step.change()
		if _, other := step.event.(business.Closed); !other {
			want.UpdatedAt, want.Version = later, want.Version+1
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("step %d, %s\n got %+v\nwant %+v", i, step.event.EventType(), got, want)
		}
		if !slices.Equal(before.Refunds, copied) {
			t.Fatalf("step %d, %s changed the state before it", i, step.event.EventType())
		}
	}
}

func TestCashThatIsGivenBackIsGivenBackAtOnce(t *testing.T) {
	t.Parallel()
	p := domaintest.Fold(payment.Payment{}, startedCash, collected, refunded(inCash, "r1", 100))
	if p.Refunds[0].Status != payment.RefundDone || p.CollectedBy != "a1" {
		t.Errorf("state %+v", p)
	}
}

func TestStampFillsTheTimesLeftOpen(t *testing.T) {
	t.Parallel()
	if got := (payment.Payment{}).Apply(started, time.Time{}).Stamp(domaintest.At); !reflect.DeepEqual(got, domaintest.Fold(payment.Payment{}, started)) {
		t.Errorf("stamped %+v", got)
	}
	later := domaintest.At.Add(time.Hour)
	before := domaintest.Fold(payment.Payment{}, started)
	if got := before.Apply(captured, time.Time{}).Stamp(later); !reflect.DeepEqual(got, before.Apply(captured, later)) {
		t.Errorf("stamped %+v", got)
	}
}

var long = strings.Repeat("é", 501)
