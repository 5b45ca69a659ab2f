package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const sqlLag = `
SELECT c.group_name, c.position, h.seq, coalesce(extract(epoch FROM clock_timestamp() - e.recorded_at), 0)::float8
FROM checkpoints c CROSS JOIN log_head h LEFT JOIN events e ON e.seq = c.position + 1
ORDER BY c.group_name`

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
	StateStanding = "standing" // behind, and the checkpoint has not moved for 10 s
	StateFailing  = "failing"  // the last attempt failed
)

// Lags reads how far each group is behind.
func Lags(ctx context.Context, pool *pgxpool.Pool) ([]Lag, error) {
	rows, err := pool.Query(ctx, sqlLag)
	if err != nil {
		return nil, fmt.Errorf("read the lag of the projections: %w", err)
	}
	lags, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Lag, error) {
		var l Lag
		var seconds float64
		err := row.Scan(&l.Group, &l.Position, &l.Head, &seconds)
		l.Age = max(time.Duration(seconds*float64(time.Second)), 0)
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the lag of the projections: %w", err)
	}
	return lags, nil
}
