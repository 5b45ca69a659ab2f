package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-migrate/migrate/v4"
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5" // registers pgx5://
	"github.com/golang-migrate/migrate/v4/source/iofs"

	"github.com/orderlog/orderlog/migrations"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// jump moves the log, the feed and its floor on, as if all before was long ago.
func (w *world) jump(t *testing.T, seq int64) {
	t.Helper()
	w.exec(t, `UPDATE log_head SET seq = $1`, seq)
	w.exec(t, `UPDATE checkpoints SET position = $1`, seq)
	w.exec(t, `UPDATE notification_floor SET floor = $1`, seq)
}

func (w *world) partitions(t *testing.T, of string) string {
	t.Helper()
	return value[string](t, w, `
SELECT string_agg(ltrim(split_part(inhrelid::regclass::text, '_p', 2), '0') || '', ' ' ORDER BY inhrelid::regclass::text) FROM pg_inherits WHERE inhparent = $1::regclass`, of)
}

func TestTheNotificationLogIsRebuiltFromItsFloorAcrossPartitions(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.jump(t, 99_950)
	stop := w.project(t)
	w.open(t)
	w.sellMany(t, 10)
	head := w.waitFor(t)
	if head < 100_000 {
		t.Fatalf("the head is %d", head)
	}
	for _, parent := range feedTables {
		w.exec(t, `SELECT add_partitions($1, 100000, 300000)`, parent) // as the next event would
	}
	rows, catalog := w.contents(t, feedTables...), w.catalog(t)
	// What is below the floor is nobody's business any more.
	w.exec(t, `INSERT INTO notification_log VALUES (99940, 'old', '{}', '{}', now())`)
	w.exec(t, `INSERT INTO notification_channels VALUES ('all', 99940)`)
	r := w.rebuild(t, "feed", rebuild.Options{})
	if wantSame(t, r); !r.Swapped || r.Events != head-99_950 || r.Seq != head {
		t.Errorf("got %+v", r)
	}
	if got := w.contents(t, feedTables...); got != rows {
		t.Errorf("the notification log holds\n%s\nand held\n%s", got, rows)
	}
	if after := w.catalog(t); after != catalog {
		t.Errorf("it was %s", difference(catalog, after))
	}

	// The floor has passed what an interrupted rebuild had built, and retention has dropped the partitions below it.
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.tryRebuild(ctx, "feed", rebuild.Options{Progress: func(p rebuild.Progress) {
		if p.Phase == rebuild.PhaseComparing {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	stop()
	w.jump(t, 299_950)
	for _, parent := range feedTables {
		for n := range 2 {
			w.exec(t, fmt.Sprintf(`DROP TABLE %s_p%08d`, parent, n))
		}
	}
	w.project(t)
	w.sellMany(t, 10)
	head = w.waitFor(t)
	more := false
	r = w.rebuild(t, "feed", rebuild.Options{Progress: func(p rebuild.Progress) {
		if p.Phase == rebuild.PhaseSwapping && !more {
			more = true // a node that runs knows of them and does not look again
			for _, parent := range feedTables {
				w.exec(t, `SELECT add_partitions($1, 100000, 800000)`, parent)
			}
		}
	}})
	if wantSame(t, r); !r.Swapped || r.ContinuedFrom == 0 || r.Events != head-299_950 {
		t.Errorf("got %+v, the head is %d", r, head)
	}
	for _, parent := range feedTables {
		if got := w.partitions(t, parent); !strings.HasSuffix(got, "2 3 4 5 6 7 8") {
			t.Errorf("%s has partitions %s", parent, got)
		}
	}
	w.sellMany(t, 10) // across 300,000 at the latest
	w.waitFor(t)
	wantSame(t, w.rebuild(t, "feed", rebuild.Options{DryRun: true}))
}

func TestRetentionLeavesWhatIsCompared(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	head := w.waitFor(t)
	expire := func() (floor int64) {
		t.Helper()
		err := projections.NewRetention(w.pool, time.Hour, slog.New(slog.DiscardHandler)).Expire(t.Context(), time.Now().Add(time.Hour))
		if err != nil {
			t.Error(err)
		}
		return value[int64](t, w, `SELECT floor FROM notification_floor`)
	}
	w.rebuild(t, "feed", rebuild.Options{Progress: func(p rebuild.Progress) {
		if p.Phase != rebuild.PhaseComparing {
			return
		}
		if floor := expire(); floor != 0 {
			t.Errorf("when comparing the floor was raised to %d", floor)
		}
	}})
	w.wantNothingLeft(t)
	if floor := expire(); floor != head {
		t.Errorf("afterwards the floor is raised to %d of %d", floor, head)
	}
}

func TestMigrationsAreTakenBackAndMadeAgainAfterARebuild(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	before := w.catalog(t)
	for _, name := range []string{"views", "feed"} {
		wantSame(t, w.rebuild(t, name, rebuild.Options{}))
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err := w.tryRebuild(ctx, "orders", rebuild.Options{Progress: func(p rebuild.Progress) {
		if p.Phase == rebuild.PhaseComparing {
			cancel()
		}
	}})
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	stop()
	files, err := fs.Glob(migrations.FS, "*.up.sql")
	if err != nil {
		t.Fatal(err)
	}
	for _, version := range []uint{3, 1, uint(len(files))} {
		w.migrate(t, version)
		w.wantNoSchema(t)
	}
	if after := w.catalog(t); after != before {
		t.Errorf("it was %s", difference(before, after))
	}
	w.project(t)
	w.waitFor(t)
	wantSame(t, w.rebuild(t, "views", rebuild.Options{}))
}

func (w *world) migrate(t *testing.T, version uint) {
	t.Helper()
	u, err := url.Parse(w.url)
	if err != nil {
		t.Fatal(err)
	}
	u.Scheme = "pgx5"
	source, err := iofs.New(migrations.FS, ".")
	if err != nil {
		t.Fatal(err)
	}
	m, err := migrate.NewWithSourceInstance("iofs", source, u.String())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Migrate(version); err != nil {
		t.Errorf("migrate to %d: %v", version, err)
	}
	sourceErr, databaseErr := m.Close()
	if err := errors.Join(sourceErr, databaseErr); err != nil {
		t.Error(err)
	}
}

func (w *world) wantNoSchema(t *testing.T) {
	t.Helper()
	if n := value[int](t, w, `SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%'`); n != 0 {
		t.Errorf("%d schemas are left", n)
	}
}
