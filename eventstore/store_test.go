package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/eventstore/conformance"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

func TestStoreConforms(t *testing.T) {
	t.Parallel()
	conformance.Run(t, func(t *testing.T) conformance.Store {
		return open(t, pgtest.Pool(t, pgtest.Database(t)), eventstore.Options{})
	})
}

// open returns a running store; it stops before the test ends.
func open(t *testing.T, pool *pgxpool.Pool, opts eventstore.Options) *eventstore.Store {
	t.Helper()
	store := eventstore.Open(pool, opts)
	parttest.Run(t, store.Run)
	return store
}

func one(s eventstore.StreamID, expected int64) eventstore.Append {
	return eventstore.Append{Streams: []eventstore.StreamAppend{{
		Stream: s, Expected: expected,
		Events: []eventstore.NewEvent{{Type: "test.happened", Data: json.RawMessage(`{}`)}},
	}}}
}

func fresh() eventstore.StreamID { return eventstore.StreamID{Type: "test", ID: uuid.New()} }

func TestTheDatabaseRefusesToChangeTheLog(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	app := pgtest.Pool(t, url)
	store := open(t, app, eventstore.Options{})
	if _, err := store.Append(t.Context(), one(fresh(), 0)); err != nil {
		t.Fatal(err)
	}
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, url))
	for who, db := range map[string]*pgxpool.Pool{"the application's role": app, "a superuser": superuser} {
		for _, table := range []string{"events", "events_p00000000"} {
			for _, change := range []string{
				"UPDATE " + table + " SET data = '{}'",
				"UPDATE " + table + " SET data = '{}' WHERE false",
				"DELETE FROM " + table,
				"DELETE FROM " + table + " WHERE seq = 1",
				"TRUNCATE " + table,
				"INSERT INTO " + table + " SELECT * FROM events ON CONFLICT (seq) DO UPDATE SET data = '{}'",
				"MERGE INTO " + table + " t USING (SELECT 1) x ON t.seq = 1 WHEN MATCHED THEN DELETE",
			} {
				_, err := db.Exec(t.Context(), change)
				var refused *pgconn.PgError
				if !errors.As(err, &refused) || refused.Code != "42501" {
					t.Errorf("%s: %s: %v", who, change, err)
				}
			}
		}
	}
	if _, err := superuser.Exec(t.Context(), "SET session_replication_role = replica; DELETE FROM events"); err == nil {
		t.Error("a replica session deleted from the log")
	}
	if log, err := store.ReadLog(t.Context(), 0, 10); err != nil || len(log) != 1 {
		t.Errorf("the log has %d events, %v", len(log), err)
	}
}

// What only the database knows to refuse must not fail the appends that share its transaction.
func TestAnAppendThatTheDatabaseRefusesFailsAlone(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Pool(t, pgtest.Database(t)), eventstore.Options{})
	const good = 40
	var wg sync.WaitGroup
	for i := range good + 3 {
		wg.Go(func() {
			a := one(fresh(), 0)
			if i >= good {
				a.Streams[0].Events[0].Data = json.RawMessage(`1e1000000`) // JSON, and more than a numeric can hold
			}
			_, err := store.Append(t.Context(), a)
			if refused := errors.Is(err, eventstore.ErrInvalid); refused != (i >= good) || (err != nil && !refused) {
				t.Errorf("append %d of %d good ones: %v", i, good, err)
			}
		})
	}
	wg.Wait()
	if log, err := store.ReadLog(t.Context(), 0, 1000); err != nil || len(log) != good {
		t.Errorf("the log has %d events, %v", len(log), err)
	}
}

func TestTwoStoresOnOneDatabaseKeepOneOrder(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	stores := []*eventstore.Store{
		open(t, pgtest.Pool(t, url), eventstore.Options{}),
		open(t, pgtest.Pool(t, url), eventstore.Options{}),
	}
	const writers, each = 16, 40
	contested, key := fresh(), &eventstore.IdempotencyKey{Scope: "ann", Key: "once", Fingerprint: []byte("f")}
	var stored, conflicts, replays atomic.Int64
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			own := fresh()
			for i := range int64(each) {
				if _, err := stores[(w+int(i))%2].Append(t.Context(), one(own, i)); err != nil {
					t.Errorf("an append to a stream of its own: %v", err)
				}
				stored.Add(1)
			}
			var conflict *eventstore.ConflictError
			_, err := stores[w%2].Append(t.Context(), one(contested, 0))
			switch {
			case errors.As(err, &conflict):
				conflicts.Add(1)
			case err != nil:
				t.Errorf("the contested append: %v", err)
			default:
				stored.Add(1)
			}
			once := one(fresh(), 0)
			once.Key = key
			r, err := stores[w%2].Append(t.Context(), once)
			switch {
			case err != nil:
				t.Errorf("the append with the shared key: %v", err)
			case r.Replayed:
				replays.Add(1)
			default:
				stored.Add(1)
			}
		})
	}
	wg.Wait()
	if conflicts.Load() != writers-1 || replays.Load() != writers-1 {
		t.Errorf("%d conflicts and %d replays, want %d of each", conflicts.Load(), replays.Load(), writers-1)
	}
	log, err := stores[0].ReadLog(t.Context(), 0, 10_000) // finds gaps
	if err != nil || int64(len(log)) != stored.Load() {
		t.Errorf("the log has %d events for %d stored ones, %v", len(log), stored.Load(), err)
	}
	versions := map[eventstore.StreamID]int64{}
	for _, e := range log {
		if versions[e.Stream]++; versions[e.Stream] != e.Version {
			t.Fatalf("seq %d is version %d of its stream, want %d", e.Seq, e.Version, versions[e.Stream])
		}
	}
}

