package replay

import (
	"context"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// Index keeps audit_index, a row an event, by which events are searched. It is a model of group
// [projections.GroupProofs] and looks at envelopes only.
type Index struct{}

var _ projections.Model = Index{}

// Project adds a row for each of events.
func (Index) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	panic("not implemented")
}

// Keys are what an event is found by: its row of audit_index is Seq, Type and these.
type Keys struct {
	// Actor is the user id in the event's meta; empty when it names nobody.
	Actor string
	// OrderID is the order the event is about: data.orderId, when that is a UUID as text.
	OrderID uuid.NullUUID
}

// KeysOf returns the keys of an event that was read from the log, whatever JSON its data and meta are.
func KeysOf(e eventstore.Recorded) Keys { panic("not implemented") }
