package projections

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/payment"
)

// orderPayments is how many payments of an order are shown. There is one, or a few when some failed.
const orderPayments = 200

const (
	sqlLoadPayments = `SELECT id, doc FROM payments_view WHERE id = ANY($1)`

	sqlSavePayments = `
INSERT INTO payments_view (id, order_id, started_seq, doc)
SELECT id, order_id, started_seq, doc::json
FROM unnest($1::uuid[], $2::uuid[], $3::bigint[], $4::text[]) AS u(id, order_id, started_seq, doc)
ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`

	sqlPayment = `
SELECT c.position, p.started_seq, p.doc FROM checkpoints c
LEFT JOIN payments_view p ON p.id = $1 WHERE c.group_name = 'views'`

	sqlOrderPayments = `
SELECT c.position, p.started_seq, p.doc FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT started_seq, doc FROM payments_view WHERE order_id = $1 ORDER BY started_seq DESC LIMIT $2
) p ON true WHERE c.group_name = 'views' ORDER BY p.started_seq`
)

// Payments is the read model of the payments.
type Payments struct{}

// Project folds events into payments_view.
func (Payments) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, payment.StreamType, sqlLoadPayments, func(p payment.Payment) int64 { return p.Version })
	if err != nil || len(changed) == 0 {
		return err
	}
	var (
		ids, orders []uuid.UUID
		startedSeq  []int64
		docs        []string
	)
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("payment %s: %w", c.id, err)
		}
		ids, orders = append(ids, c.id), append(orders, c.state.OrderID)
		startedSeq, docs = append(startedSeq, c.first), append(docs, doc) // startedSeq is kept from the first time on
	}
	if err := write(ctx, tx, sqlSavePayments, uuids(ids), uuids(orders), startedSeq, docs); err != nil {
		return fmt.Errorf("save payments: %w", err)
	}
	return nil
}

// Payment returns a payment; [domain.CodeNotFound] if there is none.
func (v *Views) Payment(ctx context.Context, id uuid.UUID) (payment.Payment, int64, error) {
	var p payment.Payment
	found, seq, err := one(ctx, v, &p, sqlPayment, id)
	if err == nil && !found {
		err = domain.Errorf(domain.CodeNotFound, "there is no payment %s", id)
	}
	return p, seq, err
}

// OrderPayments returns the payments of an order, oldest first; of more than 200, the newest. None if there is
// no such order.
func (v *Views) OrderPayments(ctx context.Context, orderID uuid.UUID) ([]payment.Payment, int64, error) {
	page, err := list[payment.Payment](ctx, v, orderPayments, sqlOrderPayments, orderID, orderPayments)
	return page.Items, page.Seq, err
}
