package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// bulkFeed is the feed with something that happens in each way to write it; nil: nothing does.
type bulkFeed struct {
	*projections.Feed
	onDerive, onWrite func() error
	onProject         func(events []projections.Event) error
	written           atomic.Int64 // segments
}

type bulkRows struct {
	projections.Rows
	feed *bulkFeed
}

func (f *bulkFeed) Derive(events []projections.Event) (projections.Rows, error) {
	if f.onDerive != nil {
		if err := f.onDerive(); err != nil {
			return nil, err
		}
	}
	rows, err := f.Feed.Derive(events)
	return bulkRows{rows, f}, err
}

func (r bulkRows) Write(ctx context.Context, tx pgx.Tx) error {
	if err := r.Rows.Write(ctx, tx); err != nil {
		return err
	}
	r.feed.written.Add(1)
	if r.feed.onWrite != nil {
		return r.feed.onWrite()
	}
	return nil
}

func (f *bulkFeed) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	if f.onProject != nil {
		if err := f.onProject(events); err != nil {
			return err
		}
	}
	return f.Feed.Project(ctx, tx, events)
}

func (f *bulkFeed) models() []projections.ReadModel {
	m := projections.NotificationLog()
	m.New = func(pool *pgxpool.Pool) projections.Model {
		f.Feed = projections.NewFeed(pool)
		return f
	}
	return []projections.ReadModel{m}
}

func TestTheNotificationLogIsWrittenInBulk(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.project(t)
	w.open(t)
	w.sellMany(t, 20)
	w.waitFor(t)
	stop()
	feed := bulkFeed{onProject: func([]projections.Event) error { return errors.New("events are projected one by one") }}
	r, err := rebuild.Run(t.Context(), w.url, feed.models(), rebuild.Options{Name: "feed", Segment: 10})
	if err != nil || !r.Swapped || feed.written.Load() < 20 {
		t.Fatalf("%d segments were written: %+v, %v", feed.written.Load(), r, err)
	}
	wantSame(t, r)
}

func TestWhatCannotBeWrittenInBulkIsProjected(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.project(t)
	w.open(t)
	w.sellMany(t, 20)
	head := w.waitFor(t)
	stop()
	bad := head - 25
	for what, feed := range map[string]*bulkFeed{
		"deriving fails":  {onDerive: func() error { return errors.New("no rows") }},
		"deriving panics": {onDerive: func() error { panic("no rows") }},
		"writing fails":   {onWrite: func() error { return errors.New("no rows") }}, // after it has written some
	} {
		r, err := rebuild.Run(t.Context(), w.url, feed.models(), rebuild.Options{Name: "feed", Segment: 1})
		if err != nil || !r.Swapped || r.Events != head {
			t.Errorf("%s: got %+v, %v", what, r, err)
		}
		wantSame(t, r)

		// And so it is found out which event it was.
		feed.onProject = func(events []projections.Event) error {
			for _, e := range events {
				if e.Seq == bad {
					return errors.New("broken")
				}
			}
			return nil
		}
		_, err = rebuild.Run(t.Context(), w.url, feed.models(), rebuild.Options{Name: "feed", Segment: 40})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("the event at seq %d, ", bad)) || !strings.Contains(err.Error(), "broken") {
			t.Errorf("%s: got %v, want the event at %d named", what, err, bad)
		}
		if kept := value[int64](t, w, `SELECT position FROM rebuilds`); kept != bad-1 {
			t.Errorf("%s: kept up to seq %d, it fails at %d", what, kept, bad)
		}
		feed.onDerive, feed.onWrite, feed.onProject = nil, nil, nil
		r, err = rebuild.Run(t.Context(), w.url, feed.models(), rebuild.Options{Name: "feed"})
		if err != nil || r.ContinuedFrom != bad-1 || r.Events != head-bad+1 {
			t.Errorf("%s: when it works again: %+v, %v", what, r, err)
		}
		wantSame(t, r)
	}
}

