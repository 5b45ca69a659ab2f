package rebuild_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// wantWhole: the live tables are as they were, and what is left of a rebuild can be gone on with.
func (w *world) wantWhole(t *testing.T, rows string, tables []string) {
	t.Helper()
	if got := w.contents(t, tables...); got != rows {
		t.Fatalf("after an interruption the tables hold\n%s\nand held\n%s", got, rows)
	}
	if known, there := value[int](t, w, `SELECT count(*) FROM rebuilds`), value[int](t, w, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%'`); known != there {
		t.Fatalf("%d rebuilds are known and %d schemas there", known, there)
	}
}

func TestARebuildThatIsInterruptedAtAnyMomentGoesOn(t *testing.T) {
	t.Parallel()
	for name, tables := range map[string][]string{"views": viewTables, "feed": feedTables} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			stop := w.project(t)
			w.open(t)
			w.sellMany(t, 40)
			w.waitFor(t)
			stop()
			rows, catalog := w.contents(t, tables...), w.catalog(t)
			opts := rebuild.Options{Segment: 20}
			whole := w.rebuild(t, name, opts).Took

			var continued, interrupted, swapped int
			for i := 1; swapped < 2; i++ { // later and later, until it gets through twice
				ctx, cancel := context.WithTimeout(t.Context(), time.Duration(i)*whole/25)
				r, err := w.tryRebuild(ctx, name, opts)
				cancel()
				if r.ContinuedFrom > 0 {
					continued++
				}
				switch {
				case err == nil:
					wantSame(t, r)
					swapped++
				case !errors.Is(err, context.DeadlineExceeded) && !errors.Is(err, rebuild.ErrRunning):
					t.Fatal(err)
				default:
					interrupted++
				}
				w.wantWhole(t, rows, tables)
			}
			if continued == 0 || interrupted < 3 {
				t.Errorf("it was interrupted %d times and continued %d times", interrupted, continued)
			}
			t.Logf("interrupted %d times, continued %d times", interrupted, continued)
			w.wantNothingLeft(t)
			if after := w.catalog(t); after != catalog {
				t.Errorf("the schema was %s", difference(catalog, after))
			}
		})
	}
}

func TestARebuildThatIsInterruptedInEachPhaseGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 30)
	head := w.waitFor(t)
	rows := w.contents(t, viewTables...)
	for _, phase := range []string{rebuild.PhaseBuilding, rebuild.PhaseComparing, rebuild.PhaseSwapping} {
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.tryRebuild(ctx, "views", rebuild.Options{Segment: 20, Program: "1", Progress: func(p rebuild.Progress) {
			if p.Phase == phase && (p.Done > 0 || phase != rebuild.PhaseBuilding) {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "run it again to go on") {
			t.Errorf("interrupted when %s: %v", phase, err)
		}
		w.wantWhole(t, rows, viewTables)
		pending, err := rebuild.Pending(t.Context(), w.pool)
		if err != nil || len(pending) != 1 || pending[0].Name != "views" || pending[0].Program != "1" || pending[0].Position == 0 || pending[0].StartedAt.IsZero() {
			t.Errorf("interrupted when %s, pending are %+v, %v", phase, pending, err)
		}
	}
	r := w.rebuild(t, "views", rebuild.Options{Program: "1"})
	if wantSame(t, r); r.ContinuedFrom != head || r.Events != 0 {
		t.Errorf("it went on from %d of %d and read %d events", r.ContinuedFrom, head, r.Events)
	}
}

func TestWhatAnotherProgramBeganIsBegunAnewAndSoIsWhatIsRestarted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 10)
	head := w.waitFor(t)
	interrupt := func() {
		t.Helper()
		ctx, cancel := context.WithCancel(t.Context())
		_, err := w.tryRebuild(ctx, "orders", rebuild.Options{Program: "1", Progress: func(p rebuild.Progress) {
			if p.Phase == rebuild.PhaseComparing {
				cancel()
			}
		}})
		if !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		// Whoever goes on with this finds a row too many.
		w.exec(t, `INSERT INTO rebuild_orders.orders_view SELECT gen_random_uuid(), '', '', '', now(), -1, '{}'`)
	}
	for what, opts := range map[string]rebuild.Options{"another program": {Program: "2"}, "restart": {Program: "1", Restart: true}} {
		interrupt()
		r := w.rebuild(t, "orders", opts)
		if wantSame(t, r); r.ContinuedFrom != 0 || r.Events != head {
			t.Errorf("%s: it went on from %d and read %d events", what, r.ContinuedFrom, r.Events)
		}
	}
	interrupt()
	if r := w.rebuild(t, "orders", rebuild.Options{Program: "1", DryRun: true}); r.Different != 1 {
		t.Errorf("the same program did not go on: %+v", r)
	}
	// Nor is gone on with what does not fit any more.
	for what, sql := range map[string]string{
		"changed table": `ALTER TABLE orders_view ADD COLUMN more text`, "another grant": `GRANT SELECT ON orders_view TO PUBLIC`,
		"a group put back": `UPDATE checkpoints SET position = 5 WHERE group_name = 'views'`, "no schema": `DROP SCHEMA rebuild_orders CASCADE`,
	} {
		interrupt()
		w.exec(t, sql)
		if r := w.rebuild(t, "orders", rebuild.Options{Program: "1", DryRun: true}); r.ContinuedFrom != 0 {
			t.Errorf("%s: it went on from %d", what, r.ContinuedFrom)
		}
	}
}

func TestARebuildThatLosesItsConnectionsGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 60)
	w.waitFor(t)
	rows := w.contents(t, viewTables...)
	var lost, continued int
	for swapped := false; !swapped; {
		done := make(chan struct{})
		killer := make(chan struct{})
		go func() { // one of the connections, over and over, less and less often
			defer close(killer)
			for wait := 50 * time.Millisecond << (lost / 3); ; {
				select {
				case <-done:
					return
				case <-time.After(wait):
				}
				_, _ = w.pool.Exec(context.WithoutCancel(t.Context()), `
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'orderlog rebuild' AND datname = current_database() ORDER BY random() LIMIT 1`)
			}
		}()
		r, err := w.tryRebuild(t.Context(), "views", rebuild.Options{Segment: 20})
		close(done)
		<-killer
		if r.ContinuedFrom > 0 {
			continued++
		}
		if swapped = err == nil; swapped {
			wantSame(t, r)
		} else {
			lost++
		}
		w.wantWhole(t, rows, viewTables)
	}
	t.Logf("it failed %d times and went on %d times", lost, continued)
	w.wantNothingLeft(t)
}

// cutConn loses the connection when the swap is committed: before the server hears of it, or after.
type cutConn struct {
	net.Conn
	deliver  bool
	swapping bool
	cuts     *atomic.Int64
}

func (c *cutConn) Write(b []byte) (int, error) {
	c.swapping = c.swapping || bytes.Contains(b, []byte("DROP SCHEMA \"rebuild_"))
	if !c.swapping || !bytes.Contains(b, []byte("commit\x00")) {
		return c.Conn.Write(b)
	}
	c.cuts.Add(1)
	if c.deliver {
		if _, err := c.Conn.Write(b); err != nil {
			return 0, err
		}
		// One byte of the answer: the server is at work on what it was sent.
		if _, err := c.Read(make([]byte, 1)); err != nil {
			return 0, err
		}
	}
	_ = c.Close()
	return len(b), nil // as the kernel says of what it has taken and the network then loses
}

func TestASwapWhoseCommitIsLostIsFoundOut(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	for _, deliver := range []bool{true, false} {
		var cuts atomic.Int64
		r, err := w.tryRebuild(t.Context(), "orders", rebuild.Options{}.WithDial(func(ctx context.Context, network, addr string) (net.Conn, error) {
			conn, err := new(net.Dialer).DialContext(ctx, network, addr)
			return &cutConn{Conn: conn, deliver: deliver, cuts: &cuts}, err
		}))
		if (err == nil) != deliver || r.Swapped != deliver || cuts.Load() != 1 {
			t.Errorf("a commit that the server heard of (%v): %+v, %v; %d were lost", deliver, r, err, cuts.Load())
		}
	}
	if r := w.rebuild(t, "orders", rebuild.Options{}); r.ContinuedFrom == 0 || !r.Swapped {
		t.Errorf("run again: %+v", r)
	}
	w.wantNothingLeft(t)
}

