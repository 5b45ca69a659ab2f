package rebuild_test

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/rebuild"
)

// killedVariable names the database that a process of its own rebuilds, until it is killed.
const killedVariable = "REBUILD_UNTIL_KILLED"

func TestMain(m *testing.M) {
	if url := os.Getenv(killedVariable); url != "" {
		models, err := rebuild.Choose("views")
		if err == nil {
			_, err = rebuild.Run(context.Background(), url, models, rebuild.Options{Name: "views", Segment: 1})
		}
		fmt.Fprintln(os.Stderr, "it was not killed:", err)
		os.Exit(1)
	}
	pgtest.Main(m)
}

// world is a database with a running store.
type world struct {
	url   string
	pool  *pgxpool.Pool
	store *eventstore.Store
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{url: pgtest.Database(t)}
	w.pool = pgtest.Pool(t, w.url)
	w.store = eventstore.Open(w.pool, eventstore.Options{})
	parttest.Run(t, w.store.Run)
	return w
}

// project runs the feed and the views, as a node does, until stop is called or the test ends.
func (w *world) project(t testing.TB) (stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	listener := eventstore.NewListener(w.pool, log, eventstore.EventsChannel)
	stopListener := parttest.Run(t, listener.Run)
	stopRunner := parttest.Run(t, projections.NewRunner(w.pool, listener, log,
		projections.Group{Name: projections.GroupFeed, Models: []projections.Model{projections.NewFeed(w.pool)}},
		projections.ViewsGroup(w.pool),
	).Run)
	return func() {
		stopRunner()
		stopListener()
	}
}

// waitFor waits until the feed and the views have reached the end of the log, and returns it.
func (w *world) waitFor(t testing.TB) (head int64) {
	t.Helper()
	parttest.Eventually(t, "the projections to reach the head", func() bool {
		var behind int
		err := w.pool.QueryRow(t.Context(), `
SELECT h.seq, (SELECT count(*) FROM checkpoints WHERE position < h.seq AND group_name IN ('feed', 'views')) FROM log_head h`).Scan(&head, &behind)
		return err == nil && behind == 0
	})
	return head
}

