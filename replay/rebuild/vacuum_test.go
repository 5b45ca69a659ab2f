package rebuild_test

import (
	"testing"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// Vacuum that is broken off at a partition goes on with one behind it. Whoever came from the front would have to wait there
// again, at each.
func TestVacuumIsMetAtThePartitionsFromTheLastOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.waitFor(t)
	other := w.session(t, `LOCK TABLE notification_log_p00000001 IN SHARE UPDATE EXCLUSIVE MODE`) // as vacuum does
	done := make(chan error, 1)
	go func() {
		_, err := w.tryRebuild(t.Context(), "feed", rebuild.Options{})
		done <- err
	}()
	const locks = `
SELECT coalesce(string_agg(c.relname || ' ' || l.granted, ', ' ORDER BY c.relname), '') FROM pg_locks l
JOIN pg_class c ON c.oid = l.relation JOIN pg_stat_activity a ON a.pid = l.pid
WHERE c.relnamespace = 'public'::regnamespace AND l.mode = 'ShareUpdateExclusiveLock' AND a.application_name = 'orderlog rebuild'
	AND l.database = (SELECT oid FROM pg_database WHERE datname = current_database())`
	const want = "notification_log_p00000001 false, notification_log_p00000002 true"
	parttest.Eventually(t, "the rebuild to wait for vacuum", func() bool {
		return value[string](t, w, locks) == want
	})
	if err := other.Rollback(t.Context()); err != nil {
		t.Error(err)
	}
	if err := <-done; err != nil {
		t.Error(err)
	}
}