// The indexes of the notification log are made when its rows are there, a partition after the other.
func TestARebuildThatIsInterruptedWhenIndexesAreMadeGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.exec(t, `CREATE INDEX of_event ON notification_log (event)`)
	w.exec(t, `ALTER INDEX notification_channels_p00000000_pkey SET (fillfactor = 80)`)
	w.jump(t, 99_950)
	stop := w.project(t)
	w.open(t)
	w.sellMany(t, 10) // across 100,000
	head := w.waitFor(t)
	stop()
	for _, parent := range feedTables {
		w.exec(t, `SELECT add_partitions($1, 100000, 300000)`, parent) // as the next event would
	}
	catalog := w.catalog(t)
	feed := bulkFeed{onProject: func([]projections.Event) error { return errors.New("broken") }}
	var segments atomic.Int64
	feed.onWrite = func() error {
		if segments.Add(1) > 6 {
			return errors.New("no more")
		}
		return nil
	}
	if r, err := rebuild.Run(t.Context(), w.url, feed.models(), rebuild.Options{Name: "feed", Segment: 20}); err == nil {
		t.Fatalf("got %+v", r)
	}
	if n := value[int](t, w, `SELECT count(*) FROM pg_indexes WHERE schemaname = 'rebuild_feed'`); n != 0 {
		t.Errorf("%d indexes are kept up while rows are written", n)
	}
	// What is made of them before it is killed.
	w.exec(t, `ALTER TABLE rebuild_feed.notification_log_p00000000 ADD CONSTRAINT notification_log_p00000000_pkey PRIMARY KEY (seq)`)
	w.exec(t, `CREATE INDEX notification_log_p00000000_event_idx ON rebuild_feed.notification_log_p00000000 (event)`)
	r := w.rebuild(t, "feed", rebuild.Options{})
	if wantSame(t, r); !r.Swapped || r.ContinuedFrom != 99_950+120 || r.Seq != head {
		t.Errorf("got %+v", r)
	}
	if after := w.catalog(t); after != catalog {
		t.Errorf("it was %s", difference(catalog, after))
	}
	if n := value[int](t, w, `
SELECT count(*) FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid JOIN pg_index x ON x.indexrelid = c.oid WHERE x.indisvalid`); n < 3*3 {
		t.Errorf("%d indexes of partitions are those of their table", n)
	}
}

// The tables are held against each other as a whole first. Nothing that a row can say otherwise is lost in that.
// The nodes' groups find the checkpoint taken while a rebuild holds it, and the head was announced already.
func TestWhoWaitsForTheCheckpointIsToldWhenItIsFree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 2)
	w.waitFor(t)
	conn, err := pgx.Connect(t.Context(), w.url)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close(context.WithoutCancel(t.Context())) }()
	if _, err := conn.Exec(t.Context(), `LISTEN `+eventstore.EventsChannel); err != nil {
		t.Fatal(err)
	}
	w.rebuild(t, "feed", rebuild.Options{})
	for {
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
		n, err := conn.WaitForNotification(ctx)
		cancel()
		if err != nil {
			t.Fatalf("no hint that is passed on whatever was told before: %v", err)
		}
		if n.Payload == "" { // a position that is known already is not news
			return
		}
	}
}

func TestAnyChangeOfANotificationIsFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	const newest = ` WHERE seq = (SELECT max(seq) FROM notification_log)`
	for sql, different := range map[string]int64{
		`UPDATE notification_log SET event = event || ' '` + newest:                                 1,
		`UPDATE notification_log SET channels = '{}'` + newest:                                      1,
		`UPDATE notification_log SET channels = ('[0:0]={' || channels[1] || '}')::text[]` + newest: 1,
		`UPDATE notification_log SET payload = (payload::text || ' ')::json` + newest:               1,
		`UPDATE notification_log SET at = at + '1 microsecond'` + newest:                            1,
		`UPDATE notification_log SET endings = 'null'` + newest:                                     1,
		// PostgreSQL's own hash of a time folds its two halves into one, which stays the same here.
		`UPDATE notification_log SET at = '2000-01-01 00:00:00+00'::timestamptz
			+ ((((us >> 32) # 1) << 32) | ((us & 4294967295) # 1)) * interval '1 microsecond'
			FROM (SELECT seq AS q, ((extract(epoch FROM at) - 946684800) * 1000000)::bigint AS us FROM notification_log) x` +
			newest + ` AND seq = q`: 1,
		`UPDATE notification_log SET seq = seq + 1` + newest: 2,
		`UPDATE notification_log SET event = CASE event WHEN 'order:new' THEN 'offer:new' ELSE 'order:new' END
			WHERE event IN ('order:new', 'offer:new')`: 6,
		`UPDATE notification_channels SET channel = upper(channel)` + newest + ` AND channel = 'role:admin'`: 2,
		`DELETE FROM notification_channels WHERE channel = 'role:delivery'`:                                  5,
		`INSERT INTO notification_channels SELECT 'all', seq FROM notification_log` + newest:                 1,
	} {
		if _, err := w.pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
		r := w.rebuild(t, "feed", rebuild.Options{})
		if r.Different != different || int64(len(r.Differences)) != different {
			t.Errorf("%s: %d rows differ, want %d: %s", sql, r.Different, different, shown(r.Differences))
		}
	}
	wantSame(t, w.rebuild(t, "feed", rebuild.Options{DryRun: true}))
}
