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
	mu    sync.Mutex
	rooms map[owner]map[string]int64
	taken map[owner]map[string]int64 // with where
	calls int
	fault func(call string) error // nil: none
}

// owner is whose rooms they are.
type owner struct {
	recovery uuid.UUID
	user     string
}

func newMemory() *memory {
	return &memory{rooms: map[owner]map[string]int64{}, taken: map[owner]map[string]int64{}}
}

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
		n += len(rooms)
	}
	return n
}

func (m *memory) Remember(_ context.Context, recovery uuid.UUID, user, room string, from int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("remember"); err != nil {
		return err
	}
	whose := owner{recovery, user}
	if m.rooms[whose] == nil {
		m.rooms[whose] = map[string]int64{}
	}
	m.rooms[whose][room] = from
	delete(m.taken[whose], room)
	return nil
}

func (m *memory) Forget(_ context.Context, recovery uuid.UUID, user, room string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("forget"); err != nil {
		return err
	}
	delete(m.rooms[owner{recovery, user}], room)
	return nil
}

func (m *memory) Take(_ context.Context, recovery uuid.UUID, user, room string, at int64) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("take"); err != nil {
		return err
	}
	whose := owner{recovery, user}
	delete(m.rooms[whose], room)
	if m.taken[whose] == nil {
		m.taken[whose] = map[string]int64{}
	}
	m.taken[whose][room] = at
	return nil
}

func (m *memory) Recall(_ context.Context, recovery uuid.UUID, user string, heard int64) (Recalled, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.begin("recall"); err != nil {
		return Recalled{}, err
	}
	whose := owner{recovery, user}
	maps.DeleteFunc(m.taken[whose], func(_ string, at int64) bool { return at < heard })
	got := Recalled{From: map[string]int64{}, Taken: slices.Sorted(maps.Keys(m.taken[whose]))}
	maps.Copy(got.From, m.rooms[whose])
	return got, nil
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
