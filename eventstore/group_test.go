package eventstore_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// world is a database with a log, and a table that groups copy the log to.
type world struct {
	url   string
	pool  *pgxpool.Pool
	store *eventstore.Store
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{url: pgtest.Database(t)}
	w.pool = pgtest.Pool(t, w.url)
	w.store = open(t, w.pool, eventstore.Options{})
	if _, err := w.pool.Exec(t.Context(), `CREATE TABLE copied (group_name text, seq bigint, node text)`); err != nil {
		t.Fatal(err)
	}
	return w
}

func (w *world) fill(t *testing.T, n int) {
	t.Helper()
	var wg sync.WaitGroup
	for range n {
		wg.Go(func() {
			if _, err := w.store.Append(t.Context(), one(fresh(), 0)); err != nil {
				t.Errorf("fill: %v", err)
			}
		})
	}
	wg.Wait()
}

func (w *world) copied(t *testing.T, group string) []int64 {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `SELECT seq FROM copied WHERE group_name = $1 ORDER BY seq`, group)
	if err != nil {
		t.Fatal(err)
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		t.Fatal(err)
	}
	return seqs
}

func (w *world) checkpoint(t *testing.T, group string) (position int64) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), `SELECT position FROM checkpoints WHERE group_name = $1`, group).Scan(&position); err != nil {
		t.Fatal(err)
	}
	return position
}

// upTo is 1, 2 … n.
func upTo(n int64) []int64 {
	var seqs []int64
	for i := int64(1); i <= n; i++ {
		seqs = append(seqs, i)
	}
	return seqs
}

// start runs a group that copies the log; before is called with each event before it is written.
func (w *world) start(t *testing.T, cfg eventstore.GroupConfig, node string, before func(eventstore.Recorded) error) (g *eventstore.Group, stop func()) {
	t.Helper()
	g = eventstore.NewGroup(w.pool, cfg)
	copyLog := func(ctx context.Context, tx pgx.Tx, events []eventstore.Recorded) error {
		for _, e := range events {
			if _, err := tx.Exec(ctx, `INSERT INTO copied VALUES ($1, $2, $3)`, cfg.Name, e.Seq, node); err != nil {
				return err
			}
			if err := before(e); err != nil { // after the row is written: it must not stay
				return err
			}
		}
		return nil
	}
	return g, w.run(t, g, copyLog)
}

// run runs a group.
func (w *world) run(t *testing.T, g *eventstore.Group, project func(context.Context, pgx.Tx, []eventstore.Recorded) error) (stop func()) {
	t.Helper()
	return w.runHinted(t, g, nil, project)
}

// runHinted runs a group that is told when there is something to read.
func (w *world) runHinted(
	t *testing.T, g *eventstore.Group, hints <-chan struct{}, project func(context.Context, pgx.Tx, []eventstore.Recorded) error,
) (stop func()) {
	t.Helper()
	return parttest.Run(t, func(ctx context.Context) error {
		g.Start(hints, ctx.Done())
		subscriber, err := g.Subscriber()
		if err != nil {
			return err
		}
		router, err := message.NewRouter(message.RouterConfig{}, watermill.NewSlogLogger(slog.New(slog.DiscardHandler)))
		if err != nil {
			return err
		}
		router.AddConsumerHandler(g.Status().Name, eventstore.Topic, subscriber, g.Handler(project))
		return router.Run(ctx)
	})
}

func group(name string) eventstore.GroupConfig {
	return eventstore.GroupConfig{Name: name, Segment: 10, Poll: 10 * time.Millisecond}
}

func fine(eventstore.Recorded) error { return nil }

func TestAGroupHandlesTheWholeLogOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 25)
	g, stop := w.start(t, group("feed"), "a", fine)
	w.fill(t, 10)
	parttest.Eventually(t, "all to be handled", func() bool { return g.Status().Position == 35 })
	stop()
	w.fill(t, 5)
	w.start(t, group("feed"), "a", fine) // goes on where it was
	parttest.Eventually(t, "the rest to be handled", func() bool { return w.checkpoint(t, "feed") == 40 })
	if got := w.copied(t, "feed"); !slices.Equal(got, upTo(40)) {
		t.Errorf("handled %v", got)
	}
}

// A handler that appends, or asks somebody else, says nothing in its transaction meanwhile.
func TestAHandlerMayBeElsewhereForAsLongAsItsGroupSays(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 1)
	for bound, want := range map[time.Duration]string{0: "10s", 90 * time.Second: "90s"} {
		cfg := group("feed")
		if bound > 0 {
			cfg = group("views")
			cfg.Elsewhere = bound
		}
		told := make(chan string, 1)
		g := eventstore.NewGroup(w.pool, cfg)
		stop := w.run(t, g, func(ctx context.Context, tx pgx.Tx, _ []eventstore.Recorded) (err error) {
			var got string
			err = tx.QueryRow(ctx, `SHOW idle_in_transaction_session_timeout`).Scan(&got)
			told <- got
			return err
		})
		if got := <-told; got != want {
			t.Errorf("%s: the server waits for %s, want %s", bound, got, want)
		}
		stop()
	}
}

