package socketio

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
)

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

// end takes the right to an order's room from an agent.
func (w *world) end(room, agent string) int64 {
	return w.feed.Append(projections.Notification{
		Event: "assigned", Channels: []string{room, "role:admin"},
		Endings: []projections.Ending{{Channel: room, User: agent, Role: string(domain.RoleDelivery)}},
	})
}

// A right that ends while the client is there takes the room away, and from what is recovered, whether the client has
// asked for an answer to its joining or not.
func TestARightThatEndsIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	for _, join := range []func(){
		func() { c.ask("join:order", deliverytest.Order1) },
		func() { c.emit("join:order", deliverytest.Order1); c.ask("ping") },
	} {
		join()
		if left := w.rooms.all(); left != 1 {
			t.Errorf("%d rooms are remembered", left)
		}
		w.end(room, "dan")
		if h := c.expect("left"); h.data.Room != room {
			t.Errorf("got %s", h.raw)
		}
		if left := w.rooms.all(); left != 0 {
			t.Errorf("%d rooms are remembered", left)
		}
	}
}

// A client that is cut off before it hears that a room was taken from it is told so when it is back, until it is sure to know.
func TestATakenRoomIsToldOfAgain(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})
	room := projections.ChannelOrder(deliverytest.Order1)
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	w.tell("first", "user:dan")
	c.expect("first")
	c.ask("join:order", deliverytest.Order1)
	w.end(room, "dan")
	parttest.Eventually(t, "the room to be taken", func() bool { return w.rooms.all() == 0 })
	for range 2 { // it hears nothing of that, and then not enough to be sure
		c.engine.Cut()
		c.connect(n)
		if h := c.expect("left"); h.data.Room != room {
			t.Errorf("got %s", h.raw)
		}
	}
	w.tell("second", "user:dan")
	c.expect("second")
	c.engine.Cut()
	c.connect(n)
	w.tell("third", "user:dan")
	for h := c.hear(); h.name != "third"; h = c.hear() {
		if h.name == "left" {
			t.Error("it is told again of what it has heard")
		}
	}
}

// What a client asked for on a connection may be served when it is back already, and in the room that it wanted to leave: as it
// is told that it is in there, it stays.
func TestALeaveThatComesTooLateDoesNotHold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	n := w.node(t, options{})
	room := projections.ChannelOrder(deliverytest.Order1)
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	c.ask("join:order", deliverytest.Order1)
	var gone Holder
	for whose := range w.rooms.rooms {
		gone = Holder{Recovery: whose.recovery, User: whose.user}
	}
	for range 3 {
		c.engine.Cut()
		c.connect(n)
		must(t, w.rooms.Forget(t.Context(), gone, room))
		if h := c.ask("register"); !slices.Contains(h.data.Channels, room) {
			t.Errorf("it is in %v", h.data.Channels)
		}
		gone.Generation++
	}
	c.ask("leave:order", deliverytest.Order1)
	if left := w.rooms.all(); left != 0 {
		t.Errorf("%d rooms are remembered", left)
	}
}

// forgetful is Rooms that wait before they note that a room was taken, until the test says so or ends.
type forgetful struct {
	*memory
	asked, goOn chan struct{}
	ended       <-chan struct{}
}

func newForgetful(t *testing.T, rooms *memory) forgetful {
	return forgetful{rooms, make(chan struct{}, 1), make(chan struct{}), t.Context().Done()}
}

func (f forgetful) Take(ctx context.Context, h Holder, room string, at int64) error {
	f.asked <- struct{}{}
	select {
	case <-f.goOn:
	case <-f.ended:
	}
	return f.memory.Take(ctx, h, room, at)
}

// A room that is joined while the database still hears that it was left before stays remembered.
func TestARoomThatIsJoinedAgainAtOnceIsRemembered(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	slow := newForgetful(t, w.rooms)
	n := w.node(t, options{handler: func(cfg *Config) { cfg.Rooms = slow }})
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	c.ask("join:order", deliverytest.Order1)
	w.end(room, "dan")
	parttest.Await(t, "the room to be forgotten", slow.asked)
	received := n.handler.Stats().Engine.Received
	c.emit("join:order", deliverytest.Order1)
	parttest.Eventually(t, "the join", func() bool { return n.handler.Stats().Engine.Received > received })
	close(slow.goOn)
	c.expect("left")
	c.ask("ping")
	if left := w.rooms.all(); left != 1 {
		t.Errorf("%d rooms are remembered", left)
	}
	c.engine.Cut()
	w.tell("e", room)
	c.connect(n)
	c.expect("e")
}

