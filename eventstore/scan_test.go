package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// tamper changes the log behind the program's back.
func tamper(t *testing.T, url string, changes ...string) {
	t.Helper()
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, url))
	changes = append([]string{
		"ALTER TABLE events_p00000000 DISABLE TRIGGER USER", "ALTER TABLE events DISABLE TRIGGER refuse_statement",
	}, changes...)
	for _, change := range changes {
		if _, err := superuser.Exec(t.Context(), change); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
	}
}

// planted makes a log of n events, a second apart from base on, in one statement: the Append of each would take long.
func planted(t *testing.T, url string, n int) {
	t.Helper()
	tamper(t, url, fmt.Sprintf(`INSERT INTO events SELECT n, gen_random_uuid(), 'test', gen_random_uuid(), 1, 'test.happened',
			'{"a": [1, 2], "text": "%s"}', '{}', timestamptz '%s' + n * interval '1 second' FROM generate_series(1, %d) n`,
		strings.Repeat("x", 200), base.Format(time.RFC3339), n),
		fmt.Sprintf(`UPDATE log_head SET seq = %d, recorded_at = now()`, n))
}

var base = time.Date(2026, 11, 23, 18, 0, 0, 0, time.UTC)

// scanned is what a scan hands out, copied.
func scanned(t *testing.T, store *eventstore.Store, after, upTo, page int64) (events []eventstore.Recorded, err error) {
	t.Helper()
	err = store.ScanPages(t.Context(), after, upTo, page, func(e eventstore.Recorded) error {
		e.Data, e.Meta = slices.Clone(e.Data), slices.Clone(e.Meta)
		events = append(events, e)
		return nil
	})
	return events, err
}

func seqs(events []eventstore.Recorded) []int64 {
	all := []int64{}
	for _, e := range events {
		all = append(all, e.Seq)
	}
	return all
}

// same compares events by all that they hold.
func same(a, b []eventstore.Recorded) bool {
	return slices.EqualFunc(a, b, func(a, b eventstore.Recorded) bool { return reflect.DeepEqual(a, b) })
}

func TestAScanGivesWhatTheOtherReadsGive(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := open(t, pgtest.Pool(t, url), eventstore.Options{})
	long := fresh()
	for i := range int64(7) {
		a := one(long, i)
		a.Streams[0].Events[0].Data = json.RawMessage(fmt.Sprintf(`{"n": %d.50, "text": "é \" \\ \u0001 %s"}`, i, strings.Repeat("x", int(i)*3000)))
		a.Meta = eventstore.Meta{UserID: "ann", Reason: "why"}
		a.Streams = append(a.Streams, one(fresh(), 0).Streams...)
		a.Streams[1].Events[0].Type = fmt.Sprintf("test.happened.v%d", i%3)
		if _, err := store.Append(t.Context(), a); err != nil {
			t.Fatal(err)
		}
	}
	log, err := store.ReadLog(t.Context(), 0, 100)
	if err != nil || len(log) != 14 {
		t.Fatalf("the log has %d events, %v", len(log), err)
	}
	stream, err := store.ReadStream(t.Context(), long, 0)
	if err != nil {
		t.Fatal(err)
	}
	// However the pool runs statements, rows come in the same format.
	for _, mode := range []pgx.QueryExecMode{
		pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec, pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
	} {
		cfg, err := pgxpool.ParseConfig(url)
		if err != nil {
			t.Fatal(err)
		}
		cfg.ConnConfig.DefaultQueryExecMode = mode
		pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(pool.Close)
		reader := eventstore.Open(pool, eventstore.Options{}) // reading needs no Run
		for _, page := range []int64{1, 3, 14, 1000} {
			got, err := scanned(t, reader, 0, 14, page)
			if err != nil || !same(got, log) {
				t.Errorf("%s, pages of %d: not the same in %v, %v", mode, page, seqs(got), err)
			}
			ofStream := slices.DeleteFunc(got, func(e eventstore.Recorded) bool { return e.Stream != long })
			if !same(ofStream, stream) {
				t.Errorf("%s, pages of %d: of the stream not the same in %v", mode, page, seqs(ofStream))
			}
		}
		if seq, err := reader.SeqAt(t.Context(), log[3].RecordedAt); err != nil || seq != 4 {
			t.Errorf("%s: the last event of then is %d, %v", mode, seq, err)
		}
	}
	for _, r := range []struct {
		after, upTo int64
		want        []int64
	}{
		{0, 0, []int64{}},
		{14, 14, []int64{}},
		{9, 5, []int64{}},
		{0, 1, []int64{1}},
		{13, 14, []int64{14}},
		{3, 9, []int64{4, 5, 6, 7, 8, 9}},
	} {
		got, err := scanned(t, store, r.after, r.upTo, 3)
		if err != nil || !slices.Equal(seqs(got), r.want) {
			t.Errorf("(%d, %d]: %v, %v", r.after, r.upTo, seqs(got), err)
		}
	}
	all := 0
	if err := store.Scan(t.Context(), 0, 14, func(eventstore.Recorded) error { all++; return nil }); err != nil || all != 14 {
		t.Errorf("a scan gave %d events, %v", all, err)
	}
}

