package eventstore_test

import (
	"context"
	"encoding/json"
	"errors"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// appendNow calls the function that stores a batch, and tells the code of the error it raised.
func appendNow(t *testing.T, db interface {
	Exec(context.Context, string, ...any) (pgconn.CommandTag, error)
}, appends ...eventstore.Append,
) (code string) {
	t.Helper()
	values, _, err := eventstore.Parameters(appends)
	if err != nil {
		t.Fatal(err)
	}
	_, err = db.Exec(t.Context(), eventstore.Statements()["sqlAppend"], values...)
	var pgErr *pgconn.PgError
	switch {
	case errors.As(err, &pgErr):
		return pgErr.Code
	case err != nil:
		t.Fatal(err)
	}
	return ""
}

// stored is all that an append writes.
func stored(t *testing.T, pool *pgxpool.Pool) (s string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), `SELECT format('head %s; events %s; streams %s; keys %s',
		(SELECT seq FROM log_head), (SELECT string_agg(seq || '=' || version, ' ' ORDER BY seq) FROM events),
		(SELECT string_agg(format('%s:%s-%s', version, first_seq, last_seq), ' ' ORDER BY first_seq) FROM streams),
		(SELECT count(*) FROM idempotency_keys))`).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestABatchIsStoredOnlyWhenAllOfItIsAsExpected(t *testing.T) {
	t.Parallel()
	there, other := fresh(), fresh() // at versions 2 and 1
	sameID := eventstore.StreamID{Type: "another", ID: there.ID}
	held := func(a eventstore.Append, s eventstore.StreamID, expected int64) eventstore.Append {
		a.Streams = append(a.Streams, eventstore.StreamAppend{Stream: s, Expected: expected})
		return a
	}
	keyed := func(a eventstore.Append, key string) eventstore.Append {
		a.Key = &eventstore.IdempotencyKey{Scope: "ann", Key: key}
		return a
	}
	const before = "head 3; events 1=1 2=2 3=1; streams 2:1-2 1:3-3; keys 1"
	for name, c := range map[string]struct {
		appends []eventstore.Append
		code    string // of the error
		want    string
	}{
		"a new stream":                {[]eventstore.Append{one(fresh(), 0)}, "", "head 4; events 1=1 2=2 3=1 4=1; streams 2:1-2 1:3-3 1:4-4; keys 1"},
		"a stream that is there":      {[]eventstore.Append{one(there, 2)}, "", "head 4; events 1=1 2=2 3=1 4=3; streams 3:1-4 1:3-3; keys 1"},
		"the id with another type":    {[]eventstore.Append{one(sameID, 0)}, "", "head 4; events 1=1 2=2 3=1 4=1; streams 2:1-2 1:3-3 1:4-4; keys 1"},
		"a stream that several touch": {[]eventstore.Append{one(there, 2), one(other, 1), one(there, 3)}, "", "head 6; events 1=1 2=2 3=1 4=3 5=2 6=4; streams 4:1-6 2:3-5; keys 1"},
		"a new one that several touch": {
			[]eventstore.Append{one(sameID, 0), one(other, 1), one(sameID, 1)},
			"",
			"head 6; events 1=1 2=2 3=1 4=1 5=2 6=2; streams 2:1-2 2:3-5 2:4-6; keys 1",
		},
		"held to a version":             {[]eventstore.Append{held(one(there, 2), other, 1)}, "", "head 4; events 1=1 2=2 3=1 4=3; streams 3:1-4 1:3-3; keys 1"},
		"held to not being there":       {[]eventstore.Append{held(one(there, 2), sameID, 0)}, "", "head 4; events 1=1 2=2 3=1 4=3; streams 3:1-4 1:3-3; keys 1"},
		"held, then moved in the batch": {[]eventstore.Append{held(one(there, 2), other, 1), one(other, 1)}, "", "head 5; events 1=1 2=2 3=1 4=3 5=2; streams 3:1-4 2:3-5; keys 1"},
		"moved, then held in the batch": {[]eventstore.Append{one(other, 1), held(one(there, 2), other, 2)}, "", "head 5; events 1=1 2=2 3=1 4=2 5=3; streams 3:1-5 2:3-4; keys 1"},
		"only held, with a key":         {[]eventstore.Append{keyed(held(eventstore.Append{}, there, 2), "new")}, "", "head 3; events 1=1 2=2 3=1; streams 2:1-2 1:3-3; keys 2"},

		"a new stream that is there":                    {[]eventstore.Append{one(there, 0)}, "OL001", before},
		"a stream that is not there":                    {[]eventstore.Append{one(fresh(), 1)}, "OL001", before},
		"a stream that is behind":                       {[]eventstore.Append{one(there, 3)}, "OL001", before},
		"a stream that is ahead":                        {[]eventstore.Append{one(there, 1)}, "OL001", before},
		"one of several that is there":                  {[]eventstore.Append{one(fresh(), 0), one(there, 0), one(other, 1)}, "OL001", before},
		"one of several that is not there":              {[]eventstore.Append{one(fresh(), 0), one(there, 2), one(fresh(), 7)}, "OL001", before},
		"held to another version":                       {[]eventstore.Append{held(one(there, 2), other, 2)}, "OL001", before},
		"held to a version of what is not there":        {[]eventstore.Append{held(one(there, 2), fresh(), 1)}, "OL001", before},
		"held to not being there, and it is":            {[]eventstore.Append{held(one(there, 2), other, 0)}, "OL001", before},
		"only held to another version":                  {[]eventstore.Append{keyed(held(eventstore.Append{}, there, 1), "new")}, "OL001", before},
		"a key that was used":                           {[]eventstore.Append{keyed(one(there, 2), "used")}, "23505", before},
		"a key that was used, by one that is only held": {[]eventstore.Append{keyed(held(eventstore.Append{}, there, 2), "used")}, "23505", before},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			pool := pgtest.Pool(t, pgtest.Database(t))
			if code := appendNow(t, pool, one(there, 0), one(there, 1), keyed(one(other, 0), "used")); code != "" {
				t.Fatal(code)
			}
			if got := stored(t, pool); got != before {
				t.Fatalf("the log begins with %s", got)
			}
			if code := appendNow(t, pool, c.appends...); code != c.code {
				t.Errorf("the error is %q, want %q", code, c.code)
			}
			if got := stored(t, pool); got != c.want {
				t.Errorf("stored:\n%s, want\n%s", got, c.want)
			}
		})
	}
}

