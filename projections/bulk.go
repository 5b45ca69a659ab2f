package projections

import (
	"context"

	"github.com/jackc/pgx/v5"
)

// Bulk is a model whose rows can be derived without the database, and then be written faster than Project does. It asks
// nothing of its tables' constraints and indexes, so they can be made when the rows are there.
type Bulk interface {
	Model
	// Derive makes what Project would write. It is safe for concurrent use.
	Derive(events []Event) (Rows, error)
}

// Rows are what some events leave in a model's tables.
type Rows interface {
	// Write is to Project what Rows are to their events.
	Write(ctx context.Context, tx pgx.Tx) error
}