func TestAScanGoesOverTheEdgesOfPartitions(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	store := open(t, pgtest.Pool(t, url), eventstore.Options{})
	tamper(t, url, `UPDATE log_head SET seq = 999998`)
	for range 4 {
		if _, err := store.Append(t.Context(), one(fresh(), 0)); err != nil {
			t.Fatal(err)
		}
	}
	got, err := scanned(t, store, 999_998, 1_000_002, 3)
	if want := []int64{999_999, 1_000_000, 1_000_001, 1_000_002}; err != nil || !slices.Equal(seqs(got), want) {
		t.Errorf("got %v, %v", seqs(got), err)
	}
}

func TestAScanHaltsAtAGapWithAllBeforeIt(t *testing.T) {
	t.Parallel()
	for missing, want := range map[string]struct {
		before    int64 // the last event that is handed out
		got, next int64
	}{
		"1":                             {0, 2, 20},
		"1, 2, 3":                       {0, 4, 20},
		"8":                             {7, 9, 20},
		"8, 9":                          {7, 10, 20},
		"5":                             {4, 6, 20}, // the last of a page
		"6":                             {5, 7, 20}, // the first of a page
		"5, 6":                          {4, 7, 20},
		"20":                            {19, 0, 0}, // the last
		"19, 20":                        {18, 0, 0},
		"4,6,7,8,10":                    {3, 5, 5}, // more than one, over a page's edge
		"6,7,8,9,10":                    {5, 11, 20},
		"11,12,13,14,15,16,17,18,19,20": {10, 0, 0},
	} {
		t.Run(missing, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			planted(t, url, 20)
			tamper(t, url, "DELETE FROM events WHERE seq IN ("+missing+")")
			pool := pgtest.Pool(t, url)
			store := eventstore.Open(pool, eventstore.Options{})
			got, err := scanned(t, store, 0, 20, 5)
			var gap *eventstore.GapError
			if !errors.As(err, &gap) || gap.Want != want.before+1 || gap.Got != want.got {
				t.Errorf("got the error %v, want a gap from %d to %d", err, want.before+1, want.got)
			}
			if want := append([]int64{}, upTo(want.before)...); !slices.Equal(seqs(got), want) {
				t.Errorf("handed out %v, want %v", seqs(got), want)
			}
			if want.got > 0 { // behind the gap it goes on
				got, _ := scanned(t, store, gap.Got-1, 20, 5)
				if n := len(got); n == 0 || got[0].Seq != want.got || got[n-1].Seq != want.next {
					t.Errorf("behind the gap there is %v, want %d to %d", seqs(got), want.got, want.next)
				}
			}
			free(t, pool)
		})
	}
	t.Run("beyond the head", func(t *testing.T) {
		t.Parallel()
		url := pgtest.Database(t)
		planted(t, url, 3)
		got, err := scanned(t, eventstore.Open(pgtest.Pool(t, url), eventstore.Options{}), 0, 5, 2)
		var gap *eventstore.GapError
		if !errors.As(err, &gap) || *gap != (eventstore.GapError{Want: 4}) || len(got) != 3 {
			t.Errorf("got %v, %v", seqs(got), err)
		}
	})
}