func TestAppendIsBoundedWhenTheStoreDoesNotRun(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	store := eventstore.Open(pool, eventstore.Options{Queue: 1, QueueWait: time.Millisecond})
	queued, cancel := context.WithCancel(t.Context())
	answer := make(chan error, 1)
	go func() {
		_, err := store.Append(queued, one(fresh(), 0))
		answer <- err
	}()
	// The queue has one place: once it is taken, the next append has to give up.
	for {
		_, err := store.Append(t.Context(), eventstore.Append{}) // invalid: takes no place
		if !errors.Is(err, eventstore.ErrInvalid) {
			t.Fatalf("an empty append: %v", err)
		}
		probe, stop := context.WithTimeout(t.Context(), 20*time.Millisecond)
		_, err = store.Append(probe, one(fresh(), 0))
		stop()
		if errors.Is(err, eventstore.ErrOverloaded) {
			break
		}
	}
	cancel()
	if err := <-answer; err != nil && !errors.Is(err, context.Canceled) && !errors.Is(err, eventstore.ErrOverloaded) {
		t.Errorf("the queued append ended with %v", err)
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := store.Run(ctx); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Append(t.Context(), one(fresh(), 0)); !errors.Is(err, eventstore.ErrClosed) {
		t.Errorf("an append to a closed store: %v", err)
	}
	if head, err := store.Head(t.Context()); err != nil || head.Seq != 0 {
		t.Errorf("appends that were given up are in the log: head %d, %v", head.Seq, err)
	}
}

func TestALookUpUsesTheIndexHoweverThePlanWasMade(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	// A generic plan, made while the tables are empty and have no statistics: the worst moment.
	for name, query := range eventstore.LookUps() {
		plan := explain(t, pool, query)
		if !strings.Contains(plan, "Index") || strings.Contains(plan, "Seq Scan") {
			t.Errorf("the plan of %s does not go by the index:\n%s", name, plan)
		}
	}
}

func explain(t *testing.T, pool *pgxpool.Pool, query string) string {
	t.Helper()
	var lines []string
	err := pgx.BeginFunc(t.Context(), pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(t.Context(), "SET LOCAL plan_cache_mode = force_generic_plan"); err != nil {
			return err
		}
		if _, err := tx.Exec(t.Context(), "PREPARE asked AS "+query); err != nil {
			return err
		}
		n := 0
		for strings.Contains(query, fmt.Sprintf("$%d", n+1)) {
			n++
		}
		params := strings.TrimSuffix(strings.Repeat("NULL,", n), ",")
		rows, err := tx.Query(t.Context(), "EXPLAIN EXECUTE asked("+params+")", pgx.QueryExecModeSimpleProtocol)
		if err != nil {
			return err
		}
		if lines, err = pgx.CollectRows(rows, pgx.RowTo[string]); err != nil {
			return err
		}
		_, err = tx.Exec(t.Context(), "DEALLOCATE asked")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(lines, "\n")
}

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	for name, query := range eventstore.Statements() {
		conn, err := pool.Acquire(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		conn.Release()
	}
}

func TestPartitionsAreMadeAhead(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	store := open(t, pool, eventstore.Options{})
	if _, err := store.Append(t.Context(), one(fresh(), 0)); err != nil {
		t.Fatal(err)
	}
	// The log is moved to the end of its first partition, as a million appends would.
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, url))
	if _, err := superuser.Exec(t.Context(), "UPDATE log_head SET seq = 999999"); err != nil {
		t.Fatal(err)
	}
	if r, err := store.Append(t.Context(), one(fresh(), 0)); err != nil || r.LastSeq != 1_000_000 {
		t.Fatalf("append across the edge of a partition: %+v, %v", r, err)
	}
	parttest.Eventually(t, "a third and fourth partition", func() bool {
		var n int
		err := pool.QueryRow(t.Context(), "SELECT count(*) FROM pg_inherits WHERE inhparent = 'events'::regclass").Scan(&n)
		return err == nil && n == 4
	})
	// And where the keeper was too slow, the append makes what it needs.
	if _, err := superuser.Exec(t.Context(), "UPDATE log_head SET seq = 8999999"); err != nil {
		t.Fatal(err)
	}
	if r, err := store.Append(t.Context(), one(fresh(), 0)); err != nil || r.LastSeq != 9_000_000 {
		t.Fatalf("append beyond the last partition: %+v, %v", r, err)
	}
	// What was jumped over is a gap, and a reader of the whole log must not get past it.
	var gap *eventstore.GapError
	if _, err := store.ReadLog(t.Context(), 1, 2_000_000); !errors.As(err, &gap) || gap.Want != 2 {
		t.Errorf("reading over a gap: %v", err)
	}
}

func TestAListenerPassesHintsOn(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	listener := eventstore.NewListener(pool, slog.New(slog.DiscardHandler), eventstore.EventsChannel)
	parttest.Run(t, listener.Run)
	hints, cancel := listener.Signal(eventstore.EventsChannel)
	defer cancel()
	parttest.Await(t, "a hint at the start", hints)
	store := open(t, pgtest.Pool(t, url), eventstore.Options{})
	if _, err := store.Append(t.Context(), one(fresh(), 0)); err != nil {
		t.Fatal(err)
	}
	parttest.Await(t, "a hint after an append", hints)
	// Its connection is killed: it comes back, and hints, for something may have been missed.
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, url))
	if _, err := superuser.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity
		WHERE datname = current_database() AND query LIKE 'LISTEN%'`); err != nil {
		t.Fatal(err)
	}
	parttest.Await(t, "a hint after a new connection", hints)
}
