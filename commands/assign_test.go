package commands_test

import (
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
)

func TestAnOrderIsAssignedToACourierWhoIsOnline(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	s.online(raj)
	before := len(s.store.Events())
	out, err := s.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: o.ID, AgentID: raj.UserID})
	if err != nil {
		t.Fatal(err)
	}
	wantShown(s, order.Order{}, order.StreamType, o.ID, out)
	if got := s.types(before); got != "order.assigned courier.order_taken" {
		t.Errorf("events %s", got)
	}
	if c := s.courier(raj.UserID); out.Value.AgentID != raj.UserID || c.Status != courier.StatusBusy || *c.CurrentOrder != o.ID || c.CurrentCustomer != customer.UserID {
		t.Errorf("assigned %+v to %+v", out.Value, c)
	}

	// Again to the same one changes nothing, though it is busy now.
	events := len(s.store.Events())
	again, err := s.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: o.ID, AgentID: raj.UserID})
	if err != nil || again.Value.Version != out.Value.Version || len(s.store.Events()) != events {
		t.Errorf("assigned again: %+v, %v", again, err)
	}
}

func TestAssigningAgainMovesTheOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	s.online(raj)
	s.online(sam)
	s.assign(o, raj)
	before := len(s.store.Events())
	s.assign(o, sam)
	if got := s.types(before); got != "order.assigned courier.order_released courier.order_taken" {
		t.Errorf("events %s", got)
	}
	if c := s.courier(raj.UserID); c.Status != courier.StatusOnline || c.CurrentOrder != nil {
		t.Errorf("the first courier is %+v", c)
	}
	if c := s.courier(sam.UserID); c.Status != courier.StatusBusy || *c.CurrentOrder != o.ID {
		t.Errorf("the second courier is %+v", c)
	}
	s.assign(s.placed(), raj)
}

func TestWhoTakesNoOrderIsAssignedNone(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o, other := s.placed(), s.placed()
	assign := func(id uuid.UUID, agent string) error {
		_, err := s.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: id, AgentID: agent})
		return err
	}
	err := assign(o.ID, raj.UserID)
	wantCode(t, err, domain.CodeAgentUnavailable) // nobody ever heard of
	wantDetail(t, err, "agentId", raj.UserID)
	s.online(raj)
	s.assign(other, raj)
	err = assign(o.ID, raj.UserID)
	wantCode(t, err, domain.CodeAgentUnavailable)
	wantDetail(t, err, "currentOrder", other.ID.String())
	wantCode(t, assign(uuid.New(), raj.UserID), domain.CodeNotFound)
	wantCode(t, assign(o.ID, ""), domain.CodeInvalidRequest)
	s.cancel(o)
	s.online(sam)
	wantCode(t, assign(o.ID, sam.UserID), domain.CodeOrderNotActive)
}

func TestACourierIsFreeAgainWhenItsOrderIsDeliveredOrCancelled(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	for _, end := range []func(order.Order) order.Order{s.cancel, s.delivered} {
		o := s.assign(s.placed(), raj)
		before := len(s.store.Events())
		if o = end(o); o.AgentID != raj.UserID {
			t.Errorf("who carried order %+v is forgotten", o)
		}
		if c := s.courier(raj.UserID); c.Status != courier.StatusOnline || c.CurrentOrder != nil {
			t.Errorf("after %s the courier is %+v", s.types(before), c)
		}
		if !strings.HasSuffix(s.types(before), "courier.order_released") {
			t.Errorf("events %s", s.types(before))
		}
	}
}

// Each race is decided by what is there at the commit.
func TestAssigningRacesWithWhatItDependsOn(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		meanwhile func(s *shop, o order.Order)
		code      domain.Code
	}{
		"the courier is given another order": {func(s *shop, _ order.Order) { s.assign(s.placed(), raj) }, domain.CodeAgentUnavailable},
		"the courier goes home": {func(s *shop, _ order.Order) {
			must(s.SetCourierStatus(s.t.Context(), by(raj), commands.SetCourierStatus{Status: "offline"}))(s.t)
		}, domain.CodeAgentUnavailable},
		"the order is cancelled": {func(s *shop, o order.Order) { s.cancel(o) }, domain.CodeOrderNotActive},
		"the order is given to another courier": {func(s *shop, o order.Order) {
			s.online(sam)
			s.assign(o, sam)
		}, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newShop(t)
			o := s.placed()
			s.online(raj)
			s.onNextAppend(func() { c.meanwhile(s, o) })
			_, err := s.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: o.ID, AgentID: raj.UserID})
			wantCode(t, err, c.code)
			wantOneOrderACourier(s, raj.UserID, sam.UserID)
		})
	}
}

func TestDeliveringFreesWhoeverHasTheOrderThen(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	s.online(sam)
	o := s.assign(s.placed(), raj)
	for o.Status != order.StatusOutForDelivery {
		o = s.step(o)
	}
	s.onNextAppend(func() { s.assign(o, sam) })
	s.step(o)
	wantOneOrderACourier(s, raj.UserID, sam.UserID)
	if c := s.courier(sam.UserID); c.Status != courier.StatusOnline {
		t.Errorf("who delivered the order is %+v", c)
	}
}

