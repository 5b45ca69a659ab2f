package projections_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

func TestMain(m *testing.M) {
	code := pgtest.Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// world is a database with a running store.
type world struct {
	url   string
	pool  *pgxpool.Pool
	store *eventstore.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{url: pgtest.Database(t)}
	w.pool = connect(t, w.url)
	w.store = eventstore.Open(w.pool, eventstore.Options{})
	run(t, w.store.Run)
	return w
}

func connect(t *testing.T, url string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// run runs a long-lived part until the test ends, and joins it.
func run(t *testing.T, part func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// append adds events to a stream, whatever its version, and returns the last seq.
func (w *world) append(t *testing.T, streamType string, id uuid.UUID, events ...domain.Event) int64 {
	t.Helper()
	a := eventstore.StreamAppend{Stream: eventstore.StreamID{Type: streamType, ID: id}, Expected: eventstore.AnyVersion}
	for _, e := range events {
		typ, data, err := domain.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		a.Events = append(a.Events, eventstore.NewEvent{Type: typ, Data: data})
	}
	r, err := w.store.Append(t.Context(), eventstore.Append{Streams: []eventstore.StreamAppend{a}})
	if err != nil {
		t.Fatal(err)
	}
	return r.LastSeq
}

// project runs both groups until the test ends.
func (w *world) project(t *testing.T, extra ...projections.Model) *projections.Runner {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	listener := eventstore.NewListener(w.pool, log, eventstore.EventsChannel)
	run(t, listener.Run)
	runner := projections.NewRunner(w.pool, listener, log,
		projections.Group{Name: projections.GroupFeed, Models: append([]projections.Model{projections.NewFeed(w.pool)}, extra...)},
		projections.Group{Name: projections.GroupViews, Models: []projections.Model{
			projections.Orders{}, projections.Products{}, projections.Business{},
		}},
	)
	run(t, runner.Run)
	return runner
}

// waitFor waits until both groups have reached seq.
func (w *world) waitFor(t *testing.T, seq int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the projections to reach %d", seq), func() bool {
		var n int
		err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM checkpoints WHERE position >= $1`, seq).Scan(&n)
		return err == nil && n == 2
	})
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(20 * time.Second)
	for !is() {
		select {
		case <-deadline:
			t.Fatalf("waited 20 s for %s", what)
		case <-tick.C:
		}
	}
}

func superuserOf(t *testing.T, w *world) string {
	t.Helper()
	return pgtest.SuperuserURL(t, w.url)
}

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	pool := connect(t, pgtest.Database(t))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, query := range projections.Statements() {
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}
