package socketio

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
)

func TestACursorThatCannotBeResumedIsToldAndBeginsAnew(t *testing.T) {
	t.Parallel()
	for reason, lose := range map[string]func(*world) *world{
		"expired": func(w *world) *world { w.grow(5); w.feed.Drop(w.feed.Head()); return w },
		"ahead":   func(w *world) *world { w.feed.Forget(); w.feed.Add(); return w },
		"different_log": func(w *world) *world {
			other := newWorld()
			other.rooms = w.rooms
			other.grow(200) // its head is beyond the client's offset
			return other
		},
	} {
		t.Run(reason, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			n := w.node(t, options{})
			c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
			c.ask("join:order", deliverytest.Order1)
			w.grow(100)
			w.tell("last", "all")
			c.expect("last")
			c.engine.Cut()
			w = lose(w)
			n = w.node(t, options{})
			old := c.pid
			c.connect(n)
			if c.recovered || c.pid == old {
				t.Fatal("it is told that it was recovered")
			}
			// Cut before the resync comes: the offset that the client still has is not taken for one of the new stream.
			c.engine.Cut()
			w.tell("e", "all")
			c.connect(n)
			if !c.recovered {
				t.Fatal("it is not recovered, although it knows that it began anew")
			}
			c.events = nil
			w.tell("end", "all")
			c.expect("end")
			c.compare(c.got(), []string{fmt.Sprintf("e %d", w.feed.Head()-1), fmt.Sprintf("end %d", w.feed.Head())})
			if s := n.handler.Stats(); s.Anew != 1 || s.Recovered != 1 {
				t.Errorf("stats: %+v", s)
			}

			// And one that is not cut.
			c = newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)})
			c.pid, c.offset = old, "101"
			c.connect(n)
			if h := c.expect("resync"); h.data.Reason != reason || h.at == "" || c.recovered {
				t.Errorf("got %s, recovered %v", h.raw, c.recovered)
			}
			if h := c.ask("register"); slices.Contains(h.data.Channels, projections.ChannelOrder(deliverytest.Order1)) {
				t.Errorf("it is in the rooms of another connection: %s", h.raw)
			}
		})
	}
}

// A client of a log that was restored may hold the very seq that the new log comes to.
func TestAnOffsetOfTheOldLogIsNotTakenForTheSameOfTheNew(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	for range 6 {
		w.tell(projections.EventOrderStatus, "role:admin")
	}
	for c.offset != "6" {
		c.hear()
	}
	c.engine.Cut()
	w = newWorld()
	n = w.node(t, options{})
	c.connect(n)
	c.events = nil
	for range 16 { // and it is cut after each packet
		c.engine.Cut()
		w.tell(projections.EventOrderStatus, "role:admin")
		c.connect(n)
		for h := c.hear(); h.data.N == 0; h = c.hear() {
		}
	}
	w.tell("end", "all")
	c.expect("end")
	want := expected(w.feed.Items(), 0, true, "role:admin", "all")
	got := c.got()
	for i := range got {
		switch got[i] {
		case "order:status:changed 6/3":
			got[i] = "order:status:changed 6/1"
		case "order:status:update 6/2":
			got[i] = "order:status:update 6"
		}
	}
	c.compare(got, want)
}

func TestALastSeqThatNeverChangesDoesNotHoldTheClientBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.grow(10)
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin), "lastSeq": 3}).connect(n)
	for range 5 {
		w.grow(5)
		c.hear()
		c.engine.Cut()
		c.connect(n)
		if !c.recovered {
			t.Fatal("it is not recovered")
		}
	}
	w.tell("end", "all")
	c.expect("end")
	c.compare(c.got(), expected(w.feed.Items(), 3, true, "role:admin", "all"))

	// Not when it is ahead of the log either, which it is told once.
	c = newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin), "lastSeq": 1000}).connect(n)
	c.expect("resync")
	c.engine.Cut()
	w.tell("e", "all")
	c.connect(n)
	if h := c.hear(); h.name != "e" || !c.recovered {
		t.Errorf("got %s, recovered %v", h.raw, c.recovered)
	}
}

func TestTheLaterOfACursorAndAnOffsetCounts(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	auth := map[string]any{"token": tokenOf("root", domain.RoleAdmin)}
	c := newClient(t, auth).connect(n)
	w.tell("e", "all")
	c.expect("e")
	c.engine.Cut()
	for range 4 {
		w.tell("e", "all")
	}
	auth["lastSeq"] = 3 // read over REST
	c.connect(n)
	if h := c.hear(); h.data.Seq != 4 || !c.recovered {
		t.Errorf("got %s, recovered %v", h.raw, c.recovered)
	}
	c.engine.Cut()
	auth["lastSeq"] = 2 // kept by the application, which is behind
	c.connect(n)
	if h := c.hear(); h.data.Seq != 5 || !c.recovered {
		t.Errorf("got %s, recovered %v", h.raw, c.recovered)
	}
	c.engine.Cut()
	auth["lastSeq"], auth["log"] = 4, uuid.NewString() // of a log that the pid knows nothing of
	c.connect(n)
	if h := c.hear(); h.data.Reason != string(session.ReasonDifferentLog) || c.recovered {
		t.Errorf("got %s, recovered %v", h.raw, c.recovered)
	}
}

