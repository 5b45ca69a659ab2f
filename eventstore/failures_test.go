package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// told is what a group's row says of its failures, to whoever reads it.
type told struct {
	failures int
	seq      *int64
	text     *string
	age      *float64 // of the failure, in seconds by the database's clock
}

func (s told) none() bool { return s.failures == 0 && s.seq == nil && s.text == nil && s.age == nil }

func (w *world) told(t *testing.T, group string) (s told) {
	t.Helper()
	err := w.pool.QueryRow(t.Context(), `SELECT failures, failed_seq, last_error, extract(epoch FROM clock_timestamp() - failed_at)::float8
		FROM checkpoints WHERE group_name = $1`, group).Scan(&s.failures, &s.seq, &s.text, &s.age)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// plant writes into a group's row what a node that is gone would have left.
func (w *world) plant(t *testing.T, group string) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), `UPDATE checkpoints SET failures = 3, failed_seq = 1, last_error = 'old', failed_at = now() WHERE group_name = $1`, group)
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhyAGroupStandsIsToldUntilItWorksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 30)
	var broken atomic.Bool
	broken.Store(true)
	w.start(t, group("feed"), "a", func(e eventstore.Recorded) error {
		if e.Seq == 15 && broken.Load() {
			return errors.New("planted fault")
		}
		return nil
	})
	parttest.Eventually(t, "some failures", func() bool { s := w.told(t, "feed"); return s.failures >= 3 && *s.seq == 15 })
	s := w.told(t, "feed")
	if s.text == nil || !strings.Contains(*s.text, "events 15 to 15") || !strings.Contains(*s.text, "planted fault") {
		t.Errorf("the row says %+v", s)
	}
	if s.age == nil || *s.age < 0 || *s.age > 60 {
		t.Errorf("it is said to have failed %v seconds ago", s.age)
	}
	if at := w.checkpoint(t, "feed"); at != 14 {
		t.Errorf("telling moved the checkpoint to %d", at)
	}
	broken.Store(false)
	parttest.Eventually(t, "the group to recover", func() bool { return w.checkpoint(t, "feed") == 30 })
	if s := w.told(t, "feed"); !s.none() {
		t.Errorf("of a group that works the row says %+v", s)
	}
}

func TestAnErrorIsToldInATextThatPostgreSQLCanKeep(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		fault  func() error
		within string
	}{
		"long":        {func() error { return errors.New(strings.Repeat("piè ", 3000)) }, "piè piè"},
		"with a zero": {func() error { return errors.New("a\x00b") }, "a?b"},
		"not UTF-8":   {func() error { return errors.New("a\xff\xfeb" + strings.Repeat("\xe2\x82", 3000)) }, "a?b"},
		"a panic":     {func() error { panic("planted \x00 fault") }, "planted ? fault"},
		"empty":       {func() error { return errors.New("") }, "events 1 to 1: "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fill(t, 1)
			w.start(t, group("feed"), "a", func(eventstore.Recorded) error { return c.fault() })
			parttest.Eventually(t, "the failure to be told", func() bool { return w.told(t, "feed").failures >= 2 })
			text := *w.told(t, "feed").text
			if !strings.Contains(text, c.within) || !utf8.ValidString(text) || utf8.RuneCountInString(text) > 2000 {
				t.Errorf("told as %d characters: %.100q", utf8.RuneCountInString(text), text)
			}
			if name == "long" && utf8.RuneCountInString(text) != 2000 {
				t.Errorf("%d characters are kept", utf8.RuneCountInString(text))
			}
		})
	}
}

// What is told by a node that died is cleared by the first that finds nothing left to do.
func TestAFailureOfBeforeIsClearedWhenNothingIsLeftToDo(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.plant(t, "feed")
	w.start(t, group("feed"), "a", fine)
	parttest.Eventually(t, "the row to be cleared", func() bool { return w.told(t, "feed").none() })
}

func TestAFailureIsNeitherToldNorClearedByANodeThatKnowsLess(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 5)
	statements := eventstore.Statements()
	run := func(statement string, args ...any) int64 {
		t.Helper()
		tag, err := w.pool.Exec(t.Context(), statements[statement], args...)
		if err != nil {
			t.Fatal(err)
		}
		return tag.RowsAffected()
	}
	if n := run("sqlTellFailure", "feed", int64(4), int64(5), "another node has moved the checkpoint on or back"); n != 0 || !w.told(t, "feed").none() {
		t.Error("a failure at another position was told")
	}
	if n := run("sqlTellFailure", "feed", nil, nil, "no segment was found"); n != 1 || w.told(t, "feed").failures != 1 {
		t.Error("a failure without a position was not told")
	}
	if n := run("sqlTellFailure", "feed", int64(0), int64(1), "again"); n != 1 || w.told(t, "feed").failures != 2 {
		t.Error("a second failure was not counted")
	}
	if n := run("sqlClearFailures", "feed"); n != 0 || w.told(t, "feed").failures != 2 {
		t.Error("a failure was cleared while there is something to do")
	}
	if s := w.told(t, "views"); !s.none() {
		t.Errorf("of another group the row says %+v", s)
	}
}

