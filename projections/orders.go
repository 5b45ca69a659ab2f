package projections

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain/order"
)

const (
	sqlLoadOrders = `SELECT id, doc FROM orders_view WHERE id = ANY($1)`

	sqlSaveOrders = `
INSERT INTO orders_view (id, customer_id, agent_id, status, placed_at, placed_seq, doc)
SELECT id, customer_id, agent_id, status, placed_at, placed_seq, doc::json
FROM unnest($1::uuid[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::bigint[], $7::text[])
	AS u(id, customer_id, agent_id, status, placed_at, placed_seq, doc)
ON CONFLICT (id) DO UPDATE SET agent_id = excluded.agent_id, status = excluded.status, doc = excluded.doc`
)

// Orders is the read model of the orders.
type Orders struct{}

// Project folds events into orders_view.
func (Orders) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, order.StreamType, sqlLoadOrders, func(o order.Order) int64 { return o.Version })
	if err != nil || len(changed) == 0 {
		return err
	}
	var (
		ids                             []uuid.UUID
		customers, agents, status, docs []string
		placedAt                        []time.Time
		placedSeq                       []int64
	)
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("order %s: %w", c.id, err)
		}
		ids, docs = append(ids, c.id), append(docs, doc)
		customers, agents = append(customers, c.state.CustomerID), append(agents, c.state.AgentID)
		status, placedAt = append(status, string(c.state.Status)), append(placedAt, c.state.PlacedAt)
		placedSeq = append(placedSeq, c.first) // kept from the first time on
	}
	if err := write(ctx, tx, sqlSaveOrders, uuids(ids), customers, agents, status, placedAt, placedSeq, docs); err != nil {
		return fmt.Errorf("save orders: %w", err)
	}
	return nil
}