func (w *world) exec(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := w.pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

// asSuperuser does what the application's role may not.
func (w *world) asSuperuser(t testing.TB, sql string, args ...any) {
	t.Helper()
	if _, err := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url)).Exec(t.Context(), sql, args...); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t testing.TB, w *world, sql string, args ...any) (v T) {
	t.Helper()
	if err := w.pool.QueryRow(t.Context(), sql, args...).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

// change is what is added to one stream.
func change(streamType string, id uuid.UUID, events ...domain.Event) eventstore.StreamAppend {
	a := eventstore.StreamAppend{Stream: eventstore.StreamID{Type: streamType, ID: id}, Expected: eventstore.AnyVersion}
	for _, e := range events {
		typ, data, err := domain.Encode(e)
		if err != nil {
			panic(err) // an event of the domain can be encoded
		}
		a.Events = append(a.Events, eventstore.NewEvent{Type: typ, Data: data})
	}
	return a
}

func (w *world) append(ctx context.Context, streams ...eventstore.StreamAppend) error {
	_, err := w.store.Append(ctx, eventstore.Append{Streams: streams, Meta: eventstore.Meta{UserID: "ann"}})
	return err
}

// open appends what there is once: a business, a product, and an offer.
func (w *world) open(t testing.TB) {
	t.Helper()
	pizza := uuid.New()
	err := w.append(
		t.Context(),
		change(business.StreamType, business.StreamID, business.Opened{BusinessName: "Luigi's \"Trattoria\""}),
		change(menu.StreamType, pizza, menu.Added{ProductID: pizza, Name: "Pizza", Price: 900, Currency: "EUR"}, menu.Archived{ProductID: pizza}),
		change(offer.StreamType, offer.StreamID("TEN"), offer.Created{Terms: offer.Terms{Code: "TEN", DiscountType: offer.DiscountPercent, DiscountValue: 10}}),
		change(offer.TallyStreamType, offer.TallyID("TEN", ""), offer.Counted{Code: "TEN", Scope: offer.ScopeAll, Uses: 3}),
	)
	if err != nil {
		t.Fatal(err)
	}
}

// sell takes an order through what leaves rows in all the other tables: 15 events in two appends.
func (w *world) sell(ctx context.Context) (id uuid.UUID, err error) {
	id = uuid.Must(uuid.NewV7())
	customer, agent := "c"+id.String()[30:], "a"+id.String()[34:]
	of := payment.Of{PaymentID: uuid.New(), OrderID: id, CustomerID: customer, Method: payment.MethodCard, Currency: "EUR"}
	entry, speed := uuid.New(), 2.5
	moved := func(to order.Status) order.StatusChanged {
		return order.StatusChanged{OrderID: id, CustomerID: customer, To: to, Message: "on"}
	}
	err = w.append(
		ctx,
		change(order.StreamType, id, order.Placed{
			OrderID: id, CustomerID: customer, CustomerName: "Ann O'Hara", Subtotal: 1800, TotalAmount: 1800, Currency: "EUR",
			Items: []order.Item{{Product: id, Name: "Pizza ☃", Quantity: 2, UnitPrice: 900, Total: 1800}}, DeliveryAddress: strings.Repeat("Main St. ", 20),
		}, order.PaymentOpened{OrderID: id, PaymentID: of.PaymentID}),
		change(payment.StreamType, of.PaymentID, payment.Started{Of: of, Amount: 1800}, payment.Captured{Of: of, Amount: 1800}),
		change(inbox.StreamType, entry, inbox.Entered{ID: entry, UserID: customer, Title: "Paid", OrderID: &id}),
	)
	if err != nil {
		return id, err
	}
	return id, w.append(
		ctx,
		change(order.StreamType, id, moved(order.StatusConfirmed), moved(order.StatusPreparing), order.Assigned{OrderID: id, CustomerID: customer, AgentID: agent}, moved(order.StatusReady)),
		change(courier.StreamType, courier.StreamID(agent),
			courier.StatusChanged{AgentID: agent, Chosen: courier.StatusOnline, Status: courier.StatusOnline},
			courier.OrderTaken{AgentID: agent, OrderID: id, CustomerID: customer, Status: courier.StatusBusy}),
		change(courier.TrackStreamType, id,
			courier.Located{OrderID: id, CustomerID: customer, AgentID: agent, Point: courier.Point{Latitude: 1.1, Longitude: 2.2, Speed: &speed}},
			courier.Located{OrderID: id, CustomerID: customer, AgentID: agent, Point: courier.Point{Latitude: 1.2, Longitude: 2.2}}),
		change(inbox.StreamType, entry, inbox.Read{ID: entry, UserID: customer}),
		change(inbox.ReaderStreamType, inbox.ReaderID(customer), inbox.AllRead{UserID: customer}),
	)
}

func (w *world) sellMany(t testing.TB, orders int) {
	t.Helper()
	sold := make(chan error)
	for range orders {
		go func() {
			_, err := w.sell(t.Context())
			sold <- err
		}()
	}
	for range orders {
		if err := <-sold; err != nil {
			t.Fatal(err)
		}
	}
}

// traffic sells orders from several sides, up to 50 a second each, until stop is called or the test ends. It returns how
// many were sold.
func (w *world) traffic(t testing.TB, sides int) (stop func() (orders int)) {
	t.Helper()
	sold := make([]int, sides)
	stops := make([]func(), sides)
	for side := range sides {
		stops[side] = parttest.Run(t, func(ctx context.Context) error {
			pace := time.NewTicker(20 * time.Millisecond)
			defer pace.Stop()
			for {
				select {
				case <-ctx.Done():
					return nil
				case <-pace.C:
				}
				if _, err := w.sell(context.WithoutCancel(ctx)); err != nil {
					return err
				}
				sold[side]++
			}
		})
	}
	return func() (orders int) {
		for side, stop := range stops {
			stop()
			orders += sold[side]
		}
		return orders
	}
}

// rebuild runs a rebuild of what an operator calls name.
func (w *world) rebuild(t testing.TB, name string, opts rebuild.Options) rebuild.Result {
	t.Helper()
	r, err := w.tryRebuild(t.Context(), name, opts)
	if err != nil {
		t.Fatalf("rebuild %s: %v", name, err)
	}
	return r
}

func (w *world) tryRebuild(ctx context.Context, name string, opts rebuild.Options) (rebuild.Result, error) {
	models, err := rebuild.Choose(name)
	if err != nil {
		return rebuild.Result{}, err
	}
	opts.Name = name
	return rebuild.Run(ctx, w.url, models, opts)
}

// wantNothingLeft: no shadow is there, no row of a rebuild, and no lock.
func (w *world) wantNothingLeft(t testing.TB) {
	t.Helper()
	if n := value[int](t, w, `SELECT (SELECT count(*) FROM rebuilds) + (SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'rebuild%')`); n != 0 {
		t.Errorf("%d rows of rebuilds and schemas are left", n)
	}
	parttest.Eventually(t, "the rebuild's connections to end", func() bool {
		return value[int](t, w, `SELECT count(*) FROM pg_stat_activity WHERE application_name = 'orderlog rebuild' AND datname = current_database()`) == 0
	})
}

// contents is the text of all rows of tables, for comparison.
func (w *world) contents(t testing.TB, tables ...string) string {
	t.Helper()
	var all strings.Builder
	for _, table := range tables {
		fmt.Fprintln(&all, table, value[string](t, w, fmt.Sprintf(`SELECT coalesce(string_agg(t::text, E'\n' ORDER BY t::text), '') FROM %s t`, table)))
	}
	return all.String()
}

var viewTables = []string{
	"business_view", "products_view", "orders_view", "payments_view", "couriers_view", "track_points", "offers_view", "inbox_view", "inbox_readers",
}

var feedTables = []string{"notification_log", "notification_channels"}

func wantSame(t testing.TB, r rebuild.Result) {
	t.Helper()
	if r.Different != 0 || len(r.Differences) != 0 {
		t.Errorf("%s at seq %d: %d rows differ: %s", r.Name, r.Seq, r.Different, shown(r.Differences))
	}
}

func shown(differences []rebuild.Difference) string {
	var s strings.Builder
	for i, d := range differences {
		if i == 3 {
			break
		}
		fmt.Fprintf(&s, "\n%s %s\nlive    %s\nrebuilt %s", d.Table, d.Key, d.Live, d.Rebuilt)
	}
	return s.String()
}

// onWarning calls do at each warning of a rebuild.
func onWarning(do func()) *slog.Logger { return slog.New(warned(do)) }

type warned func()

func (warned) Enabled(_ context.Context, level slog.Level) bool { return level >= slog.LevelWarn }

func (w warned) Handle(context.Context, slog.Record) error {
	w()
	return nil
}

func (w warned) WithAttrs([]slog.Attr) slog.Handler { return w }

func (w warned) WithGroup(string) slog.Handler { return w }
