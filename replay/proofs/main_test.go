package proofs_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, query := range proofs.Statements() {
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// world is a database with a running store, a key and a directory of checkpoints.
type world struct {
	url    string
	pool   *pgxpool.Pool
	store  *eventstore.Store
	key    string
	public string
	dir    string
	orders []uuid.UUID
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{url: pgtest.Database(t), dir: filepath.Join(t.TempDir(), "checkpoints")}
	w.pool = pgtest.Pool(t, w.url)
	// Databases are copies of one, and so are the ids of their logs.
	w.exec(t, `UPDATE log_head SET log_id = gen_random_uuid()`)
	w.store = eventstore.Open(w.pool, eventstore.Options{})
	parttest.Run(t, w.store.Run)
	w.key, w.public = newKey(t)
	for range 10 {
		w.orders = append(w.orders, uuid.New())
	}
	return w
}

// exec changes something in the database, as its owner.
func (w *world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func newKey(t testing.TB) (key, public string) {
	t.Helper()
	key, public, err := proofs.GenerateKey()
	if err != nil {
		t.Fatal(err)
	}
	return key, public
}

// append appends n events, a multiple of 10: one of each order in turn.
func (w *world) append(t testing.TB, n int) {
	t.Helper()
	for range n / 10 {
		a := eventstore.Append{Meta: eventstore.Meta{UserID: "ada", Role: "admin", Reason: "because"}}
		for i, id := range w.orders {
			a.Streams = append(a.Streams, eventstore.StreamAppend{
				Stream: eventstore.StreamID{Type: "order", ID: id}, Expected: eventstore.AnyVersion,
				Events: []eventstore.NewEvent{{
					Type: "order.placed", Data: fmt.Appendf(nil, `{"orderId":%q,"note":"naïve <b>&</b>","place":%d}`, id, i),
				}},
			})
		}
		if _, err := w.store.Append(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
}

// appendTo appends an event to a stream.
func (w *world) appendTo(t testing.TB, s eventstore.StreamID, typ, data string) int64 {
	t.Helper()
	r, err := w.store.Append(t.Context(), eventstore.Append{
		Meta: eventstore.Meta{UserID: "ada"},
		Streams: []eventstore.StreamAppend{{
			Stream: s, Expected: eventstore.AnyVersion, Events: []eventstore.NewEvent{{Type: typ, Data: []byte(data)}},
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.LastSeq
}

var models = []projections.Model{proofs.Tree{}, replay.Index{}}

// project brings the tree and the index up to the log, a segment at a time.
func (w *world) project(t testing.TB, segment int) {
	t.Helper()
	for w.projectOne(t, segment) > 0 {
	}
}

// projectOne projects one segment and returns how many events it had.
func (w *world) projectOne(t testing.TB, segment int) int {
	t.Helper()
	n := 0
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		var position int64
		if err := tx.QueryRow(t.Context(), `SELECT position FROM checkpoints WHERE group_name = 'proofs' FOR UPDATE`).Scan(&position); err != nil {
			return err
		}
		recorded, err := w.store.ReadLog(t.Context(), position, segment)
		if err != nil {
			return err
		}
		if n = len(recorded); n == 0 {
			return nil
		}
		return projectInto(t.Context(), tx, recorded)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func projectInto(ctx context.Context, tx pgx.Tx, recorded []eventstore.Recorded) error {
	events := make([]projections.Event, len(recorded))
	for i, r := range recorded {
		events[i].Recorded = r
	}
	for _, m := range models {
		if err := m.Project(ctx, tx, events); err != nil {
			return err
		}
	}
	_, err := tx.Exec(ctx, `UPDATE checkpoints SET position = $1 WHERE group_name = 'proofs'`, recorded[len(recorded)-1].Seq)
	return err
}

// notary opens a notary of the world; change, if not nil, changes how.
func (w *world) notary(t testing.TB, change func(*proofs.Config)) *proofs.Notary {
	t.Helper()
	cfg := proofs.Config{Pool: w.pool, Store: w.store, Orders: w, Key: w.key, Dir: w.dir}
	if change != nil {
		change(&cfg)
	}
	n, err := proofs.Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// sign has a new notary sign what is in the tree.
func (w *world) sign(t testing.TB) proofs.Checkpoint {
	t.Helper()
	c, err := w.notary(t, nil).Checkpoint(t.Context(), 0)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// OrderEvents finds the events of an order by reading them all.
func (w *world) OrderEvents(ctx context.Context, orderID uuid.UUID, upTo int64) ([]eventstore.Recorded, error) {
	all, err := w.store.ReadLog(ctx, 0, int(upTo))
	if gap := (*eventstore.GapError)(nil); err != nil && !errors.As(err, &gap) {
		return nil, err
	}
	var found []eventstore.Recorded
	for _, e := range all {
		if replay.KeysOf(e).OrderID.UUID == orderID {
			found = append(found, e)
		}
	}
	return found, nil
}

// verify verifies with all checkpoints.
func (w *world) verify(t testing.TB) proofs.Report {
	t.Helper()
	r, err := w.notary(t, nil).Verify(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// logID is the log's id.
func (w *world) logID(t testing.TB) uuid.UUID {
	t.Helper()
	head, err := w.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return head.LogID
}

// file is the path of the exported checkpoints.
func (w *world) file(t testing.TB) string {
	return filepath.Join(w.dir, w.logID(t).String()+".checkpoints")
}

func readFile(t testing.TB, path string) string {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func writeFile(t testing.TB, path, data string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(data), 0o600); err != nil {
		t.Fatal(err)
	}
}
