package courier_test

import (
	"encoding/json"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/domaintest"
)

type decision = func(courier.Courier) ([]domain.Event, error)

var (
	orderID = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000a")
	another = uuid.MustParse("0190b5a0-0000-7000-8000-00000000000b")

	online  = changed(courier.StatusOnline, courier.StatusOnline)
	offline = changed(courier.StatusOffline, courier.StatusOffline)
	busy    = changed(courier.StatusBusy, courier.StatusBusy)
	taken   = courier.OrderTaken{AgentID: "a1", OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Status: courier.StatusBusy}
)

func given(t *testing.T, events ...domain.Event) *domaintest.Scenario[courier.Courier] {
	t.Helper()
	return domaintest.From(t, courier.Initial("a1"), events...)
}

func changed(chosen, status courier.Status) courier.StatusChanged {
	return courier.StatusChanged{AgentID: "a1", Name: "Ravi", Chosen: chosen, Status: status}
}

// carrying is changed of a courier who carries the order.
func carrying(chosen, status courier.Status) courier.StatusChanged {
	e := changed(chosen, status)
	e.CurrentOrder = &orderID
	return e
}

func released(status courier.Status, reason courier.Reason) courier.OrderReleased {
	return courier.OrderReleased{AgentID: "a1", OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Status: status, Reason: reason}
}

func setStatus(status, name string) decision {
	return func(c courier.Courier) ([]domain.Event, error) { return c.SetStatus(status, name) }
}

func take(id uuid.UUID) decision {
	return func(c courier.Courier) ([]domain.Event, error) {
		return c.Take(courier.Take{OrderID: id, OrderNumber: "ORD-000001", CustomerID: "c1"})
	}
}

func release(id uuid.UUID, reason courier.Reason) decision {
	return func(c courier.Courier) ([]domain.Event, error) { return c.Release(id, reason) }
}

func TestACourierChoosesAStatus(t *testing.T) {
	t.Parallel()
	given(t).When(setStatus("online", "Ravi")).Then(online)
	given(t, online).When(setStatus("busy", "Ravi")).Then(busy)
	given(t, online).When(setStatus("offline", "Ravi")).Then(offline)
	for _, status := range []string{"", "Online", "away"} {
		given(t, online).When(setStatus(status, "Ravi")).ThenInvalid("status")
	}
	for _, name := range []string{strings.Repeat("é", 201), "a\x00"} {
		given(t, online).When(setStatus("busy", name)).ThenInvalid("name")
	}
}

func TestWhatChangesNothingIsNoEvent(t *testing.T) {
	t.Parallel()
	given(t, online).When(setStatus("online", "Ravi")).Then()
	given(t, online).When(setStatus("online", "")).Then() // a token without a name takes none away
	given(t, online, taken).When(setStatus("online", "Ravi")).Then()
	given(t, online).When(setStatus("online", "Ravi K")).
		Then(courier.StatusChanged{AgentID: "a1", Name: "Ravi K", Chosen: courier.StatusOnline, Status: courier.StatusOnline})
	// From the first time on the courier is known.
	given(t).When(setStatus("offline", "")).Then(courier.StatusChanged{AgentID: "a1", Chosen: courier.StatusOffline, Status: courier.StatusOffline})
}

func TestACourierWithAnOrderIsSeenAsBusyWhenOnline(t *testing.T) {
	t.Parallel()
	given(t, online, taken).When(setStatus("offline", "Ravi")).Then(carrying(courier.StatusOffline, courier.StatusOffline))
	given(t, online, taken).When(setStatus("busy", "Ravi")).Then(carrying(courier.StatusBusy, courier.StatusBusy))
	given(t, online, taken, carrying(courier.StatusOffline, courier.StatusOffline)).When(setStatus("online", "Ravi")).
		Then(carrying(courier.StatusOnline, courier.StatusBusy))
}

func TestAnOrderGoesToOneWhoIsOnlineWithoutOne(t *testing.T) {
	t.Parallel()
	given(t, online).When(take(orderID)).Then(taken)
	for name, c := range map[string]struct {
		events  []domain.Event
		status  courier.Status
		current any
	}{
		"never heard of":     {nil, courier.StatusOffline, nil},
		"offline":            {[]domain.Event{online, offline}, courier.StatusOffline, nil},
		"busy":               {[]domain.Event{busy}, courier.StatusBusy, nil},
		"carries an order":   {[]domain.Event{online, taken}, courier.StatusBusy, orderID.String()},
		"carries, then left": {[]domain.Event{online, taken, carrying(courier.StatusOffline, courier.StatusOffline)}, courier.StatusOffline, orderID.String()},
	} {
		for _, id := range []uuid.UUID{another, orderID} {
			refusal := given(t, c.events...).When(take(id)).ThenError(domain.CodeAgentUnavailable)
			want := map[string]any{"agentId": "a1", "agentStatus": c.status, "currentOrder": c.current}
			if !reflect.DeepEqual(refusal.Details, want) {
				t.Errorf("%s: details %v; want %v", name, refusal.Details, want)
			}
		}
	}
	domaintest.Given[courier.Courier](t).When(take(orderID)).ThenError(domain.CodeAgentUnavailable)
}