// A plan is made once for a connection. The one that is made while there are no streams must do for a million.
func TestAnAppendNeverReadsAllStreams(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	s, other := fresh(), fresh()
	held := one(s, 1)
	held.Streams = append(held.Streams, eventstore.StreamAppend{Stream: other, Expected: 1})
	for n := range int64(10) { // more than are planned with what they are given
		held.Streams[0].Expected = n + 1
		appends := []eventstore.Append{one(s, 0), one(other, 0)}
		if n > 0 {
			appends = []eventstore.Append{held, one(fresh(), 0)}
			held.Streams[0].Expected = n
		}
		if code := appendNow(t, conn, appends...); code != "" {
			t.Fatal(code)
		}
	}
	if _, err := pool.Exec(t.Context(), `INSERT INTO streams SELECT 'test', gen_random_uuid(), 1, n + 1000, n + 1000 FROM generate_series(1, 20000) n`); err != nil {
		t.Fatal(err)
	}
	tx, err := conn.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = tx.Rollback(context.WithoutCancel(t.Context())) }()
	held.Streams[0].Expected = 10
	if code := appendNow(t, tx, held, one(eventstore.StreamID{Type: "test", ID: uuid.New()}, 0)); code != "" {
		t.Fatal(code)
	}
	var scans, probes int64
	if err := tx.QueryRow(t.Context(), `SELECT seq_scan, idx_scan FROM pg_stat_xact_user_tables WHERE relname = 'streams'`).Scan(&scans, &probes); err != nil {
		t.Fatal(err)
	}
	if scans != 0 || probes == 0 {
		t.Errorf("the streams were read through %d times, and looked up %d times", scans, probes)
	}
}

// An append that takes any version is looked up first, and written by other statements.
func TestAnEventIsTheSameWhicheverWayItIsStored(t *testing.T) {
	t.Parallel()
	store := open(t, pgtest.Pool(t, pgtest.Database(t)), eventstore.Options{})
	for _, data := range []string{
		`{"b": 1.50, "a": [null, true, {"é": "\u00e9\n\\"}], "b": 1e3}`, `"plain"`, `12345678901234567890.123456789`, `null`, `[]`,
	} {
		for _, expected := range []int64{0, eventstore.AnyVersion} {
			a := one(fresh(), expected)
			a.Meta = eventstore.Meta{UserID: "ann", Reason: "\"é\\"}
			a.Streams[0].Events[0].Data = json.RawMessage(data)
			if _, err := store.Append(t.Context(), a); err != nil {
				t.Fatal(err)
			}
		}
	}
	log, err := store.ReadLog(t.Context(), 0, 100)
	if err != nil || len(log) != 10 {
		t.Fatalf("%d events, %v", len(log), err)
	}
	for i := 0; i < len(log); i += 2 {
		if a, b := log[i], log[i+1]; string(a.Data) != string(b.Data) || string(a.Meta) != string(b.Meta) {
			t.Errorf("as expected:\n%s %s\nlooked up:\n%s %s", a.Data, a.Meta, b.Data, b.Meta)
		}
	}
}

// An operator's tool, or a pooler that resets sessions, may take away what the store has prepared.
func TestAnAppendHealsWhenItsStatementIsGone(t *testing.T) {
	t.Parallel()
	cfg, err := pgxpool.ParseConfig(pgtest.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	cfg.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer pool.Close()
	s := open(t, pool, eventstore.Options{})
	if _, err := s.Append(t.Context(), one(fresh(), 0)); err != nil {
		t.Fatal(err)
	}
	if _, err := pool.Exec(t.Context(), "DISCARD ALL"); err != nil {
		t.Fatal(err)
	}
	_, err = s.Append(t.Context(), one(fresh(), 0))
	if err != nil {
		_, err = s.Append(t.Context(), one(fresh(), 0))
	}
	if err != nil {
		t.Errorf("the second append after it: %v", err)
	}
}
