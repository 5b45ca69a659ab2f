package engine_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

// It is not parallel because it measures the process.
func TestHandshakesOfAllKindsLeaveNothingBehind(t *testing.T) { //nolint:paralleltest // it measures the heap and the goroutines
	total := 10_000
	if raceDetector {
		total = 1_500
	}
	w := newWorld(t, func(c *engine.Config) {
		c.PingInterval, c.PingTimeout = time.Second, 10*time.Second // those who are silent are gone soon, and nobody is so slow
	}, func(p *peer) { p.receive = p.echo })
	transport := &http.Transport{MaxIdleConnsPerHost: 64}
	client := &http.Client{Transport: transport}
	round := func(total int) {
		group, ctx := errgroup.WithContext(t.Context())
		group.SetLimit(64)
		for i := range total {
			group.Go(func() error { return w.one(ctx, i, client) })
		}
		if err := group.Wait(); err != nil {
			t.Fatal(err)
		}
		for range total {
			p := w.peer()
			parttest.Await(t, "a session to end", p.closed)
		}
		transport.CloseIdleConnections()
	}
	round(200) // what is made once
	goroutines, heap := settled(0)
	round(total)
	parttest.Eventually(t, "the goroutines to be as many as before", func() bool { return runtime.NumGoroutine() <= goroutines+8 })
	_, after := settled(heap + 4<<20)
	if after > heap+4<<20 {
		t.Errorf("the heap has %d KiB, and had %d KiB before %d sessions", after>>10, heap>>10, total)
	}
	stats := w.server.Stats()
	if stats.Opened != int64(total)+200 || stats.Open[engine.Polling] != 0 || stats.Open[engine.WebSocket] != 0 || stats.Overloaded != 0 {
		t.Errorf("the numbers are %+v", stats)
	}
}

// settled is how many goroutines there are and how many bytes of heap are in use, once that is no more than wanted or
// becomes no less.
func settled(wanted uint64) (goroutines int, heap uint64) {
	var m runtime.MemStats
	for range 5 {
		runtime.GC()
		runtime.ReadMemStats(&m)
		if m.HeapAlloc <= wanted {
			break
		}
	}
	return runtime.NumGoroutine(), m.HeapAlloc
}

// one is a session of some kind: a message goes and comes back, or the client is gone after some step.
func (w *world) one(ctx context.Context, i int, client *http.Client) error {
	opts := enginetest.Options{
		Transport: []string{enginetest.Polling, enginetest.WebSocket, enginetest.Upgrade}[i%3],
		Until:     []enginetest.Step{enginetest.All, enginetest.All, enginetest.All, enginetest.Handshake, enginetest.Socket, enginetest.Probe, enginetest.All}[i%7],
		Client:    client,
	}
	c, err := enginetest.Dial(ctx, w.url, opts)
	if err != nil {
		return fmt.Errorf("%v until %d: %w", opts.Transport, opts.Until, err)
	}
	defer c.Cut()
	if opts.Until != enginetest.All {
		return nil
	}
	text := fmt.Sprint(i)
	if err := c.Send(ctx, text); err != nil {
		return fmt.Errorf("%v: %w", opts.Transport, err)
	}
	if m, err := c.Next(ctx); err != nil || string(m.Data) != text {
		return fmt.Errorf("%v: got %q, want %q: %w", opts.Transport, m.Data, text, errors.Join(err))
	}
	if i%2 == 0 {
		return c.Close()
	}
	return nil
}

func TestAnIdleSessionCostsLittle(t *testing.T) { //nolint:paralleltest // it measures the heap
	const sessions, most = 5000, 2 << 10
	w := newHandler(t, func(c *engine.Config) {
		c.Accept = func(*http.Request, *engine.Session) (engine.Peer, error) { return silent{}, nil }
	}, nil)
	w.call("GET", "", "")
	_, before := settled(0)
	for range sessions {
		if got := w.call("GET", "", ""); got.status != 200 {
			t.Fatalf("a handshake was answered %v", got)
		}
	}
	_, after := settled(0)
	if each := (int64(after) - int64(before)) / sessions; each > most {
		t.Errorf("an idle session has %d bytes, want no more than %d", each, most)
	} else {
		t.Logf("an idle session that polls has %d bytes", each)
	}
	w.stop()
}

type silent struct{}

func (silent) Receive(context.Context, engine.Message) error { return nil }
func (silent) Close(engine.Reason)                           {}

func (silent) Fill(context.Context, *engine.Batch) (time.Time, bool) { return time.Time{}, false }