// What is forgotten may hang, and the client's joins wait for it, but not for ever.
func TestAJoinDoesNotWaitForEverForWhatIsForgotten(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.rights.Assign(deliverytest.Order1, "dan")
	slow := newForgetful(t, w.rooms)
	n := w.node(t, options{handler: func(cfg *Config) { cfg.Rooms, cfg.RoomsTimeout = slow, 20*time.Millisecond }})
	c := newClient(t, map[string]any{"token": tokenOf("dan", domain.RoleDelivery)}).connect(n)
	room := projections.ChannelOrder(deliverytest.Order1)
	c.ask("join:order", deliverytest.Order1)
	w.end(room, "dan")
	parttest.Await(t, "the room to be forgotten", slow.asked)
	received := n.handler.Stats().Engine.Received
	c.emit("join:order", deliverytest.Order1)
	c.emit("ping")
	parttest.Eventually(t, "the join to end", func() bool { return n.handler.Stats().Engine.Received == received+2 })
	close(slow.goOn)
	if h := c.expect("error"); h.data.Code != string(domain.CodeUnavailable) {
		t.Errorf("got %s", h.raw)
	}
	c.expect("pong")
}

// A database that hangs keeps nobody from what needs none.
func TestAJoinEndsWhileTheDatabaseHangs(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{session: func(cfg *session.Config) {
		cfg.Access, cfg.ServeTimeout = hanging{cfg.Access}, 20*time.Millisecond
	}})
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)}).connect(n)
	if ack := c.ask("join:order", deliverytest.Order1); ack.error == nil || ack.error.Code != domain.CodeUnavailable {
		t.Errorf("got %s", ack.raw)
	}
	c.emit("join:order", deliverytest.Order1)
	if h := c.expect("error"); h.data.Code != string(domain.CodeUnavailable) {
		t.Errorf("got %s", h.raw)
	}
	if h := c.ask("register"); len(h.data.Channels) != 3 || w.rooms.all() != 0 {
		t.Errorf("it is in %v, and %d rooms are remembered", h.data.Channels, w.rooms.all())
	}
}

// hanging is Access whose database does not answer.
type hanging struct{ session.Access }

func (hanging) CanSeeOrder(ctx context.Context, _ auth.Identity, _ uuid.UUID) (bool, error) {
	<-ctx.Done()
	return false, ctx.Err()
}

// The same with a database.
func TestRoomsAreRecoveredFromTheDatabase(t *testing.T) {
	t.Parallel()
	w := newWorld()
	rooms, _ := roomLog(t)
	o := options{handler: func(cfg *Config) { cfg.Rooms = rooms }}
	c := newClient(t, map[string]any{"token": tokenOf("ann", domain.RoleCustomer)}).connect(w.node(t, o))
	c.ask("join:order", deliverytest.Order1)
	c.ask("join:order", deliverytest.Order2)
	c.ask("leave:order", deliverytest.Order2)
	c.engine.Cut()
	w.tell("e", projections.ChannelOrder(deliverytest.Order1))
	w.tell("f", projections.ChannelOrder(deliverytest.Order2))
	if c.connect(w.node(t, o)); !c.recovered {
		t.Error("it is not recovered")
	}
	w.tell("end", "all")
	c.expect("end")
	c.compare(c.got(), []string{"e 1", "end 3"})
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

// The rooms of a connection that lasts are not taken for those of one that is gone.
func TestRoomsOfASocketThatStaysAreKept(t *testing.T) {
	t.Parallel()
	w := newWorld()
	n := w.node(t, options{
		handler: func(cfg *Config) { cfg.RoomsInterval = time.Millisecond },
		session: func(cfg *session.Config) { cfg.CheckpointInterval = 5 * time.Millisecond },
	})
	c := newClient(t, map[string]any{"token": tokenOf("root", domain.RoleAdmin)}).connect(n)
	for range 3 {
		c.expect("checkpoint")
	}
	if calls := w.rooms.asked(); calls != 0 {
		t.Errorf("%d calls for a client without rooms", calls)
	}
	c.ask("join:order", deliverytest.Order1)
	parttest.Eventually(t, "the rooms to be kept", func() bool { return w.rooms.asked() > 3 })
}
