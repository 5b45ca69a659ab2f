// Package replay answers auditors out of the log: the history of an order, its state at any moment, what each event
// changed, and any selection of events, to page through or to export.
//
// Guarantees:
//
//   - Answers come from the events alone, never from a read model: states are folded with the domain's own Apply.
//   - Every answer is of one moment, the checkpoint of group [projections.GroupProofs], which it carries as Seq: it has
//     every event up to it and none after. Whatever an answer shows is in the Merkle tree, so there is a proof of it.
//   - A search goes by the index that [Index] derives, or by a stream: what it costs depends on what it finds and not
//     on how long the log is.
//   - A type of event that this program does not know is shown as it is; what cannot be said without knowing it is
//     refused, never guessed.
package replay

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// patience is how long a question waits for the audit to reach an event that is in the log already.
const patience = 2 * time.Second

// Log reads the log for auditors. It is safe for concurrent use.
type Log struct {
	pool     *pgxpool.Pool
	store    *eventstore.Store
	position *projections.Position
}

// New returns a Log on pool's database. store must be of the same database; it need not run.
func New(pool *pgxpool.Pool, store *eventstore.Store) *Log {
	return &Log{pool: pool, store: store, position: projections.NewPosition(func(ctx context.Context) (position int64, err error) {
		if err = pool.QueryRow(ctx, sqlPosition).Scan(&position); err != nil {
			err = fmt.Errorf("read the audit's checkpoint: %w", err)
		}
		return position, err
	})}
}

// WaitFor returns when the audit includes every event up to seq, or with ctx's error.
func (l *Log) WaitFor(ctx context.Context, seq int64) error { return l.position.WaitFor(ctx, seq) }

// await is WaitFor with a bound, and with a refusal that a client is told.
func (l *Log) await(ctx context.Context, seq int64) error {
	limited, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := l.WaitFor(limited, seq)
	if err != nil && ctx.Err() == nil && errors.Is(err, context.DeadlineExceeded) {
		return behind(seq, l.position.At())
	}
	return err
}

func behind(seq, position int64) error {
	return domain.Errorf(domain.CodeProjectionBehind, "the audit has come to seq %d and not yet to %d: ask again in a moment", position, seq).
		With("seq", position)
}

// point is a moment: what is at or before its position is in the audit, for good.
type point struct {
	position int64
	logID    uuid.UUID
	head     int64
	now      time.Time
}

func (l *Log) point(ctx context.Context) (point, error) {
	var p point
	if err := l.pool.QueryRow(ctx, sqlPoint).Scan(&p.position, (*[16]byte)(&p.logID), &p.head, &p.now); err != nil {
		return p, fmt.Errorf("read the audit's checkpoint: %w", err)
	}
	l.position.Saw(p.position)
	return p, nil
}

// read returns the events of seqs that the index names, which must all be in the log.
func (l *Log) read(ctx context.Context, seqs []int64) ([]eventstore.Recorded, error) {
	if len(seqs) == 0 {
		return nil, nil
	}
	events, err := l.query(ctx, sqlReadEvents, seqs)
	if err != nil {
		return nil, err
	}
	for i, seq := range seqs {
		if i >= len(events) || events[i].Seq != seq {
			return nil, mismatch("it has seq %d, and the log does not", seq)
		}
	}
	return events, nil
}

func (l *Log) query(ctx context.Context, sql string, args ...any) ([]eventstore.Recorded, error) {
	rows, err := l.pool.Query(ctx, sql, append([]any{planned}, args...)...)
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	events, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (e eventstore.Recorded, err error) {
		err = row.Scan(&e.Seq, (*[16]byte)(&e.ID), &e.Stream.Type, (*[16]byte)(&e.Stream.ID), &e.Version, &e.Type,
			&e.Data, &e.Meta, &e.RecordedAt)
		e.RecordedAt = e.RecordedAt.UTC()
		return e, err
	})
	if err != nil {
		return nil, fmt.Errorf("read events: %w", err)
	}
	return events, nil
}

// mismatch is the error of an index that says something else than the log.
func mismatch(format string, args ...any) error {
	return domain.Errorf(domain.CodeInternal, "the audit's index does not match the log: %s; run: app audit verify", fmt.Sprintf(format, args...))
}
