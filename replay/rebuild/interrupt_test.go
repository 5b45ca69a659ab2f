package rebuild_test

import (
	"bytes"
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/parttest"
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

func TestARebuildThatIsKilledGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 60)
	head := w.waitFor(t)
	rows := w.contents(t, viewTables...)
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	reached := int64(0)
	for range 3 {
		process := exec.Command(self)
		process.Env = append(os.Environ(), killedVariable+"="+w.url)
		if err := process.Start(); err != nil {
			t.Fatal(err)
		}
		parttest.Eventually(t, "the process to go on", func() bool {
			return value[int64](t, w, `SELECT coalesce(max(position), 0) FROM rebuilds`) > reached+20
		})
		if err := process.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = process.Wait() // it was killed
		w.wantWhole(t, rows, viewTables)
		reached = value[int64](t, w, `SELECT position FROM rebuilds`)
	}
	r := w.rebuild(t, "views", rebuild.Options{})
	if wantSame(t, r); r.ContinuedFrom < reached || r.ContinuedFrom+r.Events != head || !r.Swapped {
		t.Errorf("killed at seq %d of %d, it came to %+v", reached, head, r)
	}
	w.wantNothingLeft(t)
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
