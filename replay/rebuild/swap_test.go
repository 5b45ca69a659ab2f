package rebuild_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// reader reads until it is stopped and holds every answer to what a client relies on: it comes, and its seq never falls.
func (w *world) reader(t *testing.T, what string, reads *atomic.Int64, read func(ctx context.Context) (seq int64, err error)) {
	t.Helper()
	parttest.Run(t, func(ctx context.Context) error {
		for last := int64(0); ctx.Err() == nil; reads.Add(1) {
			seq, err := read(context.WithoutCancel(ctx))
			if err != nil {
				return fmt.Errorf("%s: %w", what, err)
			}
			if seq < last {
				return fmt.Errorf("%s at seq %d after %d", what, seq, last)
			}
			last = seq
		}
		return nil
	})
}

func TestReadersGoOnThroughSwaps(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	id, err := w.sell(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	w.sellMany(t, 20)
	w.waitFor(t)
	views, feed := projections.NewViews(w.pool), projections.NewFeedLog(w.pool)
	var reads atomic.Int64
	w.reader(t, "an order", &reads, func(ctx context.Context) (int64, error) {
		o, seq, err := views.Order(ctx, id)
		if err == nil && o.Version != 6 {
			err = fmt.Errorf("the order is at version %d", o.Version)
		}
		return seq, err
	})
	orders := 0
	w.reader(t, "a list of orders", &reads, func(ctx context.Context) (int64, error) {
		page, err := views.Orders(ctx, projections.OrderQuery{Limit: 1000})
		if len(page.Items) < orders && err == nil {
			err = fmt.Errorf("of %d orders %d are left", orders, len(page.Items))
		}
		orders = min(len(page.Items), 999)
		return page.Seq, err
	})
	customer := "c" + id.String()[30:]
	w.reader(t, "an inbox", &reads, func(ctx context.Context) (int64, error) {
		page, err := views.Inbox(ctx, projections.InboxQuery{UserID: customer, Limit: 50})
		if err == nil && len(page.Items) == 0 {
			err = errors.New("the inbox is empty")
		}
		return page.Seq, err
	})
	w.reader(t, "the payments and the track of an order", &reads, func(ctx context.Context) (int64, error) {
		payments, seq, err := views.OrderPayments(ctx, id)
		if err != nil || len(payments) != 1 {
			return 0, fmt.Errorf("%d payments: %w", len(payments), err)
		}
		points, err := views.Track(ctx, projections.TrackQuery{OrderID: id, Limit: 10})
		if err == nil && (len(points.Items) != 2 || points.Seq < seq) {
			err = fmt.Errorf("%d points at %d after %d", len(points.Items), points.Seq, seq)
		}
		return points.Seq, err
	})
	w.reader(t, "the offers and the business", &reads, func(ctx context.Context) (int64, error) {
		page, err := views.Offers(ctx, projections.OfferQuery{Limit: 10})
		if err != nil || len(page.Items) != 1 || page.Items[0].Uses != 3 {
			return 0, fmt.Errorf("offers %+v: %w", page.Items, err)
		}
		b, seq, err := views.Business(ctx)
		if err == nil && !b.IsOpen {
			err = errors.New("the business is closed")
		}
		return seq, err
	})
	after := int64(0)
	w.reader(t, "the feed", &reads, func(ctx context.Context) (int64, error) {
		page, err := feed.Tail(ctx, after, 20)
		after = page.Position
		return page.Position, err
	})
	w.reader(t, "a customer's feed", &reads, func(ctx context.Context) (int64, error) {
		page, err := feed.ReadChannels(ctx, []string{"user:" + customer, "order:" + id.String()}, 0, 50)
		if err == nil && len(page.Items) == 0 {
			err = errors.New("there are no notifications")
		}
		return page.Position, err
	})
	stop := w.traffic(t, 1)
	for _, name := range []string{"orders", "views", "feed", "inboxes", "views", "feed", "offers"} {
		wantSame(t, w.rebuild(t, name, rebuild.Options{}))
	}
	t.Logf("%d reads while %d orders were sold", reads.Load(), stop())
}

// catalog describes all that migrations make, what operators may add to it, and nothing else.
func (w *world) catalog(t *testing.T) string {
	t.Helper()
	return value[string](t, w, `
SELECT string_agg(line, E'\n' ORDER BY line) FROM (
	SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
	FROM information_schema.columns WHERE table_schema = 'public'
	UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
	UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
	WHERE connamespace = 'public'::regnamespace
	UNION ALL SELECT format('%s %s', oid::regprocedure, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
	UNION ALL SELECT format('%s %s', tgrelid::regclass, tgname) FROM pg_trigger
	UNION ALL SELECT format('%s %s %s owner %s options %s acl %s bound %s', relkind, relpersistence, relname, relowner::regrole, reloptions,
		coalesce(relacl, acldefault(CASE relkind WHEN 'S' THEN 's'::"char" ELSE 'r' END, relowner)),
		pg_get_expr(relpartbound, oid)) FROM pg_class WHERE relnamespace = 'public'::regnamespace
	UNION ALL SELECT format('%s toast options %s', c.relname, x.reloptions) FROM pg_class c JOIN pg_class x ON x.oid = c.reltoastrelid WHERE c.relnamespace = 'public'::regnamespace
	UNION ALL SELECT format('%s.%s %s %s %s %s acl %s', attrelid::regclass, attname, attnum, attstorage, attcompression, attstattarget, attacl)
	FROM pg_attribute JOIN pg_class c ON c.oid = attrelid WHERE relnamespace = 'public'::regnamespace AND attnum > 0
	UNION ALL SELECT format('%s %s', c.relname, obj_description(c.oid, 'pg_class')) FROM pg_class c WHERE relnamespace = 'public'::regnamespace
	UNION ALL SELECT 'schema ' || nspname FROM pg_namespace WHERE nspname NOT LIKE 'pg\_%'
) AS found(line)`)
}

func TestTablesAreAfterwardsAsTheyWere(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.project(t)
	w.open(t)
	w.sellMany(t, 3)
	w.waitFor(t)
	role := pgx.Identifier{"reporter_" + uuid.NewString()[:8]}.Sanitize()
	w.asSuperuser(t, `CREATE ROLE `+role)
	t.Cleanup(func() { w.dropRole(t, role) })
	for _, sql := range []string{
		`GRANT SELECT ON orders_view, notification_log TO ` + role + ` WITH GRANT OPTION`,
		`GRANT UPDATE (status) ON orders_view TO ` + role,
		`REVOKE TRUNCATE ON payments_view FROM CURRENT_USER`,
		`GRANT SELECT ON inbox_view TO PUBLIC`,
		`ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO ` + role, // which the live tables have not got
		`ALTER TABLE orders_view SET (autovacuum_vacuum_scale_factor = 0.05, toast.autovacuum_enabled = false)`,
		`ALTER TABLE payments_view ALTER COLUMN order_id SET STATISTICS 500`,
		`ALTER TABLE inbox_view ALTER COLUMN doc SET STORAGE EXTERNAL`,
		`ALTER TABLE couriers_view ALTER COLUMN doc SET COMPRESSION pglz`,
		`ALTER TABLE offers_view ADD CONSTRAINT not_negative CHECK (uses >= 0)`,
		`ALTER INDEX payments_view_order SET (fillfactor = 80)`,
		`ALTER INDEX payments_view_pkey SET (fillfactor = 60)`,
		`CREATE INDEX "Of the ""operator""" ON orders_view (lower(customer_id) text_pattern_ops DESC NULLS LAST) INCLUDE (status) WHERE status <> ' USING x'`,
		`CREATE UNIQUE INDEX one_of_each ON track_points (seq)`,
		`CREATE INDEX notification_log_event ON notification_log (event)`,
		`COMMENT ON TABLE orders_view IS 'what is shown of orders'`,
	} {
		w.exec(t, sql)
	}
	before, rows := w.catalog(t), w.contents(t, append(viewTables, feedTables...)...)
	for _, name := range []string{"views", "feed", "orders"} {
		wantSame(t, w.rebuild(t, name, rebuild.Options{}))
	}
	if after := w.catalog(t); after != before {
		t.Errorf("it was %s", difference(before, after))
	}
	if got := w.contents(t, append(viewTables, feedTables...)...); got != rows {
		t.Errorf("the tables hold\n%s\nand held\n%s", got, rows)
	}
}

// dropRole runs when the test's database is still there.
func (w *world) dropRole(t *testing.T, role string) {
	conn, err := pgx.Connect(context.Background(), pgtest.SuperuserURL(t, w.url))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(context.Background(), `DROP OWNED BY `+role+`; DROP ROLE `+role); err != nil {
		t.Error(err)
	}
}

// difference shows the lines that are in one text alone.
func difference(before, after string) string {
	var s strings.Builder
	for _, side := range []struct{ mark, here, there string }{{"- ", before, after}, {"+ ", after, before}} {
		there := "\n" + side.there + "\n"
		for line := range strings.Lines(side.here) {
			if line = strings.TrimSuffix(line, "\n"); !strings.Contains(there, "\n"+line+"\n") {
				fmt.Fprintln(&s, "\n"+side.mark+line)
			}
		}
	}
	return s.String()
}