func TestAReleasedCourierHasTheChosenStatusAgain(t *testing.T) {
	t.Parallel()
	given(t, online, taken).When(release(orderID, courier.ReasonDelivered)).Then(released(courier.StatusOnline, courier.ReasonDelivered))
	given(t, online, taken, carrying(courier.StatusOffline, courier.StatusOffline)).When(release(orderID, courier.ReasonCancelled)).
		Then(released(courier.StatusOffline, courier.ReasonCancelled))
	given(t, online, taken, carrying(courier.StatusBusy, courier.StatusBusy)).When(release(orderID, courier.ReasonReassigned)).
		Then(released(courier.StatusBusy, courier.ReasonReassigned))

	given(t, online, taken).When(release(another, courier.ReasonDelivered)).Then()
	given(t, online).When(release(orderID, courier.ReasonDelivered)).Then()
	given(t, online, taken, released(courier.StatusOnline, courier.ReasonDelivered)).When(release(orderID, courier.ReasonDelivered)).Then()
	given(t).When(release(orderID, courier.ReasonDelivered)).Then()
}

func TestStateFollowsTheEvents(t *testing.T) {
	t.Parallel()
	want := courier.Courier{ID: "a1", Name: "Ravi", Status: courier.StatusOnline, Chosen: courier.StatusOnline, UpdatedAt: domaintest.At, Version: 1}
	got := domaintest.Fold(courier.Initial("a1"), online, business.Opened{}) // one of another aggregate changes nothing
	if !reflect.DeepEqual(got, want) {
		t.Errorf("online\n got %+v\nwant %+v", got, want)
	}
	later := domaintest.At.Add(time.Hour)
	want.Status, want.CurrentOrder, want.CurrentNumber, want.CurrentCustomer = courier.StatusBusy, &orderID, "ORD-000001", "c1"
	want.UpdatedAt, want.Version = later, 2
	if got = got.Apply(taken, later); !reflect.DeepEqual(got, want) {
		t.Errorf("with an order\n got %+v\nwant %+v", got, want)
	}
	want.Status, want.Chosen, want.Version = courier.StatusOffline, courier.StatusOffline, 3
	if got = got.Apply(carrying(courier.StatusOffline, courier.StatusOffline), later); !reflect.DeepEqual(got, want) {
		t.Errorf("left\n got %+v\nwant %+v", got, want)
	}
	want.CurrentOrder, want.CurrentNumber, want.CurrentCustomer, want.Version = nil, "", "", 4
	if got = got.Apply(released(courier.StatusOffline, courier.ReasonCancelled), later); !reflect.DeepEqual(got, want) {
		t.Errorf("released\n got %+v\nwant %+v", got, want)
	}
}

// A read model keeps the state as JSON, which leaves out what only decisions need.
func TestApplyNeedsNothingThatTheJSONLeavesOut(t *testing.T) {
	t.Parallel()
	state, view := courier.Initial("a1"), courier.Initial("a1")
	for _, e := range []domain.Event{
		online, taken, carrying(courier.StatusOffline, courier.StatusOffline), carrying(courier.StatusOnline, courier.StatusBusy),
		released(courier.StatusOnline, courier.ReasonDelivered), taken, released(courier.StatusOnline, courier.ReasonReassigned),
	} {
		state, view = state.Apply(e, domaintest.At), through(t, view.Apply(e, domaintest.At))
		if want := through(t, state); !reflect.DeepEqual(view, want) {
			t.Errorf("after %s the view is %+v\nwant %+v", e.EventType(), view, want)
		}
	}
}

func through[S any](t *testing.T, state S) S {
	t.Helper()
	var back S
	doc, err := json.Marshal(state)
	if err == nil {
		err = json.Unmarshal(doc, &back)
	}
	if err != nil {
		t.Fatal(err)
	}
	return back
}

func TestAStateAndItsEventsShareNothing(t *testing.T) {
	t.Parallel()
	c := domaintest.Fold(courier.Initial("a1"), online, taken)
	events, err := c.SetStatus("offline", "")
	if err != nil {
		t.Fatal(err)
	}
	*events[0].(courier.StatusChanged).CurrentOrder = another
	if *c.CurrentOrder != orderID {
		t.Error("a change of the event's order reached the state")
	}
}

func TestStampFillsTheTimeLeftOpen(t *testing.T) {
	t.Parallel()
	if got := courier.Initial("a1").Apply(online, time.Time{}).Stamp(domaintest.At); !reflect.DeepEqual(got, domaintest.Fold(courier.Initial("a1"), online)) {
		t.Errorf("stamped %+v", got)
	}
}

func TestEveryCourierHasAStreamOfItsOwn(t *testing.T) {
	t.Parallel()
	// It is where the courier is found for ever: what it is may not change.
	if got := courier.StreamID("a1").String(); got != "1203bf7c-4bd8-551e-a0ce-1ee2b0adf3d0" {
		t.Errorf("the stream of a1 is %s", got)
	}
	if courier.StreamID("a1") == courier.StreamID("A1") {
		t.Error("two users have one stream")
	}
}
