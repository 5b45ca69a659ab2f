package projections

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"

	"github.com/orderlog/orderlog/eventstore"
)

// write leaves a statement for the end of the transaction, if it is a group's: no model reads what another writes, so one
// round trip does for all of them.
func write(ctx context.Context, tx pgx.Tx, sql string, args ...any) error {
	var q pgx.Batch
	q.Queue(sql, args...)
	return eventstore.AtEnd(ctx, tx, &q)
}

// uuids are ids as an array for a statement: a slice of uuid.UUID would be encoded as one of texts, each after an attempt
// that fails.
func uuids(ids []uuid.UUID) pgtype.FlatArray[pgtype.UUID] {
	array := make(pgtype.FlatArray[pgtype.UUID], len(ids))
	for i, id := range ids {
		array[i] = pgtype.UUID{Bytes: id, Valid: true}
	}
	return array
}
