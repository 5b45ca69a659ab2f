package delivery

import (
	"context"
	"flag"
	"io"
	"log/slog"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery/deliverytest"
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

func quiet() *slog.Logger { return slog.New(slog.NewTextHandler(io.Discard, nil)) }

// newHub returns a hub that a test steps by hand.
func newHub(feed *deliverytest.Feed, change func(*Config)) *Hub {
	cfg := Config{Feed: feed, Hint: feed.Hint, Logger: quiet()}
	if change != nil {
		change(&cfg)
	}
	return New(cfg)
}

// runHub runs a hub until the test ends.
func runHub(t *testing.T, feed *deliverytest.Feed, change func(*Config)) *Hub {
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

// subscribe subscribes to channels that nobody loses.
func subscribe(t interface{ Fatalf(string, ...any) }, h *Hub, channels []string, cursor, goal int64) *Subscription {
	s, err := h.Subscribe(Wanted{Channels: channels, Cursor: cursor, Goal: goal, Checked: h.Position()})
	if err != nil {
		t.Fatalf("Subscribe: %v", err)
	}
	return s
}

// mustJoin joins a channel whose right is given, and whose joining is answered.
func mustJoin(t interface{ Fatalf(string, ...any) }, s *Subscription, channel string) int64 {
	from, _, err := s.Join(channel, s.hub.Position(), 0)
	if err != nil {
		t.Fatalf("Join: %v", err)
	}
	s.Answered(channel, true)
	return from
}

func seqs(frames []*Frame) []int64 {
	out := make([]int64, len(frames))
	for i, f := range frames {
		out[i] = f.Seq
	}
	return out
}

// Poll is Take that waits for the readings of the feed that it begins.
func (s *Subscription) Poll(ctx context.Context, limit int) (Batch, error) {
	for {
		b, err := s.Take(limit)
		if err != nil || !b.Empty() {
			return b, err
		}
		s.mu.Lock()
		reading := s.reading
		s.mu.Unlock()
		if reading == nil { // there is none, or it has ended just now
			select {
			case <-s.Ready():
				defer s.Signal()
				continue
			default:
				return b, nil
			}
		}
		select {
		case <-reading:
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		}
	}
}

// Next waits for the next batch.
func (s *Subscription) Next(ctx context.Context, limit int) (Batch, error) {
	for {
		b, err := s.Take(limit)
		if err != nil || !b.Empty() {
			return b, err
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-s.Ready():
		}
	}
}

func mustPoll(t *testing.T, s *Subscription) Batch {
	t.Helper()
	b, err := s.Poll(t.Context(), 1000)
	if err != nil {
		t.Fatalf("Poll: %v", err)
	}
	return b
}

func wantFrames(t *testing.T, s *Subscription, want ...int64) {
	t.Helper()
	if b := mustPoll(t, s); !slices.Equal(seqs(b.Frames), want) {
		t.Fatalf("got %v (caught up: %v), want %v", seqs(b.Frames), b.CaughtUp, want)
	}
}

func wantCaughtUp(t *testing.T, s *Subscription, at int64) {
	t.Helper()
	if b := mustPoll(t, s); !b.CaughtUp || b.Position != at {
		t.Fatalf("got %+v, want caught up at %d", b, at)
	}
}

func wantNothing(t *testing.T, s *Subscription) {
	t.Helper()
	if b := mustPoll(t, s); !b.Empty() {
		t.Fatalf("got %v (caught up: %v), want nothing", seqs(b.Frames), b.CaughtUp)
	}
}

func wantWoken(t *testing.T, s *Subscription) {
	t.Helper()
	select {
	case <-s.Ready():
	default:
		t.Fatal("the subscription was not woken")
	}
}

func wantNext(t *testing.T, s *Subscription, want ...int64) {
	t.Helper()
	b, err := s.Next(t.Context(), 100)
	if err != nil || !slices.Equal(seqs(b.Frames), want) {
		t.Fatalf("got %v, %v; want %v", seqs(b.Frames), err, want)
	}
}