// Freeing a courier says what it is then, and not what it was when the order's last step was decided.
func TestACourierWhoLeavesWhileItsOrderIsDeliveredStaysAway(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	o := s.assign(s.placed(), raj)
	for o.Status != order.StatusOutForDelivery {
		o = s.step(o)
	}
	s.onNextAppend(func() {
		must(s.SetCourierStatus(t.Context(), by(raj), commands.SetCourierStatus{Status: "offline"}))(t)
	})
	s.step(o)
	if c := s.courier(raj.UserID); c.Status != courier.StatusOffline || c.CurrentOrder != nil {
		t.Errorf("the courier is %+v", c)
	}
}

// Whatever is assigned, delivered and cancelled at once, a courier has at most one order, and the one that says it is
// the courier's.
func TestNoCourierCarriesTwoOrders(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	s.online(sam)
	var wg sync.WaitGroup
	for i := range 12 {
		o, agent := s.placed(), []commands.Actor{raj, sam}[i%2]
		wg.Go(func() {
			_, err := s.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: o.ID, AgentID: agent.UserID})
			if code := domain.CodeOf(err); code != "" && code != domain.CodeAgentUnavailable {
				t.Error(err)
			}
			_, err = s.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: o.ID, AgentID: sam.UserID})
			if code := domain.CodeOf(err); code != "" && code != domain.CodeAgentUnavailable {
				t.Error(err)
			}
			if i%3 == 0 {
				if _, err := s.CancelOrder(t.Context(), by(admin), commands.CancelOrder{OrderID: o.ID, Reason: "late"}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	wantOneOrderACourier(s, raj.UserID, sam.UserID)
}

// wantOneOrderACourier requires that the orders that are on their way and the couriers agree on who carries what, at
// every moment of the log.
func wantOneOrderACourier(s *shop, agents ...string) {
	s.t.Helper()
	orders, couriers := map[uuid.UUID]order.Order{}, map[string]courier.Courier{}
	for _, a := range agents {
		couriers[a] = courier.Initial(a)
	}
	events := s.store.Events()
	for i, r := range events {
		e, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			s.t.Fatal(err)
		}
		switch r.Stream.Type {
		case order.StreamType:
			orders[r.Stream.ID] = orders[r.Stream.ID].Apply(e, r.RecordedAt)
		case courier.StreamType:
			for _, a := range agents {
				if courier.StreamID(a) == r.Stream.ID {
					couriers[a] = couriers[a].Apply(e, r.RecordedAt)
				}
			}
		}
		if i+1 < len(events) && events[i+1].RecordedAt.Equal(r.RecordedAt) {
			continue // in the middle of a commit
		}
		carried := map[string]string{}
		for _, o := range orders {
			if o.AgentID != "" && !o.Status.Final() {
				carried[o.AgentID] += o.ID.String()
			}
		}
		for a, c := range couriers {
			current := ""
			if c.CurrentOrder != nil {
				current = c.CurrentOrder.String()
			}
			if carried[a] != current {
				s.t.Fatalf("after seq %d (%s) courier %s says %q, the orders %q", r.Seq, r.Type, a, current, carried[a])
			}
		}
	}
}

func TestWhoMayFollowACourier(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.online(raj)
	may := func(a commands.Actor) bool {
		t.Helper()
		_, ok, err := s.MayFollowCourier(t.Context(), a, raj.UserID)
		if err != nil {
			t.Fatal(err)
		}
		return ok
	}
	want := func(when string, its bool) {
		t.Helper()
		for a, want := range map[commands.Actor]bool{admin: true, raj: true, sam: false, stranger: false, customer: its, {Role: domain.RoleDelivery}: false} {
			if got := may(a); got != want {
				t.Errorf("%s: %s may follow: %v", when, a.UserID, got)
			}
		}
	}
	want("without an order", false)
	o := s.assign(s.placed(), raj)
	want("with the customer's order", true)
	// What the courier did before the order was its is not the customer's; what it does with the order is, all of it.
	assigned := int64(len(s.store.Events())) - 1 // and then the courier took it
	mayFollowSince := func(when string) {
		t.Helper()
		if since, _, err := s.MayFollowCourier(t.Context(), customer, raj.UserID); err != nil || since != assigned {
			t.Errorf("%s: the customer may follow since %d, %v; the order was assigned at %d", when, since, err, assigned)
		}
	}
	mayFollowSince("at once")
	if since, _, err := s.MayFollowCourier(t.Context(), admin, raj.UserID); since != 0 || err != nil {
		t.Errorf("an admin may follow since %d, %v", since, err)
	}
	must(s.SetCourierStatus(t.Context(), by(raj), commands.SetCourierStatus{Status: "offline"}))(t)
	want("with the customer's order, and offline", true)
	mayFollowSince("after the courier went offline")
	s.online(raj)
	s.delivered(o)
	want("after it is delivered", false)
	if _, ok, err := s.MayFollowCourier(t.Context(), customer, "nobody"); ok || err != nil {
		t.Errorf("a courier who was never heard of: %v, %v", ok, err)
	}
}

func (s *shop) step(o order.Order) order.Order {
	s.t.Helper()
	cmd := commands.ChangeOrderStatus{OrderID: o.ID, Status: string(o.Status.Next()[0])}
	return must(s.ChangeOrderStatus(s.t.Context(), by(admin), cmd))(s.t)
}

func (s *shop) delivered(o order.Order) order.Order {
	s.t.Helper()
	for o.Status != order.StatusDelivered {
		o = s.step(o)
	}
	return o
}
