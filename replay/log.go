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
	"sync/atomic"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
)

// Log reads the log for auditors. It is safe for concurrent use.
type Log struct {
	pool  *pgxpool.Pool
	store *eventstore.Store
	seen  atomic.Int64 // the checkpoint was at least here
}

// New returns a Log on pool's database. store must be of the same database; it need not run.
func New(pool *pgxpool.Pool, store *eventstore.Store) *Log { return &Log{pool: pool, store: store} }

// WaitFor returns when the audit includes every event up to seq, or with ctx's error.
func (l *Log) WaitFor(ctx context.Context, seq int64) error { panic("not implemented") }
