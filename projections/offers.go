package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
)

const (
	sqlLoadOffers = `SELECT id, doc FROM offers_view WHERE id = ANY($1)`

	sqlSaveOffers = `
INSERT INTO offers_view (id, withdrawn, ends_at, created_seq, doc)
SELECT id, withdrawn, ends_at, created_seq, doc::json
FROM unnest($1::uuid[], $2::boolean[], $3::timestamptz[], $4::bigint[], $5::text[])
	AS u(id, withdrawn, ends_at, created_seq, doc)
ON CONFLICT (id) DO UPDATE SET withdrawn = excluded.withdrawn, ends_at = excluded.ends_at, doc = excluded.doc`

	sqlCountOfferUses = `
UPDATE offers_view o SET uses = u.uses FROM unnest($1::uuid[], $2::bigint[]) AS u(id, uses) WHERE o.id = u.id`

	sqlOffer = `
SELECT c.position, o.created_seq, o.uses, o.doc FROM checkpoints c
LEFT JOIN offers_view o ON o.id = $1 WHERE c.group_name = 'views'`

	// Newest first. %s is the filter; see [OfferQuery.sql].
	sqlOffers = `
SELECT c.position, o.created_seq, o.uses, o.doc FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT created_seq, uses, doc FROM offers_view
	WHERE created_seq < $1%s ORDER BY created_seq DESC LIMIT $2
) o ON true WHERE c.group_name = 'views' ORDER BY o.created_seq DESC`

	sqlOnlyOpenOffers = ` AND NOT withdrawn AND (ends_at IS NULL OR ends_at > now())`
)

// Offers is the read model of the offers, each with the count of its tally: how many orders use it.
type Offers struct{}

// Project folds events into offers_view.
func (Offers) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, offer.StreamType, sqlLoadOffers, func(o offer.Offer) int64 { return o.Version })
	if err != nil {
		return err
	}
	if err := saveOffers(ctx, tx, changed); err != nil {
		return err
	}
	return countUses(ctx, tx, events) // an offer is there before its first use
}

func saveOffers(ctx context.Context, tx pgx.Tx, changed []folded[offer.Offer]) error {
	if len(changed) == 0 {
		return nil
	}
	var (
		ids        []uuid.UUID
		withdrawn  []bool
		endsAt     []*time.Time
		createdSeq []int64
		docs       []string
	)
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("offer %s: %w", c.state.Code, err)
		}
		ids, withdrawn, endsAt = append(ids, c.id), append(withdrawn, c.state.Withdrawn), append(endsAt, c.state.EndsAt)
		createdSeq, docs = append(createdSeq, c.first), append(docs, doc) // createdSeq is kept from the first time on
	}
	if _, err := tx.Exec(ctx, sqlSaveOffers, uuids(ids), withdrawn, endsAt, createdSeq, docs); err != nil {
		return fmt.Errorf("save offers: %w", err)
	}
	return nil
}

// countUses keeps the tallies of all customers. Each event has the count after it, so the last of a segment is
// enough.
func countUses(ctx context.Context, tx pgx.Tx, events []Event) error {
	last := make(map[uuid.UUID]int64)
	for _, e := range events {
		switch b := e.Body.(type) {
		case offer.Counted:
			if b.Scope == offer.ScopeAll {
				last[offer.StreamID(b.Code)] = b.Uses
			}
		case offer.Returned:
			if b.Scope == offer.ScopeAll {
				last[offer.StreamID(b.Code)] = b.Uses
			}
		}
	}
	if len(last) == 0 {
		return nil
	}
	var ids []uuid.UUID
	var uses []int64
	for id, n := range last {
		ids, uses = append(ids, id), append(uses, n)
	}
	done, err := tx.Exec(ctx, sqlCountOfferUses, uuids(ids), uses)
	if err != nil {
		return fmt.Errorf("count the uses of offers: %w", err)
	}
	if int(done.RowsAffected()) != len(ids) {
		return fmt.Errorf("up to seq %d %d offers are used, of which the read model has %d: it does not follow the log; rebuild it",
			events[len(events)-1].Seq, len(ids), done.RowsAffected())
	}
	return nil
}

// OfferQuery selects offers, newest first.
type OfferQuery struct {
	IncludeWithdrawn bool   // and those that have ended
	Limit            int    // at least 1
	After            string // a List.Next, or empty
}

func (q OfferQuery) sql(before int64) (string, []any) {
	filter := sqlOnlyOpenOffers
	if q.IncludeWithdrawn {
		filter = ""
	}
	return fmt.Sprintf(sqlOffers, filter), []any{before, q.Limit + 1}
}

// Offer returns an offer by its code, in capitals or not, also one that was withdrawn;
// [domain.CodeOfferNotFound] if there is none.
func (v *Views) Offer(ctx context.Context, code string) (offer.Offer, int64, error) {
	page, err := offers(ctx, v, 1, sqlOffer, offer.StreamID(code))
	if err != nil {
		return offer.Offer{}, 0, err
	}
	if len(page.Items) == 0 {
		return offer.Offer{}, page.Seq, domain.Errorf(domain.CodeOfferNotFound, "there is no offer %q", code)
	}
	return page.Items[0], page.Seq, nil
}

// Offers returns a page of offers.
func (v *Views) Offers(ctx context.Context, q OfferQuery) (List[offer.Offer], error) {
	before, err := parseCursor(q.After, 1<<62)
	if err != nil {
		return List[offer.Offer]{}, err
	}
	query, args := q.sql(before)
	return offers(ctx, v, q.Limit, query, args...)
}

func offers(ctx context.Context, v *Views, limit int, query string, args ...any) (List[offer.Offer], error) {
	var uses *int64
	var doc []byte
	return readPage(ctx, v, limit, query, args, []any{&uses, &doc}, func(int64) (o offer.Offer, err error) {
		err = json.Unmarshal(doc, &o)
		o.Uses = *uses
		return o, err
	})
}
