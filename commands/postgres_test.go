package commands_test

import (
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

// onPostgreSQL returns a Service on a real log, which stops before the test ends.
func onPostgreSQL(t *testing.T) (*commands.Service, *eventstore.Store) {
	t.Helper()
	pool := pgtest.Pool(t, pgtest.Database(t))
	store := eventstore.Open(pool, eventstore.Options{})
	parttest.Run(t, store.Run)
	return commands.New(store, commands.NewSequenceNumbers(pool), &bank{}, commands.Options{}), store
}

// What the log in memory stands for in the other tests holds on PostgreSQL.
func TestOnPostgreSQL(t *testing.T) {
	t.Parallel()
	svc, store := onPostgreSQL(t)
	must(svc.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{IsOpen: true}))(t)
	dosa := must(svc.AddProduct(t.Context(), by(admin), commands.AddProduct{Name: "Dosa 🥞 <&>", Price: 450, Currency: "EUR", Available: true}))(t)
	wanted := commands.PlaceOrder{
		Items:           []commands.OrderItem{{Product: dosa.ID.String(), Quantity: 2}, {Product: dosa.ID.String(), Quantity: 1}},
		DeliveryAddress: "1 Main St", PaymentMethod: "cod",
	}

	// Many at once with one key place one order, and all are told of it alike.
	outs := make([]commands.Outcome[order.Order], 8)
	var wg sync.WaitGroup
	for i := range outs {
		wg.Go(func() {
			var err error
			if outs[i], err = svc.PlaceOrder(t.Context(), keyed(customer, "k"), wanted); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	first := outs[0]
	for _, out := range outs {
		if !reflect.DeepEqual(out.Value, first.Value) || out.Seq != 3 {
			t.Errorf("answers differ:\n%+v\n%+v", out, first)
		}
	}
	_, err := svc.PlaceOrder(t.Context(), keyed(customer, "k"), commands.PlaceOrder{})
	wantCode(t, err, domain.CodeIdempotencyMismatch)

	// The answer is the fold of the log, its times included.
	stream := eventstore.StreamID{Type: order.StreamType, ID: first.Value.ID}
	out, err := svc.ChangeOrderStatus(t.Context(), by(admin), commands.ChangeOrderStatus{OrderID: first.Value.ID, Status: "confirmed"})
	if err != nil {
		t.Fatal(err)
	}
	events, err := store.ReadStream(t.Context(), stream, 0)
	if err != nil {
		t.Fatal(err)
	}
	var shown order.Order
	for _, r := range events {
		e, err := domain.Decode(r.Type, r.Data)
		if err != nil {
			t.Fatal(err)
		}
		if shown = shown.Apply(e, r.RecordedAt); r.Version == 1 && !reflect.DeepEqual(first.Value, shown) {
			t.Errorf("placing answered %+v\nthe log says %+v", first.Value, shown)
		}
	}
	if !reflect.DeepEqual(out.Value, shown) || out.Seq != events[len(events)-1].Seq {
		t.Errorf("confirming answered %+v\nthe log says %+v", out, shown)
	}

	// A command that needs no event keeps its key all the same.
	must(svc.ArchiveProduct(t.Context(), by(admin), commands.ArchiveProduct{ProductID: dosa.ID}))(t)
	for _, replayed := range []bool{false, true} {
		out, err := svc.ArchiveProduct(t.Context(), keyed(admin, "gone"), commands.ArchiveProduct{ProductID: dosa.ID})
		if err != nil || !out.Value.Archived || out.Value.Version != 2 || out.Replayed != replayed {
			t.Errorf("archived again: %+v, %v", out, err)
		}
	}
}

// What is decided on several streams, on PostgreSQL: the whole life of an order with an offer, a courier and a payment.
func TestAnOrdersLifeOnPostgreSQL(t *testing.T) {
	t.Parallel()
	svc, store := onPostgreSQL(t)
	item := openShop(t, svc)
	must(svc.CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: half()}))(t)
	must(svc.SetCourierStatus(t.Context(), by(raj), commands.SetCourierStatus{Status: "online"}))(t)
	placed := must(svc.PlaceOrder(t.Context(), by(customer), commands.PlaceOrder{
		Items: []commands.OrderItem{item}, DeliveryAddress: "1 Main St", PaymentMethod: "card", OfferCode: "half",
	}))(t)
	p := must(svc.StartPayment(t.Context(), by(customer), commands.StartPayment{OrderID: placed.ID, Method: "card"}))(t)
	told := commands.ProviderEvent{EventID: "e-1", PaymentID: p.ID, Type: commands.ProviderCaptured, Amount: placed.TotalAmount, Currency: "EUR"}
	first := must(svc.ProviderEvent(t.Context(), by(provider), told))(t)
	told.Amount = 1
	if again, err := svc.ProviderEvent(t.Context(), by(provider), told); err != nil || !again.Replayed || !reflect.DeepEqual(again.Value, first) {
		t.Errorf("told again: %+v, %v; want %+v", again, err, first)
	}
	must(svc.AssignOrder(t.Context(), by(admin), commands.AssignOrder{OrderID: placed.ID, AgentID: raj.UserID}))(t)

	// Of a burst of reports one is kept, by the database's clock; a key is kept also without an event.
	var kept atomic.Int64
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			req := keyed(raj, fmt.Sprintf("at-%d", i))
			out, err := svc.ReportLocation(t.Context(), req, commands.ReportLocation{OrderID: placed.ID, Point: courier.Point{Latitude: 1, Longitude: 2}})
			if err != nil {
				t.Error(err)
			}
			if out.Value.Kept {
				kept.Add(1)
			}
		})
	}
	wg.Wait()
	track, err := store.ReadStream(t.Context(), eventstore.StreamID{Type: courier.TrackStreamType, ID: placed.ID}, 0)
	if err != nil || len(track) == 0 || kept.Load() != int64(len(track)) {
		t.Errorf("%d points were said to be kept, %d are, %v", kept.Load(), len(track), err)
	}
	for i := 1; i < len(track); i++ { // as many as the burst took seconds
		if gap := track[i].RecordedAt.Sub(track[i-1].RecordedAt); gap < courier.MinInterval {
			t.Errorf("two points were kept within %s", gap)
		}
	}

	cancelled := must(svc.CancelOrder(t.Context(), by(admin), commands.CancelOrder{OrderID: placed.ID, Reason: "late"}))(t)
	if cancelled.Status != order.StatusCancelled {
		t.Errorf("cancelled %+v", cancelled)
	}
	refunded := must(svc.RefundPayment(t.Context(), by(admin), commands.RefundPayment{PaymentID: p.ID, Reason: "late"}))(t)
	if refunded.Refunded != placed.TotalAmount || refunded.RefundDue != 0 {
		t.Errorf("refunded %+v", refunded)
	}
	system := commands.Actor{UserID: "orderlog", Role: domain.RoleSystem}
	settled := must(svc.SettleRefund(t.Context(), by(system), commands.SettleRefund{PaymentID: p.ID, RefundID: refunded.Refunds[0].ID}))(t)
	if settled.Refunds[0].Status != payment.RefundDone {
		t.Errorf("settled %+v", settled)
	}
	must(svc.ReadAllNotifications(t.Context(), by(customer)))(t)
	if check, _, err := svc.CheckOffer(t.Context(), customer, commands.CheckOffer{Code: "half", Items: []commands.OrderItem{item}}); err != nil || check.Discount != placed.Discount {
		t.Errorf("the use was not given back: %+v, %v", check, err)
	}
}