func TestAGroupDoesNotWaitToTellWhileItsRowIsLocked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 3)
	g := eventstore.NewGroup(w.pool, group("feed"))
	g.TellFor(time.Hour)                                              // whoever waits for the lock is found out
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { // as another node does, or a rebuild
		if _, err := tx.Exec(t.Context(), `SELECT FROM checkpoints WHERE group_name = 'feed' FOR UPDATE`); err != nil {
			return err
		}
		told := make(chan struct{})
		go func() {
			defer close(told)
			g.FailAt(0, errors.New("planted fault"))
		}()
		parttest.Await(t, "the group to give up telling", told)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if s := w.told(t, "feed"); !s.none() {
		t.Errorf("over the lock the row says %+v", s)
	}
	g.FailAt(0, errors.New("planted fault"))
	if s := w.told(t, "feed"); s.failures != 1 || *s.seq != 1 || *s.text != "planted fault" {
		t.Errorf("without the lock the row says %+v", s)
	}
}

func TestAGroupGoesOnWhenItCannotTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 3)
	var name string
	if err := w.pool.QueryRow(t.Context(), `SELECT current_database()`).Scan(&name); err != nil {
		t.Fatal(err)
	}
	// PostgreSQL closes a database to others only.
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, "postgres://localhost/postgres"))
	open := func(allowed bool) error {
		_, err := superuser.Exec(t.Context(), fmt.Sprintf(`ALTER DATABASE %s ALLOW_CONNECTIONS %t`, name, allowed))
		return err
	}
	var tries atomic.Int64
	pool := pgtest.Pool(t, w.url) // of the node that loses its database
	g := eventstore.NewGroup(pool, group("feed"))
	w.run(t, g, func(context.Context, pgx.Tx, []eventstore.Recorded) error {
		if tries.Add(1) > 1 {
			return nil
		}
		if err := open(false); err != nil {
			return err
		}
		_, err := superuser.Exec(t.Context(), `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1`, name)
		return errors.Join(err, errors.New("the database has gone"))
	})
	parttest.Eventually(t, "failures without the database", func() bool { return g.Status().Failures >= 3 })
	if err := open(true); err != nil {
		t.Fatal(err)
	}
	parttest.Eventually(t, "the group to recover", func() bool { return g.Status().Position == 3 && g.Status().Failures == 0 })
	w.pool.Reset() // its connections are dead
	if s := w.told(t, "feed"); !s.none() {
		t.Errorf("of a group that works the row says %+v", s)
	}
}

func TestWhatAStopBreaksOffIsNotTold(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 3)
	working := make(chan struct{}, 10)
	g := eventstore.NewGroup(w.pool, group("feed"))
	stop := w.run(t, g, func(ctx context.Context, _ pgx.Tx, _ []eventstore.Recorded) error {
		working <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	})
	parttest.Await(t, "the group to work", working)
	stop()
	if s := w.told(t, "feed"); !s.none() {
		t.Errorf("after a stop the row says %+v", s)
	}
}

// statements counts what a pool runs.
type statements struct {
	mu  sync.Mutex
	ran map[string]int
}

func (s *statements) count(sql string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ran[sql]++
}

func (s *statements) of(sql string) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ran[sql]
}

func (s *statements) TraceQueryStart(ctx context.Context, _ *pgx.Conn, d pgx.TraceQueryStartData) context.Context {
	s.count(d.SQL)
	return ctx
}
func (*statements) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func TestAGroupThatWorksHasNothingToTell(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	seen := &statements{ran: map[string]int{}}
	cfg, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		t.Fatal(err)
	}
	cfg.ConnConfig.Tracer = seen
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	g := eventstore.NewGroup(pool, group("feed"))
	w.run(t, g, func(context.Context, pgx.Tx, []eventstore.Recorded) error { return nil })
	all := eventstore.Statements()
	for n := range 4 {
		if n > 0 {
			w.fill(t, 20)
		}
		looks := seen.of(all["sqlNextSegment"])
		parttest.Eventually(t, "the group to be idle", func() bool {
			return g.Status().Position == int64(20*n) && seen.of(all["sqlNextSegment"]) > looks+5
		})
	}
	if cleared, told := seen.of(all["sqlClearFailures"]), seen.of(all["sqlTellFailure"]); cleared > 1 || told > 0 {
		t.Errorf("it was cleared %d times and told %d times; want at most once, at the start", cleared, told)
	}
}
