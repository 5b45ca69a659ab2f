package courier_test

import (
	"reflect"
	"testing"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/domaintest"
)

// shift is a courier at work, and a plain model of it.
type shift struct {
	state  courier.Courier
	log    []domain.Event
	chosen courier.Status
	order  uuid.UUID // the one in its hands; zero: none
}

func TestACourierNeverCarriesTwoOrders(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &shift{state: courier.Initial("a1"), chosen: courier.StatusOffline}
		t.Repeat(map[string]func(*rapid.T){
			"":        m.check,
			"choose":  m.choose,
			"take":    m.take,
			"release": m.release,
		})
	})
}

func (m *shift) choose(t *rapid.T) {
	to := rapid.SampledFrom([]courier.Status{courier.StatusOnline, courier.StatusOnline, courier.StatusOffline, courier.StatusBusy, "away"}).Draw(t, "to")
	events, err := m.state.SetStatus(string(to), rapid.SampledFrom([]string{"", "Ravi"}).Draw(t, "name"))
	if (err != nil) != (to == "away") {
		t.Fatalf("choosing %s: %v", to, err)
	}
	if err == nil {
		m.chosen = to
	}
	m.record(t, events)
}

func (m *shift) take(t *rapid.T) {
	id := drawOrder(t)
	events, err := m.state.Take(courier.Take{OrderID: id, OrderNumber: "ORD-" + id.String(), CustomerID: "c" + id.String()})
	free := m.order == uuid.Nil && m.chosen == courier.StatusOnline
	if (err == nil) != free || err != nil && domain.CodeOf(err) != domain.CodeAgentUnavailable {
		t.Fatalf("one who chose %s and carries %s is given an order: %v", m.chosen, m.order, err)
	}
	if err == nil {
		m.order = id
	}
	m.record(t, events)
}

func (m *shift) release(t *rapid.T) {
	id := drawOrder(t)
	events, err := m.state.Release(id, rapid.SampledFrom([]courier.Reason{courier.ReasonDelivered, courier.ReasonReassigned}).Draw(t, "reason"))
	if err != nil || (len(events) == 1) != (m.order == id) {
		t.Fatalf("releasing %s of one who carries %s: %+v, %v", id, m.order, events, err)
	}
	if len(events) == 1 {
		m.order = uuid.Nil
		if e, ok := events[0].(courier.OrderReleased); !ok || e.CustomerID != "c"+id.String() || e.OrderNumber != "ORD-"+id.String() {
			t.Fatalf("releasing gave %+v", events[0])
		}
	}
	m.record(t, events)
}

func (m *shift) record(t *rapid.T, events []domain.Event) {
	for _, e := range events {
		if err := domaintest.RoundTrip(e); err != nil {
			t.Fatal(err)
		}
		m.state = m.state.Apply(e, domaintest.At)
		m.log = append(m.log, e)
	}
}

// check holds after every command, whatever came of it.
func (m *shift) check(t *rapid.T) {
	var current uuid.UUID
	if m.state.CurrentOrder != nil {
		current = *m.state.CurrentOrder
	}
	seen := m.chosen
	if seen == courier.StatusOnline && m.order != uuid.Nil {
		seen = courier.StatusBusy
	}
	if current != m.order || m.state.Chosen != m.chosen || m.state.Status != seen || m.state.ID != "a1" {
		t.Fatalf("carries %s and chose %s, and the state is %+v", m.order, m.chosen, m.state)
	}
	if again := domaintest.Fold(courier.Initial("a1"), m.log...); !reflect.DeepEqual(again, m.state) {
		t.Fatalf("folding the log gives %+v\nthe state is %+v", again, m.state)
	}
}

func drawOrder(t *rapid.T) uuid.UUID {
	return rapid.SampledFrom([]uuid.UUID{orderID, another}).Draw(t, "order")
}
