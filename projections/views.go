package projections

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
)

// Each statement reads its rows and the checkpoint in one snapshot: the seq that an answer carries is true
// of its rows. The rows are (position, sort key, doc), one with a null doc where there is none.
const (
	sqlViewsPosition = `SELECT position FROM checkpoints WHERE group_name = 'views'`

	sqlBusiness = `
SELECT c.position, 0::bigint, b.doc FROM checkpoints c
LEFT JOIN business_view b ON b.id = $1 WHERE c.group_name = 'views'`

	sqlProduct = `
SELECT c.position, p.added_seq, p.doc FROM checkpoints c
LEFT JOIN products_view p ON p.id = $1 WHERE c.group_name = 'views'`

	sqlProducts = `
SELECT c.position, p.added_seq, p.doc FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT added_seq, doc FROM products_view
	WHERE added_seq > $1 AND ($3 OR NOT archived) ORDER BY added_seq LIMIT $2
) p ON true WHERE c.group_name = 'views' ORDER BY p.added_seq`

	sqlOrder = `
SELECT c.position, o.placed_seq, o.doc FROM checkpoints c
LEFT JOIN orders_view o ON o.id = $1 WHERE c.group_name = 'views'`

	// Newest first, from before a seq on: what is placed meanwhile does not move the pages. %s is the filter;
	// see [OrderQuery.sql].
	sqlOrders = `
SELECT c.position, o.placed_seq, o.doc FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT placed_seq, doc FROM orders_view
	WHERE placed_seq < $1%s
	ORDER BY placed_seq DESC LIMIT $2
) o ON true WHERE c.group_name = 'views' ORDER BY o.placed_seq DESC`
)

// List is a page of a list.
type List[T any] struct {
	Items []T
	// Next is the cursor of the next page, empty on the last one.
	Next string
	// Seq: the page includes every event up to it and none after.
	Seq int64
}

// ProductQuery selects products, in the order in which they were added.
type ProductQuery struct {
	IncludeArchived bool
	Limit           int    // at least 1
	After           string // a List.Next, or empty
}

// OrderQuery selects orders, newest first. Empty fields do not filter.
type OrderQuery struct {
	Status, Customer, Agent string
	From, To                time.Time // placed at or after From, and before To
	Limit                   int       // at least 1
	After                   string    // a List.Next, or empty
}

// sql returns the statement for the filters that are set, and their values. A single statement for all of them
// ("$3 = ” OR status = $3") would be planned once for any use, which is by no index.
func (q OrderQuery) sql(before int64) (string, []any) {
	args := []any{before, q.Limit + 1}
	var filter strings.Builder
	add := func(condition string, value any) {
		args = append(args, value)
		fmt.Fprintf(&filter, " AND "+condition+" $%d", len(args))
	}
	if q.Status != "" {
		add("status =", q.Status)
	}
	if q.Customer != "" {
		add("customer_id =", q.Customer)
	}
	if q.Agent != "" {
		add("agent_id <> '' AND agent_id =", q.Agent) // as the index has it
	}
	if !q.From.IsZero() {
		add("placed_at >=", q.From)
	}
	if !q.To.IsZero() {
		add("placed_at <", q.To)
	}
	return fmt.Sprintf(sqlOrders, filter.String()), args
}

// Views reads the read models. The int64 beside an answer is the seq up to which it includes every event,
// and none after. It is safe for concurrent use.
type Views struct {
	pool     *pgxpool.Pool
	position *Position
}

// NewViews returns a reader of pool's database.
func NewViews(pool *pgxpool.Pool) *Views {
	return &Views{pool: pool, position: NewPosition(func(ctx context.Context) (position int64, err error) {
		if err = pool.QueryRow(ctx, sqlViewsPosition).Scan(&position); err != nil {
			err = fmt.Errorf("read the views' checkpoint: %w", err)
		}
		return position, err
	})}
}

// Business returns the business; before its first event, a closed one.
func (v *Views) Business(ctx context.Context) (business.Business, int64, error) {
	b := business.Initial()
	_, seq, err := one(ctx, v, &b, sqlBusiness, business.StreamID)
	return b, seq, err
}

