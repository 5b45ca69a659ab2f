package replay_test

import (
	"context"
	"log/slog"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/reactions"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	ada  = commands.Actor{UserID: "ada", Role: domain.RoleAdmin, Name: "Ada"}
	carl = commands.Actor{UserID: "carl", Role: domain.RoleCustomer, Name: "Carl"}
	raj  = commands.Actor{UserID: "raj", Role: domain.RoleDelivery, Name: "Raj"}
	sam  = commands.Actor{UserID: "sam", Role: domain.RoleDelivery, Name: "Sam"}
)

// world is a database with a running store and a log to audit.
type world struct {
	url   string
	pool  *pgxpool.Pool
	store *eventstore.Store
	log   *replay.Log
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{url: pgtest.Database(t)}
	w.pool = pgtest.Pool(t, w.url)
	w.store = eventstore.Open(w.pool, eventstore.Options{})
	parttest.Run(t, w.store.Run)
	w.log = replay.New(w.pool, w.store)
	return w
}

// run runs the group of the audit and others, until the test ends.
func (w *world) run(t *testing.T, others ...projections.Group) (stop func()) {
	t.Helper()
	log := slog.New(slog.DiscardHandler)
	listener := eventstore.NewListener(w.pool, log, eventstore.EventsChannel)
	stopListener := parttest.Run(t, listener.Run)
	groups := append(others, projections.Group{
		Name: projections.GroupProofs, Models: []projections.Model{replay.Index{}}, Undecoded: true,
	})
	stopRunner := parttest.Run(t, projections.NewRunner(w.pool, listener, log, groups...).Run)
	return func() {
		stopRunner()
		stopListener()
	}
}

