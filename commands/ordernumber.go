package commands

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"
)

const sqlNextOrderNumber = `SELECT nextval('order_number_seq')`

// rowQuerier is a *pgxpool.Pool, a connection or a transaction.
type rowQuerier interface {
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// SequenceNumbers are order numbers from a PostgreSQL sequence, so that all nodes share
// them: ORD-000001, ORD-000002 … A number that was taken for an order that was then
// refused stays unused. Safe for concurrent use if its database is.
type SequenceNumbers struct {
	db rowQuerier
}

// NewSequenceNumbers returns the numbers of a migrated database, usually a *pgxpool.Pool.
func NewSequenceNumbers(db rowQuerier) *SequenceNumbers { return &SequenceNumbers{db: db} }

// NextOrderNumber takes the next number.
func (n *SequenceNumbers) NextOrderNumber(ctx context.Context) (string, error) {
	var number int64
	if err := n.db.QueryRow(ctx, sqlNextOrderNumber).Scan(&number); err != nil {
		return "", fmt.Errorf("take an order number: %w", err)
	}
	return fmt.Sprintf("ORD-%06d", number), nil
}
