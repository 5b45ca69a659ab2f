package socketio

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
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

// A room is recovered although the answer to the join was the last thing the client heard, or it heard nothing.
func TestARoomIsRecoveredFromTheMomentItWasJoined(t *testing.T) {
	t.Parallel()
	w := newWorld()
	nodes := []*node{w.node(t, options{}), w.node(t, options{})}
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(nodes[0])
	start := c.startOf()
	room := projections.ChannelOrder(deliverytest.Order1)
	w.tell("before", room) // is not told: the room was not joined yet
	parttest.Eventually(t, "the hub", func() bool { return nodes[0].hub.Position() == w.feed.Head() })
	ack := c.ask("join:order", deliverytest.Order1.String())
	if ack.error != nil || ack.data.Room != room || ack.data.Seq < w.feed.Head() {
		t.Fatalf("joined by %s", ack.raw)
	}
	joined := ack.data.Seq
	for i := range 6 {
		c.engine.Cut()
		w.tell("e", room)
		w.tell("e", "role:admin", room)
		c.connect(nodes[i%2])
		if !c.recovered {
			t.Fatal("it is not recovered")
		}
		w.tell("e", room)
		if i%2 == 0 {
			c.hear()
		}
	}
	w.tell("end", "all")
	c.expect("end")
	c.compare(c.got(), expected(w.feed.Items(), max(start, joined), true, room, "role:admin", "all"))
}

func TestARoomThatWasLeftIsNotRecovered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	if calls := w.rooms.asked(); calls != 0 {
		t.Errorf("%d calls for a client without rooms", calls)
	}
	c.ask("join:order", map[string]any{"orderId": deliverytest.Order1})
	c.ask("join:delivery", "dan")
	c.ask("leave:order", deliverytest.Order1)
	c.engine.Cut()
	w.tell("e", room)
	w.tell("f", projections.ChannelCourier("dan"))
	c.connect(n)
	w.tell("end", "all")
	c.expect("end")
	c.compare(c.got(), []string{"f 2", "end 3"})
	if h := c.ask("register"); slices.Contains(h.data.Channels, room) || !slices.Contains(h.data.Channels, "delivery:dan") {
		t.Errorf("it is in %v", h.data.Channels)
	}
}

// A room whose right ended while the client was away is told as left, and is not recovered again when the right comes back.
func TestARoomWhoseRightIsGoneIsToldAsLeft(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	if ack := c.ask("join:order", deliverytest.Order1); ack.error != nil {
		t.Fatal(ack.raw)
	}
	c.engine.Cut()
	w.rights.Assign(deliverytest.Order1, "eve")
	w.tell("e", room)
	c.connect(n)
	if h := c.expect("left"); h.data.Room != room || h.at != "" || !c.recovered {
		t.Errorf("got %s, recovered %v", h.raw, c.recovered)
	}
	w.rights.Assign(deliverytest.Order1, "dan")
	c.engine.Cut()
	w.tell("e", room)
	c.connect(n)
	w.tell("end", "all")
	c.expect("end")
	c.compare(c.got(), []string{"end 3"})
}

// A right that ends while the client is there takes the room away, and from what is recovered.
func TestARightThatEndsIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	c.ask("join:order", deliverytest.Order1)
	w.feed.Append(projections.Notification{
		Event: "assigned", Channels: []string{room, "role:admin"},
		Endings: []projections.Ending{{Channel: room, User: "dan", Role: string(domain.RoleDelivery)}},
	})
	c.expect("left")
	if left := w.rooms.all(); left != 0 {
		t.Errorf("%d rooms are remembered", left)
	}
}

func TestWhenRoomsCannotBeRememberedNothingIsJoined(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	w.rooms.failing("remember")
	if ack := c.ask("join:order", deliverytest.Order1); ack.error == nil || ack.error.Code != domain.CodeUnavailable {
		t.Fatalf("got %s", ack.raw)
	}
	w.tell("e", room)
	w.tell("f", "all")
	c.expect("f")
	c.compare(c.got(), []string{"f 2"})
	if h := c.ask("register"); slices.Contains(h.data.Channels, room) {
		t.Errorf("it is in the room: %s", h.raw)
	}

	w.rooms.failing("")
	if ack := c.ask("join:order", deliverytest.Order1); ack.error != nil {
		t.Fatalf("got %s", ack.raw)
	}
	w.rooms.failing("forget")
	if ack := c.ask("leave:order", deliverytest.Order1); ack.error == nil || ack.error.Code != domain.CodeUnavailable {
		t.Fatalf("got %s", ack.raw)
	}
	w.rooms.failing("")
	if ack := c.ask("leave:order", deliverytest.Order1); ack.error != nil || w.rooms.all() != 0 {
		t.Fatalf("got %s, %d rooms are remembered", ack.raw, w.rooms.all())
	}
}

// While the database is away nobody is refused, because socket.io-client would not come back.
func TestAClientThatCannotBeRecoveredNowIsLetInWhenTheDatabaseIsBack(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	c.ask("join:order", deliverytest.Order1)
	c.engine.Cut()
	w.rooms.failing("recall")
	before := w.rooms.asked()
	c.dial(n)
	parttest.Eventually(t, "a second try", func() bool { return w.rooms.asked() > before+1 })
	w.rooms.failing("")
	w.tell("e", projections.ChannelOrder(deliverytest.Order1))
	if h := c.hear(); h.kind != '0' || !c.recovered {
		t.Fatalf("got %s", h.raw)
	}
	c.expect("e")

	c.engine.Cut()
	w.rooms.failing("recall")
	patient := w.node(t, options{handler: func(cfg *Config) { cfg.ConnectTimeout = 100e6 }})
	c.dial(patient)
	if all := c.expectClosed(); len(all) != 0 {
		t.Errorf("it was told %s", all[0].raw)
	}
	if s := patient.handler.Stats(); s.Refused[domain.CodeUnavailable] != 1 {
		t.Errorf("stats: %+v", s)
	}
}

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
	for range 8 { // and it is cut after each packet
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
		"bob":              {"token": tokenOf("bob", domain.RoleCustomer)},
		"the other role":   {"token": tokenOf("root", domain.RoleCustomer)},
		"nobody":           {},
		"a pid that isn't": {"token": tokenOf("root", domain.RoleAdmin), "pid": "x"},
		"no offset":        {"token": tokenOf("root", domain.RoleAdmin), "offset": "pong"},
		"odd types":        {"token": tokenOf("root", domain.RoleAdmin), "pid": 7, "offset": []int{1}},
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
