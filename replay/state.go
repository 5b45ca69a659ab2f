package replay

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
)

// Moment is a place in the log: a seq, or a time, or now when both are zero.
type Moment struct {
	Seq int64
	At  time.Time
}

// State is an order as it was at a moment. Its JSON is that of GET /orders/{id} of the moment, with the items of
// GET /orders/{id}/payments as the member payments.
type State struct {
	order.Order
	Payments []payment.Payment `json:"payments"` // oldest first
	// Seq is the moment: every event up to it is included and none after. At is when that event was recorded.
	Seq int64     `json:"seq"`
	At  time.Time `json:"at"`
}

// State returns an order as it was at a moment. [domain.CodeNotFound] says when it was placed, if it was not there yet.
func (l *Log) State(ctx context.Context, orderID uuid.UUID, m Moment) (State, error) {
	panic("not implemented")
}
