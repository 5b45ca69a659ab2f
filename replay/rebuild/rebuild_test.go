package rebuild_test

import (
	"testing"

	"github.com/orderlog/orderlog/replay/rebuild"
)

func TestWhatIsRebuiltUnderLoadIsWhatIsLive(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 40)
	stop := w.traffic(t, 2)
	names := []string{"business", "products", "orders", "payments", "couriers", "tracks", "offers", "inboxes", "views", "feed"}
	for _, name := range names {
		r := w.rebuild(t, name, rebuild.Options{Segment: 500})
		wantSame(t, r)
		if !r.Swapped || r.Seq == 0 || r.Events < r.Seq || r.Took <= 0 || r.ContinuedFrom != 0 || r.Name != name {
			t.Errorf("the rebuild came to %+v", r)
		}
		for table, rows := range r.Rows {
			if rows == 0 {
				t.Errorf("%s was rebuilt without rows", table)
			}
		}
	}
	sold := stop()
	head := w.waitFor(t)
	t.Logf("%d orders were sold meanwhile; the head is %d", sold, head)
	w.wantNothingLeft(t)
	// What the groups added since lies in what was rebuilt, and is right as well.
	for _, name := range names {
		r := w.rebuild(t, name, rebuild.Options{DryRun: true})
		wantSame(t, r)
		if r.Swapped || r.Seq != head {
			t.Errorf("the dry run came to %+v, the head is %d", r, head)
		}
	}
	w.wantNothingLeft(t)
}

func TestADryRunChangesNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	stop := w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	stop() // also for a group that nobody works for
	all := append(append([]string{"checkpoints", "notification_floor", "log_head"}, viewTables...), feedTables...)
	before, catalog, oid := w.contents(t, all...), w.catalog(t), value[uint32](t, w, `SELECT 'orders_view'::regclass::oid`)
	for _, name := range []string{"views", "feed"} {
		wantSame(t, w.rebuild(t, name, rebuild.Options{DryRun: true}))
	}
	if after := w.contents(t, all...); after != before {
		t.Errorf("the tables hold\n%s\nand held\n%s", after, before)
	}
	if after := w.catalog(t); after != catalog {
		t.Errorf("the schema was %s", difference(catalog, after))
	}
	if after := value[uint32](t, w, `SELECT 'orders_view'::regclass::oid`); after != oid {
		t.Error("the live table was replaced")
	}
	w.wantNothingLeft(t)
}

func TestAReadModelOfAnEmptyLogIsRebuilt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"views", "feed"} {
		r := w.rebuild(t, name, rebuild.Options{})
		wantSame(t, r)
		if !r.Swapped || r.Seq != 0 || r.Events != 0 {
			t.Errorf("the rebuild came to %+v", r)
		}
	}
	w.project(t)
	w.open(t)
	w.waitFor(t)
	wantSame(t, w.rebuild(t, "views", rebuild.Options{DryRun: true}))
}

// TestHowFarNotificationsGoBackIsNothingToTheViews: these may be far behind what is held of those, as after they were
// begun anew.
func TestHowFarNotificationsGoBackIsNothingToTheViews(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 5)
	w.waitFor(t)
	if _, err := w.pool.Exec(t.Context(), `UPDATE notification_floor SET floor = (SELECT seq + 1000 FROM log_head)`); err != nil {
		t.Fatal(err)
	}
	wantSame(t, w.rebuild(t, "views", rebuild.Options{}))
}

func TestProgressIsToldFromPhaseToPhase(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 20)
	head := w.waitFor(t)
	var phases []string
	var built rebuild.Progress
	w.rebuild(t, "orders", rebuild.Options{Segment: 10, Progress: func(p rebuild.Progress) {
		if len(phases) == 0 || phases[len(phases)-1] != p.Phase {
			phases = append(phases, p.Phase)
		}
		if p.Phase == rebuild.PhaseBuilding {
			if p.Done < built.Done || p.Done > p.Total {
				t.Errorf("%+v after %+v", p, built)
			}
			built = p
		}
	}})
	if len(phases) != 3 || phases[0] != rebuild.PhaseBuilding || phases[1] != rebuild.PhaseComparing || phases[2] != rebuild.PhaseSwapping {
		t.Errorf("the phases were %v", phases)
	}
	if built.Done != head || built.Total != head || built.Rate <= 0 || built.Left != 0 {
		t.Errorf("built, the progress was %+v; the head is %d", built, head)
	}
}
