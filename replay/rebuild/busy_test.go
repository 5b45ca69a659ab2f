package rebuild_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// session is a transaction of somebody else.
func (w *world) session(t *testing.T, statements ...string) pgx.Tx {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), w.url+"&application_name=somebody")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) }) // the transaction may have ended it
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for _, sql := range statements {
		if _, err := tx.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	return tx
}

func TestTablesThatAreInUseForLongAreLeftAndTheUserIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	views := projections.NewViews(w.pool)
	var slowest atomic.Int64
	var reads atomic.Int64
	w.reader(t, "the business", &reads, func(ctx context.Context) (int64, error) {
		started := time.Now()
		_, seq, err := views.Business(ctx)
		slowest.Store(max(slowest.Load(), int64(time.Since(started))))
		return seq, err
	})
	for _, lock := range []string{
		`SELECT FROM inbox_view`,                                        // a report that takes long
		`LOCK TABLE orders_view IN SHARE UPDATE EXCLUSIVE MODE`,         // VACUUM by hand
		`SELECT FROM checkpoints WHERE group_name = 'views' FOR UPDATE`, // a node that hangs
	} {
		other := w.session(t, lock)
		_, err := w.tryRebuild(t.Context(), "views", rebuild.Options{}.WithPatience(time.Millisecond))
		if err == nil || !strings.Contains(err.Error(), "run it again to go on") || !strings.Contains(lock, "checkpoints") && !strings.Contains(err.Error(), "(somebody, idle in transaction for ") {
			t.Errorf("%s: got %v", lock, err)
		}
		if err := other.Rollback(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if r := w.rebuild(t, "views", rebuild.Options{}); r.ContinuedFrom == 0 || !r.Swapped {
		t.Errorf("when nobody uses them any more: %+v", r)
	}
	t.Logf("the slowest of %d reads took %s", reads.Load(), time.Duration(slowest.Load()))
}

func TestASwapIsMadeWhenTheTablesAreFreeAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	other := w.session(t, `SELECT FROM inbox_view`)
	free := sync.OnceFunc(func() {
		if err := other.Rollback(t.Context()); err != nil {
			t.Error(err)
		}
	})
	r := w.rebuild(t, "inboxes", rebuild.Options{Logger: onWarning(free)})
	if wantSame(t, r); !r.Swapped {
		t.Errorf("got %+v", r)
	}
}

// A reader that has the last of the tables waits for the first, which the swap has, and only then the swap comes to wait
// for the last: PostgreSQL would find that the reader waited for longer, and end its statement. The swap gives way before.
func TestNoReaderEverLosesADeadlock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	between, reader := w.session(t, `SELECT FROM orders_view`), w.session(t, `SELECT FROM inbox_readers`)
	ctx := context.WithoutCancel(t.Context())
	found := make(chan error, 1)
	go func() {
		found <- func() error {
			for locked := false; !locked; {
				if err := w.pool.QueryRow(ctx, `
SELECT EXISTS (SELECT FROM pg_locks WHERE relation = to_regclass('public.business_view') AND mode = 'AccessExclusiveLock' AND granted)`).Scan(&locked); err != nil {
					return err
				}
			}
			read := make(chan error, 1)
			go func() {
				_, err := reader.Exec(ctx, `SELECT FROM business_view`)
				read <- errors.Join(err, reader.Rollback(ctx))
			}()
			<-time.After(100 * time.Millisecond) // the reader waits by now; if not, there is nothing to be seen in this run
			return errors.Join(between.Rollback(ctx), <-read)
		}()
	}()
	r := w.rebuild(t, "views", rebuild.Options{})
	if err := <-found; err != nil {
		t.Errorf("the reader: %v", err)
	}
	if !r.Swapped {
		t.Errorf("got %+v", r)
	}
}

func TestTwoRebuildsOfATableAtOnceAreRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	tried := false
	r := w.rebuild(t, "views", rebuild.Options{Progress: func(p rebuild.Progress) {
		if tried || p.Phase != rebuild.PhaseComparing {
			return
		}
		tried = true
		for _, name := range []string{"views", "orders"} {
			if _, err := w.tryRebuild(t.Context(), name, rebuild.Options{Restart: true}); !errors.Is(err, rebuild.ErrRunning) {
				t.Errorf("%s beside views: %v", name, err)
			}
		}
		if other := w.rebuild(t, "feed", rebuild.Options{}); !other.Swapped {
			t.Errorf("feed beside views: %+v", other)
		}
		pending, err := rebuild.Pending(t.Context(), w.pool)
		if err != nil || len(pending) != 1 || pending[0].Name != "views" || !pending[0].Running {
			t.Errorf("pending are %+v, %v", pending, err)
		}
	}})
	if wantSame(t, r); !tried || !r.Swapped {
		t.Errorf("got %+v", r)
	}
	if pending, err := rebuild.Pending(t.Context(), w.pool); err != nil || len(pending) != 0 {
		t.Errorf("pending are %+v, %v", pending, err)
	}
}