// An application may take its lastSeq from the first packet of a pair, and be cut before the second.
func TestALastSeqOfHalfAPairDoesNotLoseTheOtherHalf(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	auth := map[string]any{"token": tokenOf("root", domain.RoleAdmin)}
	c := newClient(t, auth).connect(n)
	for range 3 {
		auth["lastSeq"] = w.tell(projections.EventOrderStatus, "role:admin")
		c.expect(eventStatusChanged)
		c.engine.Cut()
		c.connect(n)
		if h := c.hear(); h.name != projections.EventOrderStatus || !c.recovered {
			t.Fatalf("got %s, recovered %v", h.raw, c.recovered)
		}
	}
	c.expect("caught_up")
	c.engine.Cut()
	w.tell(projections.EventOrderStatus, "role:admin")
	auth["lastSeq"] = w.tell(projections.EventOrderStatus, "role:admin") // a later one counts
	w.tell("end", "all")
	c.connect(n)
	if h := c.hear(); h.name != "end" || !c.recovered {
		t.Errorf("got %s, recovered %v", h.raw, c.recovered)
	}
}

func TestAPidOfAnotherUserGivesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	c.ask("join:order", deliverytest.Order1)
	c.engine.Cut()
	w.tell("e", "all", projections.ChannelOrder(deliverytest.Order1))
	parttest.Eventually(t, "the hub", func() bool { return n.hub.Position() == w.feed.Head() })
	for name, auth := range map[string]map[string]any{
		"bob":                           {"token": tokenOf("bob", domain.RoleCustomer)},
		"the other role":                {"token": tokenOf("root", domain.RoleCustomer)},
		"nobody":                        {},
		"bob with an offset that isn't": {"token": tokenOf("bob", domain.RoleCustomer), "offset": "pong"},
	} {
		other := newClient(t, auth)
		other.pid, other.offset = c.pid, c.offset
		other.connect(n)
		if other.recovered {
			t.Errorf("%s is recovered", name)
		}
		ping := other.ask("ping")
		if len(other.events) != 0 || ping.error != nil {
			t.Errorf("%s is told %v", name, other.got())
		}
		other.engine.Cut()
	}
}

// Such as the clients of the system before this one hold on the day they come over.
func TestACursorThatCannotBeReadIsTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.grow(5)
	n := w.node(t, options{})
	for _, token := range []any{tokenOf("root", domain.RoleAdmin), nil} {
		for name, auth := range map[string]map[string]any{
			"another server's pid":                {"pid": "qZ3xq2Yw9Vb1AAAB"},
			"another server's pid and offset":     {"pid": "qZ3xq2Yw9Vb1AAAB", "offset": "1692000000000-0"},
			"a pid of another server, our offset": {"pid": "qZ3xq2Yw9Vb1AAAB", "offset": "3"},
			"odd types":                           {"pid": 7, "offset": []int{1}},
			"an offset that isn't":                {"offset": "pong"},
			"an odd offset":                       {"offset": []int{1}},
		} {
			t.Run(fmt.Sprint(token != nil, name), func(t *testing.T) {
				t.Parallel()
				first := newClient(t, map[string]any{"token": token}).connect(n)
				first.engine.Cut()
				auth["token"] = token
				c := newClient(t, auth)
				c.pid = first.pid
				c.connect(n)
				if c.recovered || c.pid == first.pid {
					t.Error("it is told that it was recovered")
				}
				h := c.hear()
				if h.name != "resync" || h.data.Reason != string(session.ReasonDifferentLog) || h.data.Seq != n.hub.Position() {
					t.Fatalf("got %s", h.raw)
				}
				c.engine.Cut()
				delete(auth, "pid")
				delete(auth, "offset")
				c.connect(n)
				c.emit("register")
				h = c.hear()
				for ; h.name != "registered" && h.name != "resync"; h = c.hear() {
				}
				if h.name == "resync" || !c.recovered {
					t.Errorf("it is told again: %s, recovered %v", h.raw, c.recovered)
				}

				auth["pid"], auth["offset"], auth["lastSeq"] = "x", "pong", 2
				c = newClient(t, auth).connect(n)
				if h := c.expect("caught_up"); h.data.Seq != n.hub.Position() || c.recovered {
					t.Errorf("with a lastSeq: got %s", h.raw)
				}
			})
		}
	}
}

func TestNoOffsetIsAheadOfWhatIsStillToCome(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.grow(300)
	n := w.node(t, options{session: func(cfg *session.Config) { cfg.CheckpointInterval = time.Millisecond }})
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer), "lastSeq": 0}).connect(n)
	last := int64(0)
	for told := 0; told < 20; {
		h := c.hear()
		at, ok := parseOffset(h.at)
		if !ok || at.seq < last {
			t.Fatalf("%s after %d", h.raw, last)
		}
		if last = at.seq; h.name == "e" || h.data.N > 0 {
			continue
		}
		told++
		all := w.feed.Items()
		upTo := slices.IndexFunc(append(slices.Clone(all), projections.Notification{Seq: last + 1}), func(n projections.Notification) bool { return n.Seq > last })
		c.compare(c.got(), expected(all[:upTo], 0, false, "user:ann", "all"))
		w.grow(rand.N(3))
	}
}