func TestAFailingHandlerLeavesNothingBehindAndIsTriedAgain(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func() error{
		"an error": func() error { return errors.New("planted fault") },
		"a panic":  func() error { panic("planted fault") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fill(t, 30)
			var broken atomic.Bool
			broken.Store(true)
			var tries atomic.Int64
			feed, _ := w.start(t, group("feed"), "a", func(e eventstore.Recorded) error {
				if e.Seq == 15 && broken.Load() { // in the middle of the second segment
					tries.Add(1)
					return fault()
				}
				return nil
			})
			w.start(t, group("views"), "a", fine)

			parttest.Eventually(t, "some tries", func() bool {
				s := feed.Status()
				return tries.Load() >= 3 && s.FailedSeq == 15 && s.Failures >= 2 // a try is counted before its failure is told
			})
			// What comes before the event that fails got through, one by one; of the rest there is nothing.
			if got, at := w.copied(t, "feed"), w.checkpoint(t, "feed"); at != 14 || !slices.Equal(got, upTo(14)) {
				t.Errorf("while event 15 fails the checkpoint is at %d and the rows are %v", at, got)
			}
			if s := feed.Status(); s.LastError == "" {
				t.Errorf("the failure does not show: %+v", s)
			}
			parttest.Eventually(t, "the other group to go on", func() bool { return w.checkpoint(t, "views") == 30 })

			broken.Store(false)
			parttest.Eventually(t, "the group to recover", func() bool { return w.checkpoint(t, "feed") == 30 })
			if got := w.copied(t, "feed"); !slices.Equal(got, upTo(30)) {
				t.Errorf("after the fault the rows are %v", got)
			}
			parttest.Eventually(t, "a healthy status", func() bool { return feed.Status().Failures == 0 })
		})
	}
}

func TestAFailedStatementIsAFailureToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 3)
	var broken atomic.Bool
	broken.Store(true)
	g := eventstore.NewGroup(w.pool, group("feed"))
	parttest.Run(t, func(ctx context.Context) error {
		g.Start(nil, ctx.Done())
		subscriber, err := g.Subscriber()
		if err != nil {
			return err
		}
		messages, err := subscriber.Subscribe(ctx, eventstore.Topic)
		if err != nil {
			return err
		}
		handle := g.Handler(func(ctx context.Context, tx pgx.Tx, events []eventstore.Recorded) error {
			for _, e := range events {
				if _, err := tx.Exec(ctx, `INSERT INTO copied VALUES ('feed', $1, 'a')`, e.Seq); err != nil {
					return err
				}
			}
			if broken.Load() {
				_, _ = tx.Exec(ctx, `SELECT 1/0`) // a handler that does not look: the transaction is poisoned
			}
			return nil
		})
		for msg := range messages {
			if err := handle(msg); err != nil {
				return err
			}
			msg.Ack()
		}
		return nil
	})
	parttest.Eventually(t, "the failure", func() bool { return g.Status().Failures >= 2 })
	if got, at := w.copied(t, "feed"), w.checkpoint(t, "feed"); len(got) > 0 || at > 0 {
		t.Errorf("a poisoned transaction left rows %v and the checkpoint at %d", got, at)
	}
	broken.Store(false)
	parttest.Eventually(t, "the group to recover", func() bool { return w.checkpoint(t, "feed") == 3 })
}

func TestOneNodeAtATimeWorksForAGroup(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	var inside, most atomic.Int64
	watch := func(eventstore.Recorded) error {
		if n := inside.Add(1); n > most.Load() {
			most.Store(n)
		}
		defer inside.Add(-1)
		return nil
	}
	// One node is stuck in a segment: it holds the lease, and the other must not touch the group.
	stuck, enter := make(chan struct{}), make(chan struct{}, 100)
	_, stopA := w.start(t, group("feed"), "a", func(eventstore.Recorded) error {
		enter <- struct{}{}
		<-stuck
		return errors.New("it lost its node")
	})
	w.fill(t, 20)
	parttest.Await(t, "node a to work", enter)
	other := pgtest.Pool(t, w.url)
	b := &world{url: w.url, pool: other, store: w.store}
	nodeB, _ := b.start(t, group("feed"), "b", watch)
	c := &world{url: w.url, pool: other, store: w.store}
	c.start(t, group("feed"), "c", watch)
	// The views group shows that time passes for b's database while the feed stands still.
	b.start(t, group("views"), "b", fine)
	parttest.Eventually(t, "the views", func() bool { return w.checkpoint(t, "views") == 20 })
	if at := nodeB.Status().Position; at != 0 {
		t.Errorf("node b moved the feed to %d while node a had the lease", at)
	}
	close(stuck)
	stopA()
	parttest.Eventually(t, "another node to take over", func() bool { return w.checkpoint(t, "feed") == 20 })
	if got := w.copied(t, "feed"); !slices.Equal(got, upTo(20)) {
		t.Errorf("handled %v", got)
	}
	if most.Load() > 1 {
		t.Errorf("%d nodes worked at once", most.Load())
	}
}

func TestAGroupHaltsAtAGap(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 5)
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url))
	for _, damage := range []string{
		"ALTER TABLE events_p00000000 DISABLE TRIGGER USER", "ALTER TABLE events DISABLE TRIGGER refuse_statement",
		"DELETE FROM events WHERE seq = 3",
	} {
		if _, err := superuser.Exec(t.Context(), damage); err != nil {
			t.Fatal(err)
		}
	}
	g, _ := w.start(t, group("feed"), "a", fine)
	parttest.Eventually(t, "the alarm", func() bool { return g.Status().FailedSeq == 3 && g.Status().Failures >= 2 })
	if got := w.copied(t, "feed"); !slices.Equal(got, upTo(2)) {
		t.Errorf("handled %v of a log without event 3", got)
	}
}
