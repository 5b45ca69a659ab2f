package socketio

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

// grow appends events to a log, of the admins, of others and of nobody.
func (w *world) grow(n int) {
	for range n {
		switch rand.N(6) {
		case 0:
			w.tell(projections.EventOrderNew, "role:admin", "role:delivery")
		case 1:
			w.tell(projections.EventNotificationNew, "user:bob")
		case 2:
			w.feed.Add()
		case 3:
			w.tell(projections.EventOrderAssigned, "role:admin", projections.ChannelOrder(deliverytest.Order1), "user:ann")
		default:
			w.tell(projections.EventOrderStatus, "role:admin", projections.ChannelOrder(deliverytest.Order1), "user:ann")
		}
	}
}

// catchUp hears until everything of the log that the client is to be told was told.
func (c *client) catchUp(want []string) {
	c.Helper()
	for len(c.events) < len(want) {
		c.hear()
	}
}

// Whatever the moment of a cut, and whatever node it comes back to, a client is told everything once and in order.
func TestACutLosesAndRepeatsNothingWhateverItsMoment(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{enginetest.WebSocket, enginetest.Polling, enginetest.Upgrade} {
		for _, role := range []domain.Role{domain.RoleAdmin, domain.RoleCustomer} {
			t.Run(fmt.Sprintf("%s %s", transport, role), func(t *testing.T) {
				t.Parallel()
				w := newWorld()
				w.grow(20)
				nodes := []*node{w.node(t, options{}), w.node(t, options{})}
				user, channels := "ann", []string{"all", "user:ann", "role:customer"}
				if role == domain.RoleAdmin {
					user, channels = "root", []string{"all", "user:root", "role:admin"}
				}
				c := newClient(t, map[string]any{"token": tokenOf(user, role)})
				c.options.Transport = transport
				c.connect(nodes[0])
				start := c.startOf()
				// Before the answer to the CONNECT, before the first event, after each packet of a replay, and live.
				for cut := range 40 {
					w.grow(rand.N(8))
					c.engine.Cut()
					w.grow(rand.N(8))
					c.dial(nodes[cut%2])
					hear := rand.N(8)
					if cut < 8 {
						hear = cut
					}
					all := expected(w.feed.Items(), start, role == domain.RoleAdmin, channels...)
					for i := range hear {
						if i > 0 && len(c.events) == len(all) { // there might be no more
							break
						}
						if h := c.hear(); i == 0 && (h.kind != '0' || !c.recovered) {
							t.Fatalf("cut %d: got %s, recovered %v", cut, h.raw, c.recovered)
						}
					}
				}
				want := expected(w.feed.Items(), start, role == domain.RoleAdmin, channels...)
				c.engine.Cut()
				c.connect(nodes[1])
				c.catchUp(want)
				w.tell("end", "all")
				c.expect("end")
				c.compare(c.got(), append(want, fmt.Sprintf("end %d", w.feed.Head())))
			})
		}
	}
}

func TestACutBetweenTheTwoPacketsOfAPairRepeatsNeither(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	for range 3 {
		w.tell(projections.EventOrderStatus, "role:admin")
		c.expect(eventStatusChanged)
		c.engine.Cut()
		c.connect(n)
		if h := c.hear(); h.name != projections.EventOrderStatus || !c.recovered {
			t.Fatalf("got %s, recovered %v", h.raw, c.recovered)
		}
	}
	c.compare(c.got(), expected(w.feed.Items(), 0, true, "role:admin"))
}

func TestAClientIsRecoveredByAnotherHandlerOnAnotherHub(t *testing.T) {
	t.Parallel()
	w := newWorld()
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)})
	var pid string
	for range 4 {
		n := w.node(t, options{})
		c.connect(n)
		if pid == "" {
			pid = c.pid
		}
		if c.pid != pid {
			t.Fatal("it has another pid")
		}
		w.tell("e", "user:ann")
		c.expect("e")
		c.engine.Cut()
		w.tell("e", "user:ann")
		w.tell("e", "user:bob")
	}
	n := w.node(t, options{})
	c.connect(n)
	w.tell("end", "all")
	c.expect("end")
	c.compare(c.got(), expected(w.feed.Items(), 0, false, "user:ann", "all"))
	if s := n.handler.Stats(); s.Recovered != 1 || s.Anew != 0 {
		t.Errorf("stats: %+v", s)
	}
}
