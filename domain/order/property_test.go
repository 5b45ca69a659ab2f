package order_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/domaintest"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
)

// machine is an order to which anyone does anything, and a plain model of what may
// come of it.
type machine struct {
	start order.Order // before the first event: perhaps assigned to a courier
	state order.Order
	log   []domain.Event
	menu  map[uuid.UUID]menu.Product
	now   time.Time
}

// TestAnOrderTakesOnlyLegalSteps lets random people ask random things of an order.
func TestAnOrderTakesOnlyLegalSteps(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{now: domaintest.At, menu: drawMenu(t)}
		m.start.AgentID = rapid.SampledFrom([]string{"", "a1"}).Draw(t, "agent")
		m.state = m.start
		t.Repeat(map[string]func(*rapid.T){
			"":               m.check,
			"place":          m.place,
			"change":         m.change,
			"next":           m.next,
			"assign":         m.assign,
			"cancel":         m.cancel,
			"open payment":   m.openPayment,
			"close payment":  m.closePayment,
			"reopen payment": m.reopenPayment,
		})
	})
}

func (m *machine) place(t *rapid.T) {
	cmd := drawPlace(t)
	discount := drawDiscount(t, &cmd)
	events, err := m.state.Place(cmd, m.menu, discount)
	if m.state.Version > 0 && err == nil {
		t.Fatalf("placed twice: %+v", events)
	}
	m.record(t, events, err, func(e domain.Event) error {
		if p, ok := e.(order.Placed); !ok || p.OfferCode != cmd.OfferCode || (p.Discount > 0 && p.OfferCode == "") {
			return fmt.Errorf("placing gave %+v", e)
		}
		return nil
	})
}

func (m *machine) change(t *rapid.T) {
	// The legal step is there more often, so that who may take them is tried in all states.
	targets := slices.Concat(all, []order.Status{"", "eaten"}, m.state.Status.Next(), m.state.Status.Next(), m.state.Status.Next())
	m.changeTo(t, drawActor(t), rapid.SampledFrom(targets).Draw(t, "to"))
}

// next makes it likely that an order comes to its end.
func (m *machine) next(t *rapid.T) {
	if next := m.state.Status.Next(); len(next) > 0 {
		m.changeTo(t, admin, next[0])
	}
}

func (m *machine) changeTo(t *rapid.T, by domain.Actor, to order.Status) {
	events, err := m.state.ChangeStatus(order.ChangeStatus{By: by, To: to, Message: rapid.StringN(0, 20, -1).Draw(t, "message")})
	m.record(t, events, err, func(e domain.Event) error {
		i, j := slices.Index(life, m.state.Status), slices.Index(life, to)
		switch {
		case i < 0 || j != i+1:
			return fmt.Errorf("step from %s to %s", m.state.Status, to)
		case by.Role == domain.RoleCustomer:
			return fmt.Errorf("a customer moved the order to %s", to)
		case by.Role == domain.RoleDelivery && (by.UserID != m.state.AgentID || j < 4):
			return fmt.Errorf("courier %s of an order of %q moved it to %s", by.UserID, m.state.AgentID, to)
		}
		if c, ok := e.(order.StatusChanged); !ok || c.From != m.state.Status || c.To != to || c.Message == "" {
			return fmt.Errorf("the step to %s gave %+v", to, e)
		}
		return nil
	})
}

func (m *machine) cancel(t *rapid.T) {
	by := drawActor(t)
	events, err := m.state.Cancel(order.Cancel{By: by, Reason: rapid.StringN(0, 20, -1).Draw(t, "reason")})
	m.record(t, events, err, func(e domain.Event) error {
		i := slices.Index(life, m.state.Status)
		mayCustomer := by.Role == domain.RoleCustomer && by.UserID == m.state.CustomerID && i <= 1
		mayAdmin := by.Role == domain.RoleAdmin && i < len(life)-1
		if i < 0 || !mayCustomer && !mayAdmin {
			return fmt.Errorf("%+v cancelled an order that was %s", by, m.state.Status)
		}
		if c, ok := e.(order.Cancelled); !ok || c.From != m.state.Status || c.Reason == "" {
			return fmt.Errorf("cancelling gave %+v", e)
		}
		return nil
	})
}

func (m *machine) assign(t *rapid.T) {
	by, agent := drawActor(t), rapid.SampledFrom([]string{"", "a1", "a2"}).Draw(t, "agent")
	events, err := m.state.Assign(order.Assign{By: by, AgentID: agent})
	if err == nil && len(events) == 0 && m.state.AgentID != agent {
		t.Fatalf("assigning %q to %q gave nothing", m.state.AgentID, agent)
	}
	m.record(t, events, err, func(e domain.Event) error {
		if m.state.Version == 0 || m.state.Status.Final() || by.Role != domain.RoleAdmin || agent == "" {
			return fmt.Errorf("%+v assigned an order that is %q to %q", by, m.state.Status, agent)
		}
		if a, ok := e.(order.Assigned); !ok || a.AgentID != agent || a.PreviousAgentID != m.state.AgentID || agent == m.state.AgentID {
			return fmt.Errorf("assigning gave %+v", e)
		}
		return nil
	})
}

