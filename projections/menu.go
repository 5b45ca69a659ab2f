package projections

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
)

const (
	sqlLoadProducts = `SELECT id, doc FROM products_view WHERE id = ANY($1)`

	sqlSaveProducts = `
INSERT INTO products_view (id, archived, added_seq, doc)
SELECT id, archived, added_seq, doc::json
FROM unnest($1::uuid[], $2::boolean[], $3::bigint[], $4::text[]) AS u(id, archived, added_seq, doc)
ON CONFLICT (id) DO UPDATE SET archived = excluded.archived, doc = excluded.doc`

	sqlLoadBusiness = `SELECT id, doc FROM business_view WHERE id = ANY($1)`

	sqlSaveBusiness = `
INSERT INTO business_view (id, doc) VALUES ($1, $2::json) ON CONFLICT (id) DO UPDATE SET doc = excluded.doc`
)

// Products is the read model of the menu.
type Products struct{}

// Project folds events into products_view.
func (Products) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, menu.StreamType, sqlLoadProducts, func(p menu.Product) int64 { return p.Version })
	if err != nil || len(changed) == 0 {
		return err
	}
	var (
		ids      []uuid.UUID
		archived []bool
		addedSeq []int64
		docs     []string
	)
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("product %s: %w", c.id, err)
		}
		ids, archived = append(ids, c.id), append(archived, c.state.Archived)
		addedSeq, docs = append(addedSeq, c.first), append(docs, doc) // addedSeq is kept from the first time on
	}
	if _, err := tx.Exec(ctx, sqlSaveProducts, ids, archived, addedSeq, docs); err != nil {
		return fmt.Errorf("save products: %w", err)
	}
	return nil
}

// Business is the read model of the business: one row.
type Business struct{}

// Project folds events into business_view.
func (Business) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, business.StreamType, sqlLoadBusiness, func(b business.Business) int64 { return b.Version })
	if err != nil {
		return err
	}
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("business: %w", err)
		}
		if _, err := tx.Exec(ctx, sqlSaveBusiness, c.id, doc); err != nil {
			return fmt.Errorf("save the business: %w", err)
		}
	}
	return nil
}
