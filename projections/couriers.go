package projections

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
)

const (
	sqlLoadCouriers = `SELECT id, doc FROM couriers_view WHERE id = ANY($1)`

	sqlSaveCouriers = `
INSERT INTO couriers_view (id, status, first_seq, doc)
SELECT id, status, first_seq, doc::json
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::text[]) AS u(id, status, first_seq, doc)
ON CONFLICT (id) DO UPDATE SET status = excluded.status, doc = excluded.doc`

	sqlCourier = `
SELECT c.position, a.first_seq, a.doc FROM checkpoints c
LEFT JOIN couriers_view a ON a.id = $1 WHERE c.group_name = 'views'`

	// %s is the filter; see [CourierQuery.sql].
	sqlCouriers = `
SELECT c.position, a.first_seq, a.doc FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT first_seq, doc FROM couriers_view
	WHERE first_seq > $1%s ORDER BY first_seq LIMIT $2
) a ON true WHERE c.group_name = 'views' ORDER BY a.first_seq`
)

// Couriers is the read model of the couriers.
type Couriers struct{}

// Project folds events into couriers_view.
func (Couriers) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, courier.StreamType, sqlLoadCouriers, func(c courier.Courier) int64 { return c.Version })
	if err != nil || len(changed) == 0 {
		return err
	}
	var (
		ids          []uuid.UUID
		status, docs []string
		firstSeq     []int64
	)
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("courier %s: %w", c.id, err)
		}
		ids, status = append(ids, c.id), append(status, string(c.state.Status))
		firstSeq, docs = append(firstSeq, c.first), append(docs, doc) // firstSeq is kept from the first time on
	}
	if err := write(ctx, tx, sqlSaveCouriers, uuids(ids), status, firstSeq, docs); err != nil {
		return fmt.Errorf("save couriers: %w", err)
	}
	return nil
}

// CourierQuery selects couriers, in the order in which they were first heard of. An empty Status does not filter.
type CourierQuery struct {
	Status string // as others see it
	Limit  int    // at least 1
	After  string // a List.Next, or empty
}

func (q CourierQuery) sql(after int64) (string, []any) {
	if q.Status == "" {
		return fmt.Sprintf(sqlCouriers, ""), []any{after, q.Limit + 1}
	}
	return fmt.Sprintf(sqlCouriers, " AND status = $3"), []any{after, q.Limit + 1, q.Status}
}

// Courier returns a courier by its user id; [domain.CodeNotFound] if it was never heard of. It does not know
// CurrentCustomer, which is not for those who read it.
func (v *Views) Courier(ctx context.Context, agentID string) (courier.Courier, int64, error) {
	var c courier.Courier
	found, seq, err := one(ctx, v, &c, sqlCourier, courier.StreamID(agentID))
	if err == nil && !found {
		err = domain.Errorf(domain.CodeNotFound, "there is no delivery agent %q", agentID)
	}
	return c, seq, err
}

// Couriers returns a page of couriers.
func (v *Views) Couriers(ctx context.Context, q CourierQuery) (List[courier.Courier], error) {
	after, err := parseCursor(q.After, 0)
	if err != nil {
		return List[courier.Courier]{}, err
	}
	query, args := q.sql(after)
	return list[courier.Courier](ctx, v, q.Limit, query, args...)
}