func (m *machine) openPayment(t *rapid.T) {
	id := drawPayment(t)
	events, err := m.state.OpenPayment(id)
	if err == nil && len(events) != 1 {
		t.Fatalf("opening gave %+v", events)
	}
	m.record(t, events, err, m.opened(id))
}

func (m *machine) reopenPayment(t *rapid.T) {
	id := drawPayment(t)
	m.record(t, m.state.ReopenPayment(id), nil, m.opened(id))
}

// opened allows a payment of an order that exists, can be paid, and has none that is live.
func (m *machine) opened(id uuid.UUID) func(domain.Event) error {
	return func(e domain.Event) error {
		if m.state.Version == 0 || m.state.Status == order.StatusCancelled || m.state.PaymentID != "" {
			return fmt.Errorf("opened a payment of an order that is %q and has %q", m.state.Status, m.state.PaymentID)
		}
		if e != (order.PaymentOpened{OrderID: m.state.ID, PaymentID: id}) {
			return fmt.Errorf("opening gave %+v", e)
		}
		return nil
	}
}

func (m *machine) closePayment(t *rapid.T) {
	id := drawPayment(t)
	m.record(t, m.state.ClosePayment(id), nil, func(e domain.Event) error {
		if m.state.PaymentID != id.String() || e != (order.PaymentClosed{OrderID: m.state.ID, PaymentID: id}) {
			return fmt.Errorf("closing %s gave %+v, and the live one was %q", id, e, m.state.PaymentID)
		}
		return nil
	})
}

// record applies what was decided, after the model allowed it.
func (m *machine) record(t *rapid.T, events []domain.Event, err error, legal func(domain.Event) error) {
	if err != nil {
		if len(events) > 0 || domain.CodeOf(err) == domain.CodeInternal {
			t.Fatalf("refused with %v and events %+v", err, events)
		}
		return
	}
	if len(events) == 0 {
		return // as it is already
	}
	if len(events) > 1 {
		t.Fatalf("%d events of one command", len(events))
	}
	if err := legal(events[0]); err != nil {
		t.Fatal(err)
	}
	if err := domaintest.RoundTrip(events[0]); err != nil {
		t.Fatal(err)
	}
	m.now = m.now.Add(time.Second)
	before := m.state
	m.state = m.state.Apply(events[0], m.now)
	m.log = append(m.log, events[0])
	if before.Status.Final() && (m.state.Status != before.Status || m.state.AgentID != before.AgentID) {
		t.Fatalf("left %s of %q for %s of %q", before.Status, before.AgentID, m.state.Status, m.state.AgentID)
	}
	if m.state.Version != before.Version+1 || !m.state.UpdatedAt.Equal(m.now) {
		t.Fatalf("version %d after %d, updated at %s", m.state.Version, before.Version, m.state.UpdatedAt)
	}
}

// check holds after every command, whatever came of it.
func (m *machine) check(t *rapid.T) {
	o := m.state
	if o.Version != int64(len(m.log)) {
		t.Fatalf("version %d after %d events", o.Version, len(m.log))
	}
	var sum int64
	for _, item := range o.Items {
		p := m.menu[item.Product]
		if item.UnitPrice != p.Price || item.Name != p.Name || item.Total != item.UnitPrice*item.Quantity {
			t.Fatalf("line %+v of product %+v", item, p)
		}
		sum += item.Total
	}
	if o.Subtotal != sum || o.Discount < 0 || o.TotalAmount < 0 || o.TotalAmount != o.Subtotal-o.Discount {
		t.Fatalf("lines cost %d, subtotal %d, discount %d, total %d", sum, o.Subtotal, o.Discount, o.TotalAmount)
	}
	again, at := m.start, domaintest.At
	for _, e := range m.log {
		at = at.Add(time.Second)
		again = again.Apply(e, at)
	}
	if !reflect.DeepEqual(again, o) {
		t.Fatalf("folding the log gives %+v\nthe state is %+v", again, o)
	}
	// The state is kept as JSON by the read model and must survive it.
	doc, err := json.Marshal(o)
	if err != nil {
		t.Fatal(err)
	}
	var back order.Order
	if err := json.Unmarshal(doc, &back); err != nil || !reflect.DeepEqual(back, o) {
		t.Fatalf("as JSON the state is %+v, %v\nit was %+v", back, err, o)
	}
}