// A hundred customers of two nodes want an offer's last ten uses at once. All ten are had, and who has none is told
// that they are used up, not to try again.
func TestTheLastUsesOfAHotOfferOverTwoNodes(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*commands.Service{onDatabase(t, url), onDatabase(t, url)}
	item := openShop(t, nodes[0])
	terms := half()
	terms.MaxUses = 10
	must(nodes[0].CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: terms}))(t)

	codes := make([]domain.Code, 100)
	var wg sync.WaitGroup
	for i := range codes {
		wg.Go(func() {
			a := commands.Actor{UserID: fmt.Sprintf("c%d", i), Role: domain.RoleCustomer}
			_, err := nodes[i%2].PlaceOrder(t.Context(), by(a), commands.PlaceOrder{
				Items: []commands.OrderItem{item}, DeliveryAddress: "1 Main St", PaymentMethod: "cod", OfferCode: "HALF",
			})
			codes[i] = domain.CodeOf(err)
		})
	}
	wg.Wait()
	count := map[domain.Code]int{}
	for _, code := range codes {
		count[code]++
	}
	if count[""] != 10 || count[domain.CodeOfferNotApplicable] != 90 {
		t.Errorf("answers %v; want 10 orders and 90 refusals because the offer is used up", count)
	}
}

// A hundred uses for a hundred customers: nobody is turned away because others came at the same time.
func TestNobodyIsTurnedAwayWhileUsesAreLeft(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	nodes := []*commands.Service{onDatabase(t, url), onDatabase(t, url)}
	item := openShop(t, nodes[0])
	terms := half()
	terms.MaxUses = 100
	must(nodes[0].CreateOffer(t.Context(), by(admin), commands.CreateOffer{Terms: terms}))(t)
	var wg sync.WaitGroup
	for i := range 100 {
		wg.Go(func() {
			a := commands.Actor{UserID: fmt.Sprintf("c%d", i), Role: domain.RoleCustomer}
			_, err := nodes[i%2].PlaceOrder(t.Context(), by(a), commands.PlaceOrder{
				Items: []commands.OrderItem{item}, DeliveryAddress: "1 Main St", PaymentMethod: "cod", OfferCode: "HALF",
			})
			if err != nil {
				t.Errorf("customer %d: %v", i, err)
			}
		})
	}
	wg.Wait()
}

// onDatabase returns a Service on a store of its own.
func onDatabase(t *testing.T, url string) *commands.Service {
	t.Helper()
	pool := pgtest.Pool(t, url)
	store := eventstore.Open(pool, eventstore.Options{})
	parttest.Run(t, store.Run)
	return commands.New(store, commands.NewSequenceNumbers(pool), &bank{}, commands.Options{})
}

// openShop opens the business and returns two pieces of its only product.
func openShop(t *testing.T, svc *commands.Service) commands.OrderItem {
	t.Helper()
	must(svc.SetBusinessStatus(t.Context(), by(admin), commands.SetBusinessStatus{IsOpen: true}))(t)
	dosa := must(svc.AddProduct(t.Context(), by(admin), commands.AddProduct{Name: "Dosa", Price: 450, Currency: "EUR", Available: true}))(t)
	return commands.OrderItem{Product: dosa.ID.String(), Quantity: 2}
}
