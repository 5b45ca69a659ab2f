package projections_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// lags are those of the database, by group.
func (w *world) lags(t *testing.T) map[string]projections.Lag {
	t.Helper()
	all, err := projections.Lags(t.Context(), w.pool)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	byName := map[string]projections.Lag{}
	for _, l := range all {
		names = append(names, l.Group)
		byName[l.Group] = l
	}
	want := []string{projections.GroupFeed, projections.GroupInbox, projections.GroupProofs, projections.GroupRefunds, projections.GroupViews}
	if !slices.Equal(names, want) {
		t.Errorf("the groups are %v, want %v", names, want)
	}
	return byName
}

// as makes changes as superuser, the log's own refusal turned off.
func (w *world) as(t *testing.T, changes ...string) {
	t.Helper()
	superuser := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url))
	changes = append([]string{
		`ALTER TABLE events_p00000000 DISABLE TRIGGER USER`, `ALTER TABLE events DISABLE TRIGGER refuse_statement`,
	}, changes...)
	for _, change := range changes {
		if _, err := superuser.Exec(t.Context(), change); err != nil {
			t.Fatalf("%s: %v", change, err)
		}
	}
}

func TestTheLagOfAnEmptyLogIsNone(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.as(t, `UPDATE checkpoints SET updated_at = now() - interval '1 year'`)
	for name, l := range w.lags(t) {
		if l.State != projections.StateCurrent || l.Age != 0 || l.Position != 0 || l.Head != 0 || l.Failures != 0 || l.LastError != "" || !l.FailedAt.IsZero() {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestTheStateOfAGroupIsByTheDatabasesClock(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 5 {
		w.place(t, "ann")
	}
	w.as(t, `UPDATE events SET recorded_at = now() - interval '1 hour' WHERE seq <= 4`,
		// Nothing is left to do, however long ago it moved.
		`UPDATE checkpoints SET position = 5, updated_at = now() - interval '1 hour' WHERE group_name = 'feed'`,
		// It moves, though it is far behind.
		`UPDATE checkpoints SET position = 2, updated_at = now() - interval '2 seconds' WHERE group_name = 'inbox'`,
		// It does not move.
		`UPDATE checkpoints SET position = 3, updated_at = now() - interval '11 seconds' WHERE group_name = 'refunds'`,
		// It had nothing to do for an hour, until now.
		`UPDATE checkpoints SET position = 4, updated_at = now() - interval '1 hour' WHERE group_name = 'views'`,
		`UPDATE checkpoints SET position = 0, updated_at = now() - interval '1 hour', failures = 7, failed_seq = 1,
			last_error = 'events 1 to 1: planted fault', failed_at = now() - interval '1 minute' WHERE group_name = 'proofs'`)
	lags := w.lags(t)
	for name, want := range map[string]struct {
		state        string
		position     int64
		age, updated time.Duration
	}{
		projections.GroupFeed:    {projections.StateCurrent, 5, 0, time.Hour},
		projections.GroupInbox:   {projections.StateBehind, 2, time.Hour, 2 * time.Second},
		projections.GroupRefunds: {projections.StateStanding, 3, time.Hour, 11 * time.Second},
		projections.GroupViews:   {projections.StateBehind, 4, 0, time.Hour},
		projections.GroupProofs:  {projections.StateFailing, 0, time.Hour, time.Hour},
	} {
		l := lags[name]
		if l.State != want.state || l.Position != want.position || l.Head != 5 {
			t.Errorf("%s is %+v, want %+v", name, l, want)
		}
		if late := l.Age - want.age; late < 0 || late > time.Minute || name == projections.GroupFeed && l.Age != 0 {
			t.Errorf("%s waits for %s, want %s", name, l.Age, want.age)
		}
		// The test's clock and the database's are one machine's.
		if late := time.Since(l.UpdatedAt) - want.updated; late < -time.Second || late > time.Minute || l.UpdatedAt.Location() != time.UTC {
			t.Errorf("%s moved at %s", name, l.UpdatedAt)
		}
	}
	l := lags[projections.GroupProofs]
	if l.Failures != 7 || l.FailedSeq != 1 || l.LastError != "events 1 to 1: planted fault" {
		t.Errorf("of what fails there is %+v", l)
	}
	if late := time.Since(l.FailedAt) - time.Minute; late < -time.Second || late > time.Minute || l.FailedAt.Location() != time.UTC {
		t.Errorf("it failed at %s", l.FailedAt)
	}
}

func TestAGroupStandsAtAnEventThatIsMissing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.place(t, "ann")
	w.place(t, "ann")
	w.as(t, `DELETE FROM events WHERE seq = 1`, `UPDATE checkpoints SET updated_at = now() - interval '10 seconds'`)
	for name, l := range w.lags(t) {
		if l.State != projections.StateStanding || l.Age != 0 {
			t.Errorf("%s: %+v", name, l)
		}
	}
}

func TestWhyAGroupStandsIsInItsLagUntilItWorksAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	fault := &broken{at: 2}
	fault.on.Store(true)
	w.project(t, fault)
	w.place(t, "ann")
	_, seq := w.place(t, "ann")
	var l projections.Lag
	parttest.Eventually(t, "the failure to show", func() bool {
		l = w.lags(t)[projections.GroupFeed]
		return l.State == projections.StateFailing && l.Failures >= 2 && l.FailedSeq == seq
	})
	if !strings.Contains(l.LastError, "planted fault") || l.FailedAt.IsZero() || l.Position != 1 {
		t.Errorf("the feed is %+v", l)
	}
	fault.on.Store(false)
	parttest.Eventually(t, "the feed to be current", func() bool { return w.lags(t)[projections.GroupFeed].State == projections.StateCurrent })
	if l := w.lags(t)[projections.GroupFeed]; l.Failures != 0 || l.FailedSeq != 0 || l.LastError != "" || !l.FailedAt.IsZero() {
		t.Errorf("of a group that works there is %+v", l)
	}
}
