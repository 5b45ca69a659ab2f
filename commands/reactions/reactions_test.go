package reactions_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/commands/reactions"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/paysandbox"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

var (
	orderID   = uuid.MustParse("0190a6f0-0000-7000-8000-000000000001")
	paymentID = uuid.MustParse("0190a6f0-0000-7000-8000-000000000002")
	of        = payment.Of{PaymentID: paymentID, OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Method: payment.MethodCard, Currency: "EUR"}
)

// recorded are events as a group hands them to its models.
func recorded(t *testing.T, bodies ...domain.Event) []projections.Event {
	t.Helper()
	events := make([]projections.Event, len(bodies))
	for i, b := range bodies {
		meta, err := json.Marshal(eventstore.Meta{UserID: "boss", CorrelationID: fmt.Sprintf("corr-%d", i)})
		if err != nil {
			t.Fatal(err)
		}
		events[i] = projections.Event{
			Recorded: eventstore.Recorded{Seq: int64(i) + 1, ID: uuid.Must(uuid.NewV7()), Type: b.EventType(), Meta: meta}, Body: b,
		}
	}
	return events
}

// entries are the entries in the log, in its order.
func entries(t *testing.T, log *commandstest.Store) []inbox.Entry {
	t.Helper()
	var all []inbox.Entry
	for _, r := range log.Events() {
		e, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, inbox.Entry{}.Apply(e, r.RecordedAt))
	}
	return all
}

