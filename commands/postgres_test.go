package commands_test

import (
	"reflect"
	"sync"
	"testing"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
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
