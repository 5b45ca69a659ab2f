package eventstore_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/eventstore"
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
