package projections_test

import (
	"fmt"
	"log/slog"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// world is a database with a running store.
type world struct {
	url   string
	pool  *pgxpool.Pool
	store *eventstore.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{url: pgtest.Database(t)}
	w.pool = pgtest.Pool(t, w.url)
	w.store = eventstore.Open(w.pool, eventstore.Options{})
	parttest.Run(t, w.store.Run)
	return w
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

// project runs the feed and the views until the test ends.
func (w *world) project(t *testing.T, extra ...projections.Model) *projections.Runner {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	listener := eventstore.NewListener(w.pool, log, eventstore.EventsChannel)
	parttest.Run(t, listener.Run)
	runner := projections.NewRunner(w.pool, listener, log,
		projections.Group{Name: projections.GroupFeed, Models: append([]projections.Model{projections.NewFeed(w.pool)}, extra...)},
		projections.ViewsGroup(w.pool),
	)
	parttest.Run(t, runner.Run)
	return runner
}

// waitFor waits until the feed and the views have reached seq.
func (w *world) waitFor(t *testing.T, seq int64) {
	t.Helper()
	parttest.Eventually(t, fmt.Sprintf("the projections to reach %d", seq), func() bool {
		var n int
		err := w.pool.QueryRow(t.Context(), `SELECT count(*) FROM checkpoints WHERE position >= $1 AND group_name IN ('feed', 'views')`, seq).Scan(&n)
		return err == nil && n == 2
	})
}

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
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