// Product returns a product, also an archived one; [domain.CodeNotFound] if there is none.
func (v *Views) Product(ctx context.Context, id uuid.UUID) (menu.Product, int64, error) {
	var p menu.Product
	found, seq, err := one(ctx, v, &p, sqlProduct, id)
	if err == nil && !found {
		err = domain.Errorf(domain.CodeNotFound, "there is no product %s", id)
	}
	return p, seq, err
}

// Products returns a page of the menu.
func (v *Views) Products(ctx context.Context, q ProductQuery) (List[menu.Product], error) {
	after, err := parseCursor(q.After, 0)
	if err != nil {
		return List[menu.Product]{}, err
	}
	return list[menu.Product](ctx, v, q.Limit, sqlProducts, after, q.Limit+1, q.IncludeArchived)
}

// Order returns an order; [domain.CodeNotFound] if there is none.
func (v *Views) Order(ctx context.Context, id uuid.UUID) (order.Order, int64, error) {
	var o order.Order
	found, seq, err := one(ctx, v, &o, sqlOrder, id)
	if err == nil && !found {
		err = domain.Errorf(domain.CodeNotFound, "there is no order %s", id)
	}
	return o, seq, err
}

// Orders returns a page of orders.
func (v *Views) Orders(ctx context.Context, q OrderQuery) (List[order.Order], error) {
	before, err := parseCursor(q.After, 1<<62)
	if err != nil {
		return List[order.Order]{}, err
	}
	query, args := q.sql(before)
	return list[order.Order](ctx, v, q.Limit, query, args...)
}

// WaitFor returns when the views include every event up to seq, or with ctx's error.
func (v *Views) WaitFor(ctx context.Context, seq int64) error { return v.position.WaitFor(ctx, seq) }

func one[T any](ctx context.Context, v *Views, into *T, query string, id uuid.UUID) (found bool, seq int64, err error) {
	var key *int64
	var doc []byte
	if err := v.pool.QueryRow(ctx, query, id).Scan(&seq, &key, &doc); err != nil {
		return false, 0, fmt.Errorf("read a view: %w", err)
	}
	v.position.Saw(seq)
	if doc == nil {
		return false, seq, nil
	}
	if err := json.Unmarshal(doc, into); err != nil {
		return false, 0, fmt.Errorf("read a view: %w", err)
	}
	return true, seq, nil
}

// list reads a page of documents.
func list[T any](ctx context.Context, v *Views, limit int, query string, args ...any) (List[T], error) {
	var doc []byte
	return readPage(ctx, v, limit, query, args, []any{&doc}, func(int64) (item T, err error) {
		err = json.Unmarshal(doc, &item)
		return item, err
	})
}

// readPage reads a page whose rows have more than a document: position and sort key as ever, and then what is
// scanned into columns, of which item makes an item.
func readPage[T any](
	ctx context.Context, v *Views, limit int, query string, args, columns []any, item func(key int64) (T, error),
) (List[T], error) {
	page := List[T]{Items: []T{}}
	found, err := v.pool.Query(ctx, query, args...)
	if err != nil {
		return page, fmt.Errorf("read a view: %w", err)
	}
	var key *int64
	var last int64
	_, err = pgx.ForEachRow(found, append([]any{&page.Seq, &key}, columns...), func() error {
		if key == nil {
			return nil
		}
		if len(page.Items) == limit { // the one that tells that there is more
			page.Next = formatCursor(last)
			return nil
		}
		last = *key
		one, err := item(last)
		page.Items = append(page.Items, one)
		return err
	})
	if err != nil {
		return page, fmt.Errorf("read a view: %w", err)
	}
	v.position.Saw(page.Seq)
	return page, nil
}

// A cursor is opaque to clients: the sort key of the last item they have.
func formatCursor(key int64) string {
	return base64.RawURLEncoding.EncodeToString(strconv.AppendInt(nil, key, 36))
}

func parseCursor(cursor string, start int64) (int64, error) {
	if cursor == "" {
		return start, nil
	}
	text, err := base64.RawURLEncoding.DecodeString(cursor)
	if err == nil {
		if key, err := strconv.ParseInt(string(text), 36, 64); err == nil {
			return key, nil
		}
	}
	return 0, domain.Invalid("cursor", "is not one of this list: give the last answer's next, or leave it out to start over")
}
