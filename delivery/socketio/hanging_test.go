package socketio

import (
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
)

// A socket that catches up waits for the database, and nothing else of its connection does.
func TestADatabaseThatHangsHoldsNothingElseBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.tell("x", "all")
	w.tell("x", "all")
	n := w.node(t, options{hub: func(c *delivery.Config) { c.RingFrames = 1 }})
	var readings atomic.Int32
	stuck := make(chan struct{})
	t.Cleanup(func() { close(stuck) })
	w.feed.OnRead(func() error { readings.Add(1); <-stuck; return errors.New("it was cut off") })

	token := tokenOf("root", domain.RoleAdmin)
	c := newClient(t, map[string]any{"token": token, "lastSeq": 0}).connect(n)
	if h := c.ask("ping"); h.error != nil {
		t.Errorf("asked for a ping: %s", h.raw)
	}
	ctx, cancel := c.context()
	defer cancel()
	if err := c.engine.Send(ctx, fmt.Sprintf(`0/admin,{"token":%q}`, token)); err != nil {
		t.Fatal(err)
	}
	hears := func(prefix string) {
		t.Helper()
		for said := ""; !strings.HasPrefix(said, prefix); {
			m, err := c.engine.Next(ctx)
			if err != nil {
				t.Fatalf("waiting for %s: %v", prefix, err)
			}
			said = string(m.Data)
		}
	}
	hears(`0/admin,{`)
	w.tell("live", "all")
	hears(`2/admin,["live"`)
	stopped := make(chan error, 1)
	go func() { stopped <- n.handler.Shutdown(t.Context()) }()
	hears(`2["reconnect"`)
	if err := parttest.Await(t, "the end", stopped); err != nil {
		t.Error(err)
	}
	if got := readings.Load(); got != 1 {
		t.Errorf("all of that was told after %d readings; the first one still hangs", got)
	}
}

// A right that is lost and given again while the database cannot be told: what the client hears last is what holds.
func TestARoomThatIsJoinedAgainBeforeItsEndWasToldIsNotToldAsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld()
	s := &socket{unanswered: map[string]int{}, left: []string{"order:1", "order:2"}}
	n := w.node(t, options{})
	w.rights.Assign(deliverytest.Order1, "dan")
	x, err := n.handler.cfg.Sessions.Open(t.Context(), auth.Identity{UserID: "dan", Role: domain.RoleDelivery}, "", session.Start{})
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	s.session = x
	r, err := x.Do(t.Context(), "join:order", []byte(`"`+deliverytest.Order1.String()+`"`))
	if err != nil {
		t.Fatal(err)
	}
	s.left = append(s.left, r.Room)
	s.settle(r)
	if len(s.left) != 2 || s.left[0] != "order:1" || s.left[1] != "order:2" {
		t.Errorf("to be told as left: %v", s.left)
	}
}

// Of more rooms than a socket joins, those that it was in come first.
func TestRoomsThatAreAskedForInVainTakeNobodysPlace(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{session: func(c *session.Config) { c.MaxRooms = 1 }})
	c := newClient(t, map[string]any{
		"token": tokenOf("dan", domain.RoleDelivery), "rooms": []string{"order:0190c0de-0000-7000-8000-00000000000f"},
	}).connect(n)
	if h := c.ask("join:order", deliverytest.Order1); h.error != nil {
		t.Fatal(h.raw)
	}
	c.engine.Cut()
	w.tell("e", projections.ChannelOrder(deliverytest.Order1))
	c.connect(n)
	w.tell("end", "all")
	for h := c.hear(); h.name != "end"; h = c.hear() {
		if h.name == "left" {
			t.Errorf("came %s", h.raw)
		}
	}
	c.compare(c.got(), []string{"e 1", "end 2"})
}

// The room of a delivery agent that a customer asks for when it connects has no past for it; but what comes while it is
// away is its own.
func TestTheRoomOfADeliveryAgentThatWasAskedForInAuthIsRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})
	w.tell("before", "delivery:dan")
	reach := func() {
		t.Helper()
		parttest.Eventually(t, "the hub to follow", func() bool { return n.hub.Position() == w.feed.Head() })
	}
	reach()
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer), "rooms": []string{"delivery:dan"}}).connect(n)
	c.engine.Cut()
	w.tell("missed", "delivery:dan")
	reach()
	c.connect(n)
	w.tell("end", "all")
	c.expect("end")
	if !c.recovered {
		t.Error("it was not recovered")
	}
	c.compare(c.got(), []string{"missed 2", "end 3"})
}