// append adds events to a stream, whatever its version, and returns the last seq.
func (w *world) append(t *testing.T, s eventstore.StreamID, meta eventstore.Meta, events ...eventstore.NewEvent) int64 {
	t.Helper()
	r, err := w.store.Append(t.Context(), eventstore.Append{
		Meta: meta, Streams: []eventstore.StreamAppend{{Stream: s, Expected: eventstore.AnyVersion, Events: events}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return r.LastSeq
}

func encoded(t *testing.T, events ...domain.Event) []eventstore.NewEvent {
	t.Helper()
	all := make([]eventstore.NewEvent, len(events))
	for i, e := range events {
		typ, data, err := domain.Encode(e)
		if err != nil {
			t.Fatal(err)
		}
		all[i] = eventstore.NewEvent{Type: typ, Data: data}
	}
	return all
}

func (w *world) waitFor(t *testing.T, seq int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	if err := w.log.WaitFor(ctx, seq); err != nil {
		t.Fatal(err)
	}
}

// exec does what no program of ours may do.
func (w *world) exec(t *testing.T, sql string, args ...any) {
	t.Helper()
	pool := pgtest.Pool(t, pgtest.SuperuserURL(t, w.url))
	if _, err := pool.Exec(t.Context(), sql, args...); err != nil {
		t.Fatal(err)
	}
}

func (w *world) history(t *testing.T, q replay.HistoryQuery) replay.History {
	t.Helper()
	h, err := w.log.History(t.Context(), q)
	if err != nil {
		t.Fatal(err)
	}
	return h
}

// evening is an order that had everything happen to it.
type evening struct {
	*world
	t       *testing.T
	svc     *commands.Service
	views   *projections.Views
	order   uuid.UUID
	payment uuid.UUID
	// after is called when a command and all that it caused are in all read models.
	after func()
}

// newEvening plays the evening with all groups running. Each step is done with before the next begins.
func newEvening(t *testing.T, after func(*evening)) *evening {
	t.Helper()
	w := newWorld(t)
	e := &evening{world: w, t: t, views: projections.NewViews(w.pool), after: func() {}}
	e.svc = commands.New(w.store, commands.NewSequenceNumbers(w.pool), paysandbox.New(), commands.Options{})
	w.run(t,
		projections.ViewsGroup(w.pool),
		projections.Group{Name: projections.GroupInbox, Models: []projections.Model{reactions.Inbox{Log: w.store}}},
		projections.Group{Name: projections.GroupRefunds, Models: []projections.Model{reactions.Refunds{Commands: e.svc}}},
	)
	pizza := e.prepare()
	placed := do(e, carl, e.svc.PlaceOrder, commands.PlaceOrder{
		Items:           []commands.OrderItem{{Product: pizza.String(), Quantity: 2}},
		DeliveryAddress: "Via Roma 1", OfferCode: "WELCOME10", PaymentMethod: "card", Note: "ring twice",
	})
	e.order = placed.Value.ID
	e.after = func() { after(e) }
	e.after()
	e.deliver()
	return e
}

func (e *evening) prepare() (pizza uuid.UUID) {
	do(e, ada, e.svc.SetBusinessStatus, commands.SetBusinessStatus{IsOpen: true})
	added := do(e, ada, e.svc.AddProduct, commands.AddProduct{Name: "Margherita", Price: 950, Currency: "EUR", Available: true})
	do(e, ada, e.svc.CreateOffer, commands.CreateOffer{Terms: offer.Terms{
		Code: "WELCOME10", Description: "A tenth off", DiscountType: "percent", DiscountValue: 10, MaxUses: 100, MaxUsesPerUser: 3,
	}})
	do(e, raj, e.svc.SetCourierStatus, commands.SetCourierStatus{Status: "online"})
	do(e, sam, e.svc.SetCourierStatus, commands.SetCourierStatus{Status: "online"})
	return added.Value.ID
}

func (e *evening) deliver() {
	e.payment = do(e, carl, e.svc.StartPayment, commands.StartPayment{OrderID: e.order, Method: "card"}).Value.ID
	do(e, commands.Actor{UserID: "payment-provider", Role: domain.RoleSystem}, e.svc.ProviderEvent, commands.ProviderEvent{
		EventID: "evt-1", PaymentID: e.payment, Type: commands.ProviderCaptured, Amount: 1710, Currency: "EUR",
	})
	do(e, ada, e.svc.AssignOrder, commands.AssignOrder{OrderID: e.order, AgentID: "raj"})
	do(e, ada, e.svc.AssignOrder, commands.AssignOrder{OrderID: e.order, AgentID: "sam"})
	do(e, ada, e.svc.ChangeOrderStatus, commands.ChangeOrderStatus{OrderID: e.order, Status: "confirmed", Message: "on the fire"})
	for _, status := range []string{"preparing", "ready", "out_for_delivery"} {
		do(e, ada, e.svc.ChangeOrderStatus, commands.ChangeOrderStatus{OrderID: e.order, Status: status})
	}
	do(e, sam, e.svc.ReportLocation, commands.ReportLocation{OrderID: e.order, Point: courier.Point{Latitude: 52.374, Longitude: 4.8897}})
	part := int64(500)
	do(e, ada, e.svc.RefundPayment, commands.RefundPayment{PaymentID: e.payment, Amount: &part, Reason: "one was cold"})
	do(e, ada, e.svc.CancelOrder, commands.CancelOrder{OrderID: e.order, Reason: "nobody at home"})
}

// do asks for a command and waits until everything that it caused is done.
func do[C, S any](
	e *evening, by commands.Actor, command func(context.Context, commands.Request, C) (commands.Outcome[S], error), cmd C,
) commands.Outcome[S] {
	e.t.Helper()
	out, err := command(e.t.Context(), commands.Request{Actor: by, Key: uuid.NewString(), RemoteAddr: "192.0.2.7"}, cmd)
	if err != nil {
		e.t.Fatal(err)
	}
	parttest.Eventually(e.t, "all groups to reach the end of the log", func() bool {
		var done bool
		err := e.pool.QueryRow(e.t.Context(), `
			SELECT min(c.position) = max(h.seq) FROM checkpoints c, log_head h WHERE c.group_name <> 'feed'`).Scan(&done)
		return err == nil && done
	})
	e.after()
	return out
}

func TestEachStatementIsValid(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	conn, err := pool.Acquire(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Release()
	for name, query := range replay.Statements() {
		if _, err := conn.Conn().Prepare(t.Context(), name, query); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// single is a log on a pool of one connection.
func (w *world) single(t *testing.T) *replay.Log {
	t.Helper()
	config, err := pgxpool.ParseConfig(w.url)
	if err != nil {
		t.Fatal(err)
	}
	config.MaxConns = 1
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(pool.Close)
	return replay.New(pool, eventstore.Open(pool, eventstore.Options{}))
}
