package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// The statements of Lags. The second is only run when a group is behind, and knows its seqs beforehand: joined to the
// checkpoints it would have to look at every partition of the log.
const (
	sqlLag = `
SELECT c.group_name, c.position, h.seq, c.failures, coalesce(c.failed_seq, 0), coalesce(c.last_error, ''), c.failed_at,
	c.updated_at, clock_timestamp()
FROM checkpoints c CROSS JOIN log_head h
ORDER BY c.group_name`

	sqlRecordedAtOf = `SELECT seq, recorded_at FROM events WHERE seq = ANY($1::bigint[])`
)

// standsAfter is how long a group may be behind without moving until it is said to stand.
const standsAfter = 10 * time.Second

// Lag is how far a group is behind the log, whichever node works for it.
type Lag struct {
	Group    string
	Position int64 // the checkpoint
	Head     int64 // the log's newest seq
	// Age of the oldest event that is not handled yet; 0 if there is none.
	Age time.Duration

	// Failures counts the failed attempts since the last that succeeded, on whichever node. 0: none.
	Failures int
	// FailedSeq is the first event of the segment that fails; 0: none, or what failed was no segment.
	FailedSeq int64
	// LastError and FailedAt are of the last failed attempt, empty and zero without one.
	LastError string
	FailedAt  time.Time
	// UpdatedAt is when the checkpoint last moved.
	UpdatedAt time.Time
	// State is one of the States.
	State string
}

// States of a group.
const (
	StateCurrent  = "current"  // all is handled
	StateBehind   = "behind"   // there is more to handle, and it is being worked on
	StateStanding = "standing" // behind, and for 10 s the checkpoint has not moved though there was something to handle
	StateFailing  = "failing"  // the last attempt failed
)

// Lags reads how far each group is behind, by the database's clock, in the order of their names. It costs little, however
// long the log is.
func Lags(ctx context.Context, pool *pgxpool.Pool) ([]Lag, error) {
	lags, now, err := readLags(ctx, pool)
	if err != nil {
		return nil, fmt.Errorf("read the lag of the projections: %w", err)
	}
	waiting, err := readWaiting(ctx, pool, lags)
	if err != nil {
		return nil, fmt.Errorf("read the lag of the projections: %w", err)
	}
	for i := range lags {
		lags[i].judge(now, waiting[lags[i].Position+1])
	}
	return lags, nil
}

// readLags reads all but Age and State, and the database's time.
func readLags(ctx context.Context, pool *pgxpool.Pool) (lags []Lag, now time.Time, err error) {
	rows, err := pool.Query(ctx, sqlLag)
	if err != nil {
		return nil, time.Time{}, err
	}
	lags, err = pgx.CollectRows(rows, func(row pgx.CollectableRow) (Lag, error) {
		var l Lag
		var failedAt *time.Time
		err := row.Scan(&l.Group, &l.Position, &l.Head, &l.Failures, &l.FailedSeq, &l.LastError, &failedAt, &l.UpdatedAt, &now)
		if failedAt != nil {
			l.FailedAt = failedAt.UTC()
		}
		l.UpdatedAt = l.UpdatedAt.UTC()
		return l, err
	})
	return lags, now, err
}

// readWaiting reads when the oldest event that each group has not handled was recorded.
func readWaiting(ctx context.Context, pool *pgxpool.Pool, lags []Lag) (map[int64]time.Time, error) {
	var seqs []int64
	for _, l := range lags {
		if l.Position < l.Head {
			seqs = append(seqs, l.Position+1)
		}
	}
	if seqs == nil {
		return nil, nil
	}
	rows, err := pool.Query(ctx, sqlRecordedAtOf, seqs)
	if err != nil {
		return nil, err
	}
	waiting := make(map[int64]time.Time, len(seqs))
	var seq int64
	var at time.Time
	_, err = pgx.ForEachRow(rows, []any{&seq, &at}, func() error {
		waiting[seq] = at
		return nil
	})
	return waiting, err
}

// judge sets Age and State. since is when the oldest event that is not handled was recorded; zero: there is none, or it is
// missing from the log.
func (l *Lag) judge(now, since time.Time) {
	moved := l.UpdatedAt // a group that had nothing to do has not moved for long
	if !since.IsZero() {
		l.Age = max(now.Sub(since), 0)
		if since.After(moved) {
			moved = since
		}
	}
	switch {
	case l.Failures > 0:
		l.State = StateFailing
	case l.Position >= l.Head:
		l.State = StateCurrent
	case now.Sub(moved) >= standsAfter:
		l.State = StateStanding
	default:
		l.State = StateBehind
	}
}