// free tells whether all connections are back in the pool, and usable.
func free(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	parttest.Eventually(t, "the connection to be given back", func() bool { return pool.Stat().AcquiredConns() == 0 })
	var one int
	if err := pool.QueryRow(t.Context(), `SELECT 1`).Scan(&one); err != nil {
		t.Errorf("after the scan: %v", err)
	}
}

func TestAScanEndsWithTheErrorOfWhoeverTakesTheEvents(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	planted(t, url, 20)
	pool := pgtest.Pool(t, url)
	store := eventstore.Open(pool, eventstore.Options{})
	enough := errors.New("enough")
	for _, at := range []int64{1, 5, 6, 7, 20} {
		n := int64(0)
		err := store.ScanPages(t.Context(), 0, 20, 5, func(e eventstore.Recorded) error {
			if n++; e.Seq == at {
				return enough
			}
			return nil
		})
		if err != enough || n != at { //nolint:errorlint // as it is, not wrapped
			t.Errorf("ended with %v after %d events, want it after %d", err, n, at)
		}
		free(t, pool)
	}
	ctx, cancel := context.WithCancel(t.Context())
	n := 0
	err := store.ScanPages(ctx, 0, 20, 5, func(e eventstore.Recorded) error {
		if n++; e.Seq == 3 {
			cancel()
		}
		return nil
	})
	if !errors.Is(err, context.Canceled) || n >= 20 {
		t.Errorf("a scan that was called off ended with %v after %d events", err, n)
	}
	free(t, pool)
	if err := store.Scan(ctx, 0, 20, func(eventstore.Recorded) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("a scan that was called off before ended with %v", err)
	}
	func() {
		defer func() {
			if recover() == nil {
				t.Error("the panic was swallowed")
			}
		}()
		_ = store.Scan(t.Context(), 0, 20, func(eventstore.Recorded) error { panic("planted fault") })
	}()
	free(t, pool)
	if stat := pool.Stat(); stat.MaxConns() < 1 || stat.TotalConns() < 1 {
		t.Errorf("of the pool is left %+v", stat)
	}
}

// It is not parallel: what is counted is of the whole process.
func TestAScanTakesTheSameMemoryHoweverManyEventsThereAre(t *testing.T) { //nolint:paralleltest // see above
	const few, many = 500, 20_000
	url := pgtest.Database(t)
	planted(t, url, many)
	store := eventstore.Open(pgtest.Pool(t, url), eventstore.Options{})
	cost := func(n int64) (objects, bytes uint64) {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		var line []byte
		err := store.ScanPages(t.Context(), 0, n, many/4, func(e eventstore.Recorded) error {
			line = e.AppendCanonical(line[:0])
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		runtime.ReadMemStats(&after)
		return after.Mallocs - before.Mallocs, after.TotalAlloc - before.TotalAlloc
	}
	cost(few) // the first has to connect
	fewObjects, fewBytes := cost(few)
	manyObjects, manyBytes := cost(many)
	t.Logf("%d events: %d allocations, %d bytes; %d events: %d allocations, %d bytes", few, fewObjects, fewBytes, many, manyObjects, manyBytes)
	// All that is allocated is counted, whether it is garbage by now or not. An event is some 500 bytes.
	if manyObjects > fewObjects+many/10 || manyBytes > fewBytes+many*50 {
		t.Errorf("%d events took %d allocations of %d bytes together, %d events %d of %d", few, fewObjects, fewBytes, many, manyObjects, manyBytes)
	}
}