func status(to order.Status, message string) order.StatusChanged {
	return order.StatusChanged{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", To: to, Message: message}
}

func TestWhatMattersToACustomerIsInTheInbox(t *testing.T) {
	t.Parallel()
	log := &commandstest.Store{}
	events := recorded(t,
		order.Placed{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1"},
		payment.Captured{Of: of, Amount: 900},
		order.Assigned{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", AgentID: "a1"},
		status(order.StatusOutForDelivery, "Raj is on the way"),
		status(order.StatusDelivered, " \t"),
		payment.Refunded{Of: of, Amount: 900},
		payment.Failed{Of: of},
		order.Cancelled{OrderID: orderID, OrderNumber: "ORD-000001", CustomerID: "c1", Reason: "no flour"},
		// And what does not:
		order.PaymentOpened{OrderID: orderID}, order.PaymentClosed{OrderID: orderID}, payment.Started{Of: of}, payment.Voided{Of: of},
		payment.RefundDue{Of: of}, payment.RefundReported{Of: of}, payment.RefundSettled{Of: of}, payment.RefundFailed{Of: of},
		courier.Located{OrderID: orderID, CustomerID: "c1"}, courier.OrderTaken{CustomerID: "c1"}, inbox.Entered{UserID: "c1"},
	)
	if err := (reactions.Inbox{Log: log}).Project(t.Context(), nil, events); err != nil {
		t.Fatal(err)
	}
	want := []struct{ typ, title, message string }{
		{"order", "Order received", "We have received your order ORD-000001"},
		{"payment", "Payment received", "We have received your payment for order ORD-000001"},
		{"order", "Courier assigned", "A courier was found for your order ORD-000001"},
		{"order", "Order out for delivery", "Raj is on the way"},
		{"order", "Order delivered", "Your order ORD-000001 is delivered"},
		{"payment", "Payment refunded", "Money for order ORD-000001 is given back to you"},
		{"payment", "Payment failed", "Your payment for order ORD-000001 failed: try again, or pay another way"},
		{"order", "Order cancelled", "Your order ORD-000001 was cancelled: no flour"},
	}
	got := entries(t, log)
	if len(got) != len(want) {
		t.Fatalf("%d entries; want %d: %+v", len(got), len(want), got)
	}
	for i, n := range got {
		w := want[i]
		if n.ID != inbox.EntryID(events[i].ID) || n.UserID != "c1" || *n.OrderID != orderID || n.Type != w.typ || n.Title != w.title || n.Message != w.message {
			t.Errorf("entry %d: %+v; want %+v", i, n, w)
		}
		var meta eventstore.Meta
		if err := json.Unmarshal(log.Events()[i].Meta, &meta); err != nil {
			t.Fatal(err)
		}
		if want := (eventstore.Meta{
			UserID: "orderlog", Role: "system", CausationID: events[i].ID.String(), CorrelationID: fmt.Sprintf("corr-%d", i),
		}); meta != want {
			t.Errorf("entry %d: meta %+v; want %+v", i, meta, want)
		}
	}
}

func TestAnEventThatIsHandledAgainMakesNoSecondEntry(t *testing.T) {
	t.Parallel()
	log := &commandstest.Store{}
	r := reactions.Inbox{Log: log}
	events := recorded(t, status(order.StatusConfirmed, "a"), status(order.StatusPreparing, "b"), status(order.StatusReady, "c"))
	down := errors.New("connection refused")
	log.BeforeAppend = func(n int) error {
		if n == 2 {
			return down
		}
		return nil
	}
	if err := r.Project(t.Context(), nil, events); !errors.Is(err, down) {
		t.Errorf("a segment that was handled in part: %v", err)
	}
	for range 2 {
		if err := r.Project(t.Context(), nil, events); err != nil {
			t.Fatal(err)
		}
	}
	var messages []string
	for _, n := range entries(t, log) {
		messages = append(messages, n.Message)
	}
	if strings.Join(messages, "") != "abc" {
		t.Errorf("entries %q; want each once", messages)
	}
}

func TestEachUsersEntriesAreInOrder(t *testing.T) {
	t.Parallel()
	log := &commandstest.Store{}
	var bodies []domain.Event
	for i := range 300 {
		e := status(order.StatusConfirmed, fmt.Sprintf("%03d", i))
		e.CustomerID = fmt.Sprintf("c%d", i%100)
		bodies = append(bodies, e)
	}
	if err := (reactions.Inbox{Log: log}).Project(t.Context(), nil, recorded(t, bodies...)); err != nil {
		t.Fatal(err)
	}
	byUser := map[string][]string{}
	for _, n := range entries(t, log) {
		byUser[n.UserID] = append(byUser[n.UserID], n.Message)
	}
	if len(byUser) != 100 {
		t.Errorf("%d users have entries", len(byUser))
	}
	for user, messages := range byUser {
		if len(messages) != 3 || !slices.IsSorted(messages) {
			t.Errorf("entries of %s: %q", user, messages)
		}
	}
}

// settler keeps what it is asked. Not safe for concurrent use: refunds are settled one after another.
type settler struct {
	asked []commands.SettleRefund
	reqs  []commands.Request
	fails error
}

func (s *settler) SettleRefund(_ context.Context, req commands.Request, cmd commands.SettleRefund) (commands.Outcome[payment.Payment], error) {
	s.asked, s.reqs = append(s.asked, cmd), append(s.reqs, req)
	return commands.Outcome[payment.Payment]{}, s.fails
}

func TestTheProviderIsToldOfTheRefundsThatItDidNotBegin(t *testing.T) {
	t.Parallel()
	cash := of
	cash.Method = payment.MethodCash
	events := recorded(t,
		payment.Refunded{Of: of, RefundID: "by provider", ByProvider: true},
		payment.Refunded{Of: cash, RefundID: "cash"},
		payment.Captured{Of: of},
		payment.Refunded{Of: of, RefundID: "r-1"},
		payment.Refunded{Of: of, RefundID: "r-2"},
	)
	s := &settler{}
	if err := (reactions.Refunds{Commands: s}).Project(t.Context(), nil, events); err != nil {
		t.Fatal(err)
	}
	want := []commands.SettleRefund{{PaymentID: paymentID, RefundID: "r-1"}, {PaymentID: paymentID, RefundID: "r-2"}}
	if !slices.Equal(s.asked, want) {
		t.Errorf("told of %+v; want %+v", s.asked, want)
	}
	if r := s.reqs[0]; r.Actor.Role != domain.RoleSystem || r.CausationID != events[3].ID.String() || r.CorrelationID != "corr-3" {
		t.Errorf("asked as %+v", r)
	}

	s = &settler{fails: errors.New("bad gateway")}
	if err := (reactions.Refunds{Commands: s}).Project(t.Context(), nil, events); !errors.Is(err, s.fails) || len(s.asked) != 1 {
		t.Errorf("a provider that does not answer: %v, asked %d times; want the group to stand", err, len(s.asked))
	}
}

// moody is the sandbox with moods.
type moody struct {
	*paysandbox.Provider
	mu    sync.Mutex
	fails error
	asked int
}

func (m *moody) Refund(ctx context.Context, r payment.ProviderRefund) (string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.asked++
	if m.fails != nil {
		return "", m.fails
	}
	return m.Provider.Refund(ctx, r)
}

func (m *moody) set(fails error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fails = fails
}

func (m *moody) times() int {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.asked
}

// In their groups, on PostgreSQL: an order that is placed, paid and given back makes the entries, and the provider is
// told, also after it did not answer for a while.
func TestReactionsOnPostgreSQL(t *testing.T) {
	t.Parallel()
	pool := pgtest.Pool(t, pgtest.Database(t))
	store := eventstore.Open(pool, eventstore.Options{})
	parttest.Run(t, store.Run)
	provider := &moody{Provider: paysandbox.New(), fails: errors.New("bad gateway")}
	svc := commands.New(store, commands.NewSequenceNumbers(pool), provider, commands.Options{})
	log := slog.New(slog.DiscardHandler)
	listener := eventstore.NewListener(pool, log, eventstore.EventsChannel)
	parttest.Run(t, listener.Run)
	runner := projections.NewRunner(pool, listener, log,
		projections.Group{Name: projections.GroupInbox, Models: []projections.Model{reactions.Inbox{Log: store}}},
		projections.Group{Name: projections.GroupRefunds, Models: []projections.Model{reactions.Refunds{Commands: svc}}},
	)
	parttest.Run(t, runner.Run)

	as := func(role domain.Role, id string) commands.Request {
		return commands.Request{Actor: commands.Actor{UserID: id, Role: role}}
	}
	ctx, boss, ann := t.Context(), as(domain.RoleAdmin, "boss"), as(domain.RoleCustomer, "c1")
	check := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	_, err := svc.SetBusinessStatus(ctx, boss, commands.SetBusinessStatus{IsOpen: true})
	check(err)
	dosa, err := svc.AddProduct(ctx, boss, commands.AddProduct{Name: "Dosa", Price: 450, Currency: "EUR", Available: true})
	check(err)
	placed, err := svc.PlaceOrder(ctx, ann, commands.PlaceOrder{
		Items:           []commands.OrderItem{{Product: dosa.Value.ID.String(), Quantity: 2}},
		DeliveryAddress: "1 Main St", PaymentMethod: "card",
	})
	check(err)
	p, err := svc.StartPayment(ctx, ann, commands.StartPayment{OrderID: placed.Value.ID, Method: "card"})
	check(err)
	_, err = svc.ProviderEvent(ctx, as(domain.RoleSystem, "payment-provider"), commands.ProviderEvent{
		EventID: "e-1", PaymentID: p.Value.ID, Type: commands.ProviderCaptured, Amount: 900, Currency: "EUR",
	})
	check(err)
	_, err = svc.RefundPayment(ctx, boss, commands.RefundPayment{PaymentID: p.Value.ID, Reason: "cold"})
	check(err)

	state := func() payment.Payment {
		events, err := store.ReadStream(ctx, eventstore.StreamID{Type: payment.StreamType, ID: p.Value.ID}, 0)
		check(err)
		var s payment.Payment
		for _, r := range events {
			e, err := domain.Decode(r.Type, r.Data)
			check(err)
			s = s.Apply(e, r.RecordedAt)
		}
		return s
	}
	parttest.Eventually(t, "the provider to be told twice in vain", func() bool { return provider.times() >= 2 })
	if r := state().Refunds[0]; r.Status != payment.RefundRequested {
		t.Errorf("while the provider does not answer the refund is %+v", r)
	}
	provider.set(nil)
	parttest.Eventually(t, "the refund to be done", func() bool { return state().Refunds[0].Status == payment.RefundDone })

	titles := func() string {
		events, err := store.ReadLog(ctx, 0, 1000)
		check(err)
		var all []string
		for _, r := range events {
			if e, err := domain.Decode(r.Type, r.Data); err == nil {
				if n, ok := e.(inbox.Entered); ok && n.UserID == "c1" {
					all = append(all, n.Title)
				}
			}
		}
		return strings.Join(all, ", ")
	}
	want := "Order received, Payment received, Payment refunded"
	parttest.Eventually(t, "three entries", func() bool { return titles() == want })
}