func TestARebuildThatWasInterruptedIsPendingAndNotRunning(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.tryRebuild(ctx, "orders", rebuild.Options{Program: "v7", Progress: func(p rebuild.Progress) {
		if p.Phase == rebuild.PhaseComparing {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	parttest.Eventually(t, "its locks to go", func() bool {
		pending, err := rebuild.Pending(t.Context(), w.pool)
		if err != nil || len(pending) != 1 || pending[0].Program != "v7" {
			t.Fatalf("pending are %+v, %v", pending, err)
		}
		return !pending[0].Running
	})
}

// A table that is changed while it is rebuilt is not replaced by one without the change.
func TestATableThatChangesMeanwhileIsNotReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.waitFor(t)
	_, err := w.tryRebuild(t.Context(), "orders", rebuild.Options{Progress: func(p rebuild.Progress) {
		if p.Phase == rebuild.PhaseSwapping {
			w.exec(t, `ALTER TABLE orders_view ADD COLUMN IF NOT EXISTS more text`)
		}
	}})
	if err == nil || !strings.Contains(err.Error(), "more text") {
		t.Errorf("got %v", err)
	}
	if r := w.rebuild(t, "orders", rebuild.Options{}); r.ContinuedFrom != 0 || !r.Swapped {
		t.Errorf("run again: %+v", r)
	}
	value[*string](t, w, `SELECT max(more) FROM orders_view`)
}

func TestTimeoutsOfTheDatabaseDoNotBreakARebuildOff(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	w.exec(t, `UPDATE checkpoints SET position = (SELECT seq FROM log_head)`)
	models := model(func(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
		if _, err := tx.Exec(ctx, `SELECT pg_sleep(0.3)`); err != nil {
			return err
		}
		return projections.Business{}.Project(ctx, tx, events)
	})
	url := w.url + "&statement_timeout=250&lock_timeout=250&idle_in_transaction_session_timeout=250"
	if r, err := rebuild.Run(t.Context(), url, models, rebuild.Options{Name: "slow"}); err != nil || !r.Swapped {
		t.Errorf("got %+v, %v", r, err)
	}
}

func TestAConnectionThatLosesItsSettingsWritesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	w.exec(t, `UPDATE checkpoints SET position = (SELECT seq FROM log_head)`)
	before := w.contents(t, "business_view")
	models := model(func(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
		if _, err := tx.Exec(ctx, `SET search_path = public`); err != nil { // as a pooler may
			return err
		}
		return projections.Business{}.Project(ctx, tx, events)
	})
	_, err := rebuild.Run(t.Context(), w.url, models, rebuild.Options{Name: "own"})
	if err == nil || !strings.Contains(err.Error(), "pooler") {
		t.Errorf("got %v", err)
	}
	if after := w.contents(t, "business_view"); after != before {
		t.Errorf("the live table holds %s", after)
	}
}

func TestASwapKeepsTheOwnerWhoeverMakesIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 3)
	w.waitFor(t)
	before := w.catalog(t)
	models, err := rebuild.Choose("views")
	if err != nil {
		t.Fatal(err)
	}
	r, err := rebuild.Run(t.Context(), pgtest.SuperuserURL(t, w.url), models, rebuild.Options{Name: "views"})
	if err != nil || !r.Swapped {
		t.Fatalf("got %+v, %v", r, err)
	}
	if after := w.catalog(t); after != before {
		t.Errorf("it was %s", difference(before, after))
	}
	w.sellMany(t, 3)
	w.waitFor(t)
	wantSame(t, w.rebuild(t, "views", rebuild.Options{DryRun: true}))
}

func TestARebuildBeginsWhenTheOneBeforeItIsSoonOver(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.waitFor(t)
	before, err := w.pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer before.Release()
	lock := func(sql string) {
		if _, err := before.Exec(t.Context(), sql, "orders_view"); err != nil {
			t.Fatal(err)
		}
	}
	claim := rebuild.Statements()["sqlLockTable"]
	lock(claim)
	type outcome struct {
		rebuild.Result
		err error
	}
	second := make(chan outcome, 1)
	go func() {
		r, err := w.tryRebuild(t.Context(), "orders", rebuild.Options{})
		second <- outcome{r, err}
	}()
	parttest.Eventually(t, "the second to wait", func() bool {
		var waits bool
		err := w.pool.QueryRow(t.Context(), `SELECT EXISTS (SELECT FROM pg_locks WHERE locktype = 'advisory' AND NOT granted
			AND database = (SELECT oid FROM pg_database WHERE datname = current_database()))`).Scan(&waits)
		return err == nil && waits
	})
	lock(strings.Replace(claim, "pg_advisory_lock", "pg_advisory_unlock", 1))
	if o := <-second; o.err != nil || !o.Swapped {
		t.Errorf("%+v, %v", o.Result, o.err)
	}
}