// model is a read model of the business that a test has something to do with.
func model(project func(ctx context.Context, tx pgx.Tx, events []projections.Event) error) []projections.ReadModel {
	return []projections.ReadModel{{
		Name: "business", Group: projections.GroupViews, Streams: []string{business.StreamType, order.StreamType}, Tables: []string{"business_view"},
		New: func(*pgxpool.Pool) projections.Model { return projector(project) },
	}}
}

type projector func(ctx context.Context, tx pgx.Tx, events []projections.Event) error

func (p projector) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	return p(ctx, tx, events)
}

func TestAModelThatFailsSaysAtWhichEventAndKeepsWhatIsBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 20)
	w.waitFor(t)
	bad := value[int64](t, w, `SELECT max(seq) FROM events WHERE type = 'order.assigned'`)
	for what, fail := range map[string]func() error{
		"returns an error": func() error { return errors.New("broken") },
		"panics":           func() error { panic("broken") },
	} {
		failing := true
		models := model(func(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
			for _, e := range events {
				if e.Seq == bad && failing {
					return fail()
				}
			}
			return projections.Business{}.Project(ctx, tx, events)
		})
		_, err := rebuild.Run(t.Context(), w.url, models, rebuild.Options{Name: "own"})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("seq %d, order.assigned of order/", bad)) || !strings.Contains(err.Error(), "broken") {
			t.Errorf("it %s: got %v, want the event at %d named", what, err, bad)
		}
		if kept := value[int64](t, w, `SELECT position FROM rebuilds WHERE name = 'own'`); kept >= bad || kept < bad-30 {
			t.Errorf("it %s: kept up to seq %d, it fails at %d", what, kept, bad)
		}
		failing = false
		r, err := rebuild.Run(t.Context(), w.url, models, rebuild.Options{Name: "own"})
		if err != nil || !r.Swapped || r.ContinuedFrom == 0 || r.Different != 0 {
			t.Errorf("when it works again: %+v, %v", r, err)
		}
	}
}

func TestAnEventThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	w.sellMany(t, 2)
	w.asSuperuser(t, `
WITH e AS (INSERT INTO events SELECT seq + 1, gen_random_uuid(), 'order', gen_random_uuid(), 1, 'order.frozen', '{}', '{}', now() FROM log_head)
UPDATE log_head SET seq = seq + 1`)
	head := value[int64](t, w, `UPDATE checkpoints SET position = (SELECT seq FROM log_head) WHERE group_name = 'views' RETURNING position`)
	_, err := w.tryRebuild(t.Context(), "orders", rebuild.Options{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("seq ", head)) || !strings.Contains(err.Error(), "order.frozen") {
		t.Errorf("got %v", err)
	}
	if kept := value[int64](t, w, `SELECT position FROM rebuilds`); kept != head-1 {
		t.Errorf("kept up to seq %d of %d", kept, head)
	}
	// Whoever has nothing to do with it passes it by.
	if r := w.rebuild(t, "payments", rebuild.Options{}); r.Seq != head || !r.Swapped {
		t.Errorf("got %+v", r)
	}
}

func TestARebuildMendsWhatAGroupStandsAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 10)
	id, err := w.sell(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.waitFor(t)
	w.exec(t, `DELETE FROM orders_view WHERE id = $1`, id)
	if err := w.append(t.Context(), change(order.StreamType, id, order.StatusChanged{OrderID: id, To: order.StatusOutForDelivery})); err != nil {
		t.Fatal(err)
	}
	head := value[int64](t, w, `SELECT seq FROM log_head`)
	parttest.Eventually(t, "the group to stand", func() bool {
		return value[bool](t, w, `SELECT failures > 1 AND failed_seq = $1 FROM checkpoints WHERE group_name = 'views'`, head)
	})
	r := w.rebuild(t, "orders", rebuild.Options{})
	if r.Seq != head-1 || r.Different != 1 || !r.Swapped {
		t.Errorf("got %+v: %s", r, shown(r.Differences))
	}
	w.waitFor(t)
	if o, _, err := projections.NewViews(w.pool).Order(t.Context(), id); err != nil || o.Status != order.StatusOutForDelivery {
		t.Errorf("the order is %+v, %v", o, err)
	}
}
