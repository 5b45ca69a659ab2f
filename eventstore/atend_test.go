package eventstore_test

import (
	"context"
	"errors"
	"slices"
	"sync/atomic"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
)

// leave has a row for each of events written at the end.
func leave(ctx context.Context, tx pgx.Tx, events []eventstore.Recorded) error {
	var q pgx.Batch
	for _, e := range events {
		q.Queue(`INSERT INTO copied VALUES ('feed', $1, 'a')`, e.Seq)
	}
	return eventstore.AtEnd(ctx, tx, &q)
}

func TestWhatIsLeftForTheEndIsWrittenWithTheCheckpointOrNotAtAll(t *testing.T) {
	t.Parallel()
	for name, fault := range map[string]func(ctx context.Context, tx pgx.Tx) error{
		"the handler fails": func(context.Context, pgx.Tx) error { return errors.New("planted fault") },
		"a statement that is left fails": func(ctx context.Context, tx pgx.Tx) error {
			q := &pgx.Batch{}
			q.Queue(`SELECT 1 / $1::integer`, 0)
			return eventstore.AtEnd(ctx, tx, q)
		},
		"the checkpoint is not where it was": func(ctx context.Context, tx pgx.Tx) error {
			q := &pgx.Batch{}
			q.Queue(`UPDATE checkpoints SET position = position + 1 WHERE group_name = 'feed'`)
			return eventstore.AtEnd(ctx, tx, q)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.fill(t, 30)
			var broken atomic.Bool
			broken.Store(true)
			g := eventstore.NewGroup(w.pool, group("feed"))
			w.run(t, g, func(ctx context.Context, tx pgx.Tx, events []eventstore.Recorded) error {
				if err := leave(ctx, tx, events); err != nil {
					return err
				}
				if broken.Load() && events[len(events)-1].Seq >= 15 {
					return fault(ctx, tx)
				}
				return nil
			})
			parttest.Eventually(t, "some tries", func() bool { s := g.Status(); return s.Failures >= 2 && s.FailedSeq == 15 })
			if got, at := w.copied(t, "feed"), w.checkpoint(t, "feed"); at != 14 || !slices.Equal(got, upTo(14)) {
				t.Errorf("while event 15 fails the checkpoint is at %d and the rows are %v", at, got)
			}
			broken.Store(false)
			parttest.Eventually(t, "the group to recover", func() bool { return w.checkpoint(t, "feed") == 30 })
			if got := w.copied(t, "feed"); !slices.Equal(got, upTo(30)) {
				t.Errorf("after the fault the rows are %v", got)
			}
		})
	}
}

func TestWithoutAGroupTheEndIsNow(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	err := pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		if err := leave(t.Context(), tx, []eventstore.Recorded{{Seq: 7}}); err != nil {
			return err
		}
		var seq int64
		if err := tx.QueryRow(t.Context(), `SELECT seq FROM copied`).Scan(&seq); err != nil || seq != 7 {
			t.Errorf("the row is not there: %d, %v", seq, err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
