package socketio

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
)

const patience = 20 * time.Second // with what must come

var errFault = errors.New("the database is away")

// memory is Rooms without a database.
type memory struct {
	mu      sync.Mutex
	rooms   map[owner]map[string]note
	recalls int64
	calls   int
	fault   func(call string) error // nil: none
}

// owner is whose rooms they are.
type owner struct {
	recovery uuid.UUID
	user     string
}

// note is what is known of a room.
type note struct {
	seq        int64 // that it counts from, or where it was taken
	taken      bool
	generation int64
}

func newMemory() *memory { return &memory{rooms: map[owner]map[string]note{}} }

func (m *memory) begin(call string) error {
	m.calls++
	if m.fault != nil {
		return m.fault(call)
	}
	return nil
}

// failing has calls of a name fail; "": none.
func (m *memory) failing(name string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fault = func(call string) error {
		if call == name {
			return errFault
		}
		return nil
	}
}

func (m *memory) asked() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.calls
}

// all is how many rooms are remembered.
func (m *memory) all() (n int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, rooms := range m.rooms {
		for _, known := range rooms {
			if !known.taken {
				n++
			}
		}
	}
	return n
}

func (m *memory) Remember(_ context.Context, h Holder, room string, from int64) error {
	return m.change("remember", h, func(rooms map[string]note) {
		rooms[room] = note{from, false, max(rooms[room].generation, h.Generation)}
	})
}

func (m *memory) Forget(_ context.Context, h Holder, room string) error {
	return m.change("forget", h, func(rooms map[string]note) {
		if rooms[room].generation <= h.Generation {
			delete(rooms, room)
		}
	})
}

func (m *memory) Take(_ context.Context, h Holder, room string, at int64) error {
	return m.change("take", h, func(rooms map[string]note) {
		if rooms[room].generation <= h.Generation {
			rooms[room] = note{at, true, h.Generation}
		}
	})
}

func (m *memory) Keep(_ context.Context, h Holder) error {
	return m.change("keep", h, func(map[string]note) {})
}

func (m *memory) Recall(_ context.Context, recovery uuid.UUID, user string, heard int64) (got Recalled, _ error) {
	got.From = map[string]int64{}
	return got, m.change("recall", Holder{Recovery: recovery, User: user}, func(rooms map[string]note) {
		maps.DeleteFunc(rooms, func(_ string, n note) bool { return n.taken && n.seq < heard })
		m.recalls++
		got.Generation = m.recalls
		for room, n := range rooms {
			n.generation = got.Generation
			rooms[room] = n
			if n.taken {
				got.Taken = append(got.Taken, room)
			} else {
				got.From[room] = n.seq
			}
		}
		slices.Sort(got.Taken)
	})
}

func (m *memory) change(call string, h Holder, do func(map[string]note)) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin(call); err != nil {
		return err
	}
	whose := owner{h.Recovery, h.User}
	if m.rooms[whose] == nil {
		m.rooms[whose] = map[string]note{}
	}
	do(m.rooms[whose])
	return nil
}

// world is a log, with any number of nodes.
type world struct {
	feed   *deliverytest.Feed
	rights *deliverytest.Rights
	rooms  *memory
}

func newWorld() *world {
	return &world{feed: deliverytest.NewFeed(), rights: deliverytest.NewRights(), rooms: newMemory()}
}

// node is a hub with a handler.
type node struct {
	*world
	*testing.T
	hub     *delivery.Hub
	handler *Handler
	url     string
}

type options struct {
	hub     func(*delivery.Config)
	handler func(*Config)
	session func(*session.Config)
}

func (w *world) node(t *testing.T, o options) *node {
	t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	hcfg := delivery.Config{Feed: w.feed, PollInterval: 2 * time.Millisecond, Logger: quiet}
	if o.hub != nil {
		o.hub(&hcfg)
	}
	n := &node{world: w, T: t, hub: delivery.New(hcfg)}
	parttest.Run(t, n.hub.Run)
	scfg := session.Config{Hub: n.hub, Verifier: deliverytest.Verifier{}, Access: w.rights, Logger: quiet}
	if o.session != nil {
		o.session(&scfg)
	}
	cfg := Config{
		Sessions: session.New(scfg), Rooms: w.rooms, Logger: quiet, Origins: []string{"https://shop.example"},
		RetryPause: 5 * time.Millisecond, CloseTimeout: 300 * time.Millisecond,
	}
	if o.handler != nil {
		o.handler(&cfg)
	}
	n.handler = New(cfg)
	web := httptest.NewServer(n.handler)
	n.url = web.URL
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(t.Context()), patience)
		defer cancel()
		if err := n.handler.Shutdown(ctx); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		for kind, open := range n.handler.Stats().Sockets {
			t.Errorf("%d sockets of %v are left", open, kind)
		}
		if left := n.hub.Stats().Subscriptions; left != 0 {
			t.Errorf("%d subscriptions are left", left)
		}
		if left := len(n.handler.conns); left != 0 {
			t.Errorf("%d connections are left", left)
		}
		web.Close()
	})
	<-n.hub.Ready()
	return n
}

func (w *world) tell(event string, channels ...string) int64 {
	return w.feed.Append(projections.Notification{Event: event, Channels: channels})
}

func tokenOf(user string, role domain.Role) string { return deliverytest.Token(user, role, time.Hour) }
