package eventstore_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestAGroupGathersOnlyWhatComesFast(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := group("views")
	cfg.Gather = time.Hour
	g, stop := w.start(t, cfg, "a", fine)
	w.fill(t, 1)
	parttest.Eventually(t, "what comes after a pause to be handled at once", func() bool { return g.Status().Position == 1 })
	w.fill(t, 5)
	w.start(t, group("feed"), "a", fine) // shows that time has passed
	parttest.Eventually(t, "another group", func() bool { return w.checkpoint(t, "feed") == 6 })
	if at := w.checkpoint(t, "views"); at != 1 {
		t.Errorf("the group did not gather: it is at %d", at)
	}
	stop() // does not wait for the hour
}

func TestSegmentsBeginAsFarApartAsIsAsked(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	cfg := group("views")
	cfg.Gather, cfg.Segment, cfg.Poll = 50*time.Millisecond, 100, time.Millisecond
	var segments atomic.Int64
	began := time.Now()
	w.run(t, eventstore.NewGroup(w.pool, cfg), func(context.Context, pgx.Tx, []eventstore.Recorded) error {
		segments.Add(1)
		return nil
	})
	for range 60 {
		w.fill(t, 1)
	}
	parttest.Eventually(t, "all to be handled", func() bool { return w.checkpoint(t, "views") == 60 })
	if n, most := segments.Load(), int64(time.Since(began)/cfg.Gather)+1; n > most {
		t.Errorf("%d segments, want %d at most in that time", n, most)
	}
}

// What is more than a segment may hold is not held up.
func TestAGroupThatIsBehindDoesNotGather(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.fill(t, 95)
	cfg := group("views")
	cfg.Gather = time.Hour
	g, _ := w.start(t, cfg, "a", fine)
	parttest.Eventually(t, "all to be handled", func() bool { return g.Status().Position == 95 })
}
