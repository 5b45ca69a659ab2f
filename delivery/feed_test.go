package delivery

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/projections"
)

func TestMain(m *testing.M) {
	flag.Parse()
	given := map[string]bool{}
	flag.Visit(func(f *flag.Flag) { given[f.Name] = true })
	if !given["rapid.steps"] { // the interesting interleavings are long
		if err := flag.Set("rapid.steps", "100"); err != nil {
			panic(err)
		}
	}
	goleak.VerifyTestMain(m)
}

// memoryFeed is a notification log in memory. Its functions are hooks for tests, called without its lock.
type memoryFeed struct {
	onTail, onRead func() error
	onBounds       func()
	hint           chan struct{}

	mu       sync.Mutex
	id       uuid.UUID
	items    []projections.Notification
	floor    int64
	position int64
	reads    int
	bounds   int
}

func newMemoryFeed() *memoryFeed {
	return &memoryFeed{id: uuid.New(), hint: make(chan struct{}, 1)}
}

// add appends an event; one without channels notifies nobody, but takes a seq.
func (m *memoryFeed) add(channels ...string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.position++
	if len(channels) > 0 {
		m.items = append(m.items, projections.Notification{
			Seq: m.position, Event: "e", Channels: channels,
			Data: json.RawMessage(fmt.Sprintf(`{"n": %d}`, m.position)), At: time.Unix(m.position, 0),
		})
	}
	select {
	case m.hint <- struct{}{}:
	default:
	}
	return m.position
}

func (m *memoryFeed) page(after int64, limit int, want func(projections.Notification) bool) projections.Page {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := projections.Page{Position: m.position}
	for _, n := range m.items {
		if n.Seq <= max(after, m.floor) || !want(n) {
			continue
		}
		if len(p.Items) == limit {
			p.More, p.Position = true, p.Items[limit-1].Seq
			break
		}
		p.Items = append(p.Items, n)
	}
	return p
}

func (m *memoryFeed) Tail(_ context.Context, after int64, limit int) (projections.Page, error) {
	if m.onTail != nil {
		if err := m.onTail(); err != nil {
			return projections.Page{}, err
		}
	}
	return m.page(after, limit, func(projections.Notification) bool { return true }), nil
}

func (m *memoryFeed) ReadChannels(_ context.Context, channels []string, after int64, limit int) (projections.Page, error) {
	p := m.page(after, limit, func(n projections.Notification) bool {
		return slices.ContainsFunc(n.Channels, func(c string) bool { return slices.Contains(channels, c) })
	})
	m.mu.Lock()
	m.reads++
	expired := after < m.floor
	m.mu.Unlock()
	if expired {
		return projections.Page{}, projections.ErrExpired
	}
	if m.onRead != nil { // after the snapshot, so that what the hook adds is not in it
		if err := m.onRead(); err != nil {
			return projections.Page{}, err
		}
	}
	return p, nil
}

func (m *memoryFeed) Bounds(context.Context) (projections.Bounds, error) {
	if m.onBounds != nil {
		m.onBounds()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.bounds++
	return projections.Bounds{LogID: m.id, Floor: m.floor, Position: m.position, Head: m.position}, nil
}

func (m *memoryFeed) dropUpTo(floor int64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.floor = floor
}

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newHub returns a hub that a test steps by hand.
func newHub(feed *memoryFeed, change func(*Config)) *Hub {
	cfg := Config{Feed: feed, Hint: feed.hint, Logger: quiet()}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

// runHub runs a hub until the test ends.
func runHub(t *testing.T, feed *memoryFeed, change func(*Config)) *Hub {
	t.Helper()
	h := newHub(feed, change)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- h.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	<-h.Ready()
	return h
}

func mustStep(t interface{ Fatalf(string, ...any) }, h *Hub) {
	for more := true; more; {
		var err error
		if more, err = h.step(context.Background()); err != nil {
			t.Fatalf("step: %v", err)
		}
	}
}

func seqs(frames []*Frame) []int64 {
	out := make([]int64, len(frames))
	for i, f := range frames {
		out[i] = f.Seq
	}
	return out
}
