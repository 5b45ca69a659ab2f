package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// model is a read model of the business that a test has something to do with.
func model(project func(ctx context.Context, tx pgx.Tx, events []projections.Event) error) []projections.ReadModel {
	return []projections.ReadModel{{
		Name: "business", Group: projections.GroupViews, Streams: []string{business.StreamType, order.StreamType}, Tables: []string{"business_view"},
		New: func(*pgxpool.Pool) projections.Model { return projector(project) },
	}}
}

type projector func(ctx context.Context, tx pgx.Tx, events []projections.Event) error

func (p projector) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	return p(ctx, tx, events)
}

func TestAModelThatFailsSaysAtWhichEventAndKeepsWhatIsBefore(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 20)
	w.waitFor(t)
	bad := value[int64](t, w, `SELECT max(seq) FROM events WHERE type = 'order.assigned'`)
	for what, fail := range map[string]func() error{
		"returns an error": func() error { return errors.New("broken") },
		"panics":           func() error { panic("broken") },
	} {
		failing := true
		models := model(func(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
			for _, e := range events {
				if e.Seq == bad && failing {
					return fail()
				}
			}
			return projections.Business{}.Project(ctx, tx, events)
		})
		_, err := rebuild.Run(t.Context(), w.url, models, rebuild.Options{Name: "own"})
		if err == nil || !strings.Contains(err.Error(), fmt.Sprintf("seq %d, order.assigned of order/", bad)) || !strings.Contains(err.Error(), "broken") {
			t.Errorf("it %s: got %v, want the event at %d named", what, err, bad)
		}
		if kept := value[int64](t, w, `SELECT position FROM rebuilds WHERE name = 'own'`); kept >= bad || kept < bad-30 {
			t.Errorf("it %s: kept up to seq %d, it fails at %d", what, kept, bad)
		}
		failing = false
		r, err := rebuild.Run(t.Context(), w.url, models, rebuild.Options{Name: "own"})
		if err != nil || !r.Swapped || r.ContinuedFrom == 0 || r.Different != 0 {
			t.Errorf("when it works again: %+v, %v", r, err)
		}
	}
}

func TestAnEventThatCannotBeReadIsNamed(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.open(t)
	w.sellMany(t, 2)
	w.asSuperuser(t, `
WITH e AS (INSERT INTO events SELECT seq + 1, gen_random_uuid(), 'order', gen_random_uuid(), 1, 'order.frozen', '{}', '{}', now() FROM log_head)
UPDATE log_head SET seq = seq + 1`)
	head := value[int64](t, w, `UPDATE checkpoints SET position = (SELECT seq FROM log_head) WHERE group_name = 'views' RETURNING position`)
	_, err := w.tryRebuild(t.Context(), "orders", rebuild.Options{})
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint("seq ", head)) || !strings.Contains(err.Error(), "order.frozen") {
		t.Errorf("got %v", err)
	}
	if kept := value[int64](t, w, `SELECT position FROM rebuilds`); kept != head-1 {
		t.Errorf("kept up to seq %d of %d", kept, head)
	}
	// Whoever has nothing to do with it passes it by.
	if r := w.rebuild(t, "payments", rebuild.Options{}); r.Seq != head || !r.Swapped {
		t.Errorf("got %+v", r)
	}
}

func TestARebuildMendsWhatAGroupStandsAt(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 10)
	id, err := w.sell(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.waitFor(t)
	w.exec(t, `DELETE FROM orders_view WHERE id = $1`, id)
	if err := w.append(t.Context(), change(order.StreamType, id, order.StatusChanged{OrderID: id, To: order.StatusOutForDelivery})); err != nil {
		t.Fatal(err)
	}
	head := value[int64](t, w, `SELECT seq FROM log_head`)
	parttest.Eventually(t, "the group to stand", func() bool {
		return value[bool](t, w, `SELECT failures > 1 AND failed_seq = $1 FROM checkpoints WHERE group_name = 'views'`, head)
	})
	r := w.rebuild(t, "orders", rebuild.Options{})
	if r.Seq != head-1 || r.Different != 1 || !r.Swapped {
		t.Errorf("got %+v: %s", r, shown(r.Differences))
	}
	w.waitFor(t)
	if o, _, err := projections.NewViews(w.pool).Order(t.Context(), id); err != nil || o.Status != order.StatusOutForDelivery {
		t.Errorf("the order is %+v, %v", o, err)
	}
}
