package eventstore_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestTheLastEventOfATimeIsFound(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := eventstore.Open(pgtest.Pool(t, url), eventstore.Options{})
	at := func(after time.Duration, want int64) {
		t.Helper()
		if seq, err := store.SeqAt(t.Context(), base.Add(after)); err != nil || seq != want {
			t.Errorf("%s after the beginning it is %d, %v; want %d", after, seq, err, want)
		}
	}
	at(0, 0) // the log is empty
	at(time.Hour, 0)
	for _, n := range []int{1, 2, 3, 7, 8, 9} {
		if n > 1 {
			tamper(t, url, `DELETE FROM events`)
		}
		planted(t, url, n) // event 1 at one second, event 2 at two …
		for i := range int64(n) {
			second := time.Duration(i+1) * time.Second
			at(second-time.Microsecond, i)
			at(second, i+1)
			at(second+time.Nanosecond, i+1)
			at(second+999*time.Millisecond, i+1)
		}
		at(-290*365*24*time.Hour, 0)
		at(24*time.Hour, int64(n))
		// The same moment, said elsewhere.
		if seq, err := store.SeqAt(t.Context(), base.Add(time.Second).In(time.FixedZone("Rome", 3600))); err != nil || seq != 1 {
			t.Errorf("in another zone it is %d, %v", seq, err)
		}
	}
}

func TestOfEventsRecordedAtOnceTheLastIsFound(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	planted(t, url, 12)
	// 1, 2 2 2 2, 3, 4 4 4 4 4 4, in seconds.
	tamper(t, url, `UPDATE events SET recorded_at = '`+base.Format(time.RFC3339)+`'::timestamptz +
		interval '1 second' * CASE WHEN seq = 1 THEN 1 WHEN seq <= 5 THEN 2 WHEN seq = 6 THEN 3 ELSE 4 END`)
	store := eventstore.Open(pgtest.Pool(t, url), eventstore.Options{})
	for second, want := range []int64{0, 1, 5, 6, 12} {
		for _, later := range []time.Duration{0, 500 * time.Millisecond} {
			if seq, err := store.SeqAt(t.Context(), base.Add(time.Duration(second)*time.Second+later)); err != nil || seq != want {
				t.Errorf("at second %d and %s it is %d, %v; want %d", second, later, seq, err, want)
			}
		}
	}
}

func TestAHoleWhereATimeIsLookedForIsAGap(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := eventstore.Open(pgtest.Pool(t, url), eventstore.Options{})
	for missing := int64(1); missing <= 9; missing++ {
		tamper(t, url, `DELETE FROM events`)
		planted(t, url, 9)
		tamper(t, url, fmt.Sprintf(`DELETE FROM events WHERE seq = %d`, missing))
		// The search for the event that is missing has to look at it.
		var gap *eventstore.GapError
		if _, err := store.SeqAt(t.Context(), base.Add(time.Duration(missing)*time.Second)); !errors.As(err, &gap) || gap.Want != missing {
			t.Errorf("without event %d: %v", missing, err)
		}
	}
}

func TestTheSearchForATimeUsesTheIndexHoweverThePlanWasMade(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	plan := explain(t, pool, eventstore.Statements()["sqlSeqAt"])
	if strings.Contains(plan, "Seq Scan on events") || !strings.Contains(plan, "Index") {
		t.Errorf("the plan does not go by the index:\n%s", plan)
	}
}

// TestWhatHadHappenedByATimeThatHasPassedDoesNotChange: an append that is under way has a time already.
func TestWhatHadHappenedByATimeThatHasPassedDoesNotChange(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := open(t, pgtest.Pool(t, url), eventstore.Options{})
	if _, err := store.Append(t.Context(), one(fresh(), 0)); err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Pool(t, url)
	asked := eventstore.Open(pool, eventstore.Options{})
	inTheWay, err := pgtest.Pool(t, pgtest.SuperuserURL(t, url)).Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = inTheWay.Rollback(context.WithoutCancel(t.Context())) }() // nothing, once it is over
	if _, err := inTheWay.Exec(t.Context(), "LOCK TABLE events IN SHARE MODE"); err != nil {
		t.Fatal(err)
	}
	appended := make(chan error, 1)
	go func() { _, err := store.Append(t.Context(), one(fresh(), 0)); appended <- err }()
	waiting := func(n int) bool {
		var found int
		err := pool.QueryRow(t.Context(), `SELECT count(DISTINCT pid) FROM pg_locks JOIN pg_stat_activity USING (pid)
			WHERE NOT granted AND datname = current_database() AND query !~ 'add_partitions'`).Scan(&found)
		return err == nil && found >= n
	}
	parttest.Eventually(t, "the append to be under way", func() bool { return waiting(1) })
	var now time.Time
	if err := pool.QueryRow(t.Context(), "SELECT clock_timestamp()").Scan(&now); err != nil {
		t.Fatal(err)
	}
	type answer struct {
		seq int64
		err error
	}
	found := make(chan answer, 1)
	go func() {
		seq, err := asked.SeqAt(t.Context(), now)
		found <- answer{seq, err}
	}()
	parttest.Eventually(t, "the question to wait", func() bool {
		select {
		case a := <-found:
			t.Fatalf("seq %d, %v, while an append is under way", a.seq, a.err)
		default:
		}
		return waiting(2)
	})
	if err := inTheWay.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := <-appended; err != nil {
		t.Fatal(err)
	}
	if a := <-found; a.seq != 2 || a.err != nil {
		t.Errorf("seq %d, %v, want 2", a.seq, a.err)
	}
}
