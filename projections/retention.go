package projections

import (
	"context"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// One node does it; the others have nothing to wait for.
	sqlRetentionLease = `SELECT pg_try_advisory_xact_lock(hashtext('orderlog notification retention'))`

	sqlFloorAndPosition = `
SELECT f.floor, c.position FROM notification_floor f, checkpoints c WHERE c.group_name = 'feed'`

	sqlRecordedAt = `SELECT recorded_at FROM events WHERE seq = $1`

	sqlRaiseFloor = `UPDATE notification_floor SET floor = greatest(floor, $1)`

	// A node need not own the tables: the database checks that the partition lies below the floor, and drops it.
	sqlDropNotifications = `SELECT drop_notifications($1)`

	sqlFeedPartitions = `SELECT inhrelid::regclass::text FROM pg_inherits WHERE inhparent = $1::text::regclass ORDER BY 1`
)

// Retention says which notifications nobody may resume from any more, and drops them.
type Retention struct {
	pool *pgxpool.Pool
	keep time.Duration
	log  *slog.Logger
}

// NewRetention returns a Retention that keeps notifications for keep.
func NewRetention(pool *pgxpool.Pool, keep time.Duration, log *slog.Logger) *Retention {
	return &Retention{pool: pool, keep: keep, log: log}
}

// Run expires what is too old until ctx ends: at the start, and then each hour or four times in the time that
// is kept, whichever is more often.
func (r *Retention) Run(ctx context.Context) error {
	tick := time.NewTicker(min(max(r.keep/4, 250*time.Millisecond), time.Hour))
	defer tick.Stop()
	for {
		if err := r.Expire(ctx, time.Now().Add(-r.keep)); err != nil && ctx.Err() == nil {
			r.log.WarnContext(ctx, "old notifications could not be expired; trying again later", "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// Expire raises the floor to the newest notification from before a time, and drops the partitions below it.
// Cursors below the floor are refused from then on, whether or not a partition could be dropped.
func (r *Retention) Expire(ctx context.Context, before time.Time) error {
	err := pgx.BeginFunc(ctx, r.pool, func(tx pgx.Tx) error {
		var leased bool
		if err := tx.QueryRow(ctx, sqlRetentionLease).Scan(&leased); err != nil || !leased {
			return err
		}
		floor, err := raiseFloor(ctx, tx, before)
		if err != nil {
			return err
		}
		return r.drop(ctx, tx, floor)
	})
	if err != nil {
		return fmt.Errorf("expire old notifications: %w", err)
	}
	return nil
}

// raiseFloor searches by halves: recorded_at never falls as seq rises.
func raiseFloor(ctx context.Context, tx pgx.Tx, before time.Time) (floor int64, err error) {
	var position int64
	if err := tx.QueryRow(ctx, sqlFloorAndPosition).Scan(&floor, &position); err != nil {
		return 0, err
	}
	old := floor
	for low, high := floor+1, position; low <= high; {
		middle := low + (high-low)/2
		var at time.Time
		if err := tx.QueryRow(ctx, sqlRecordedAt, middle).Scan(&at); err != nil {
			return 0, fmt.Errorf("when was seq %d recorded: %w", middle, err)
		}
		if at.Before(before) {
			floor, low = middle, middle+1
		} else {
			high = middle - 1
		}
	}
	if floor > old {
		_, err = tx.Exec(ctx, sqlRaiseFloor, floor)
	}
	return floor, err
}

// drop removes the partitions that hold nothing above the floor. One that is being read is left for later:
// nothing may wait behind it for long.
func (r *Retention) drop(ctx context.Context, tx pgx.Tx, floor int64) error {
	if _, err := tx.Exec(ctx, `SET LOCAL lock_timeout = '2s'`); err != nil {
		return err
	}
	for _, parent := range []string{"notification_log", "notification_channels"} {
		rows, err := tx.Query(ctx, sqlFeedPartitions, parent)
		if err != nil {
			return err
		}
		names, err := pgx.CollectRows(rows, pgx.RowTo[string])
		if err != nil {
			return err
		}
		for _, name := range names {
			n, err := strconv.ParseInt(strings.TrimPrefix(name, parent+"_p"), 10, 64)
			if err != nil {
				return fmt.Errorf("partition %s has a name of another kind: %w", name, err)
			}
			if (n+1)*feedPartition-1 > floor {
				break
			}
			dropped := pgx.BeginFunc(ctx, tx, func(tx pgx.Tx) error { // a savepoint: the floor stays raised
				_, err := tx.Exec(ctx, sqlDropNotifications, name)
				return err
			})
			if dropped != nil {
				r.log.WarnContext(ctx, "a partition of old notifications could not be dropped; trying again later", "partition", name, "err", dropped)
				return ctx.Err()
			}
			r.log.InfoContext(ctx, "dropped old notifications", "partition", name)
		}
	}
	return nil
}
