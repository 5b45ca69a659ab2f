package projections

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// One node does it; the others have nothing to wait for.
	sqlRetentionLease = `SELECT pg_try_advisory_xact_lock(hashtext('orderlog notification retention'))`

	// The oldest partition goes as a whole, when the last event in its range is too old (recorded_at never
	// falls) and the feed is beyond it.
	sqlOldestPartition = `
SELECT o.upper
FROM notification_floor f
CROSS JOIN LATERAL (SELECT ((f.floor + 1) / $1 + 1) * $1 AS upper) o
JOIN checkpoints c ON c.group_name = 'feed' AND c.position >= o.upper
JOIN events e ON e.seq = o.upper - 1 AND e.recorded_at < $2`

	sqlRaiseFloor = `UPDATE notification_floor SET floor = $1`
)

// Retention drops notifications that nobody may resume from any more.
type Retention struct {
	pool *pgxpool.Pool
	keep time.Duration
	log  *slog.Logger
}

// NewRetention returns a Retention that keeps notifications for at least keep.
func NewRetention(pool *pgxpool.Pool, keep time.Duration, log *slog.Logger) *Retention {
	return &Retention{pool: pool, keep: keep, log: log}
}

// Run drops what is too old, at start and each hour, until ctx ends.
func (r *Retention) Run(ctx context.Context) error {
	hourly := time.NewTicker(time.Hour)
	defer hourly.Stop()
	for {
		for more := true; more; {
			var err error
			if more, err = r.DropOldest(ctx, time.Now().Add(-r.keep)); err != nil && ctx.Err() == nil {
				r.log.WarnContext(ctx, "old notifications could not be dropped; trying again in an hour", "err", err)
			}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-hourly.C:
		}
	}
}

// DropOldest drops the oldest partition of the notification log if all in it is from before a time, and
// tells whether it did.
func (r *Retention) DropOldest(ctx context.Context, before time.Time) (dropped bool, err error) {
	err = pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var leased bool
		if err := tx.QueryRow(ctx, sqlRetentionLease).Scan(&leased); err != nil || !leased {
			return err
		}
		// Dropping a partition waits for its readers; appends must not wait behind it for long.
		if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
			return err
		}
		var upper int64
		rows, err := tx.Query(ctx, sqlOldestPartition, int64(feedPartition), before)
		if err != nil {
			return err
		}
		found := false
		_, err = pgx.ForEachRow(rows, []any{&upper}, func() error { found = true; return nil })
		if err != nil || !found {
			return err
		}
		for _, parent := range []string{"notification_log", "notification_channels"} {
			name := fmt.Sprintf("%s_p%08d", parent, upper/feedPartition-1)
			if _, err := tx.Exec(ctx, "DROP TABLE "+pgx.Identifier{name}.Sanitize()); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, sqlRaiseFloor, upper-1); err != nil {
			return err
		}
		r.log.InfoContext(ctx, "dropped old notifications", "up_to_seq", upper-1)
		dropped = true
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("drop old notifications: %w", err)
	}
	return dropped, nil
}
