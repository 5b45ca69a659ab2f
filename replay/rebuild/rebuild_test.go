package rebuild_test

import (
	"testing"

	"github.com/orderlog/orderlog/replay/rebuild"
)

func TestWhatIsRebuiltUnderLoadIsWhatIsLive(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"business", "products", "orders", "payments", "couriers", "tracks", "offers", "inboxes", "views", "feed"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.project(t)
			w.open(t)
			w.sellMany(t, 40)
			stop := w.traffic(t, 2)
			r := w.rebuild(t, name, rebuild.Options{Segment: 50})
			sold := stop()
			head := w.waitFor(t)
			wantSame(t, r)
			if !r.Swapped || r.Events == 0 || r.Took <= 0 || r.ContinuedFrom != 0 || r.Name != name {
				t.Errorf("the rebuild came to %+v", r)
			}
			for table, rows := range r.Rows {
				if rows == 0 {
					t.Errorf("%s was rebuilt without rows", table)
				}
			}
			t.Logf("%d rows of %d tables at %d of %d, while %d orders were sold", r.Rows["orders_view"], len(r.Rows), r.Seq, head, sold)
			w.wantNothingLeft(t)
			// What the group added since lies in what was rebuilt, and is right as well.
			again := w.rebuild(t, name, rebuild.Options{DryRun: true})
			wantSame(t, again)
			if again.Swapped || again.Seq != head {
				t.Errorf("the dry run came to %+v, the head is %d", again, head)
			}
			w.wantNothingLeft(t)
		})
	}
}
