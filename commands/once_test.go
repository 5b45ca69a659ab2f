package commands_test

import (
	"reflect"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
)

func TestARepeatedKeyGetsTheFirstAnswer(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	first, err := s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted())
	if err != nil {
		t.Fatal(err)
	}
	s.setPrice(s.dosa, 999)
	s.setOpen(false)
	must(s.CancelOrder(t.Context(), by(admin), commands.CancelOrder{OrderID: first.Value.ID, Reason: "late"}))(t)
	events := len(s.store.Events())

	again, err := s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted())
	if err != nil {
		t.Fatal(err)
	}
	if first.Replayed || !again.Replayed || !reflect.DeepEqual(again.Value, first.Value) || again.Seq != first.Seq {
		t.Errorf("first %+v\nagain %+v", first, again)
	}
	if len(s.store.Events()) != events || s.numbers.Taken() != 1 {
		t.Error("the repeated request left something behind")
	}
}

// Each command that has events answers a repeated key with the times of the first.
func TestEveryCommandMayBeRepeated(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o, price := s.placed(), int64(1)
	repeat(t, s, "business", func(r commands.Request) (any, error) {
		return s.SetBusinessStatus(t.Context(), r, commands.SetBusinessStatus{IsOpen: true})
	})
	repeat(t, s, "add", func(r commands.Request) (any, error) {
		return s.AddProduct(t.Context(), r, commands.AddProduct{Name: "Chai", Currency: "EUR"})
	})
	repeat(t, s, "update", func(r commands.Request) (any, error) {
		return s.UpdateProduct(t.Context(), r, commands.UpdateProduct{ProductID: s.dosa.ID, Price: &price})
	})
	repeat(t, s, "archive", func(r commands.Request) (any, error) {
		return s.ArchiveProduct(t.Context(), r, commands.ArchiveProduct{ProductID: s.dosa.ID})
	})
	repeat(t, s, "confirm", func(r commands.Request) (any, error) {
		return s.ChangeOrderStatus(t.Context(), r, commands.ChangeOrderStatus{OrderID: o.ID, Status: "confirmed"})
	})
	s.online(raj)
	repeat(t, s, "assign", func(r commands.Request) (any, error) {
		return s.AssignOrder(t.Context(), r, commands.AssignOrder{OrderID: o.ID, AgentID: raj.UserID})
	})
	repeat(t, s, "start", func(r commands.Request) (any, error) {
		return s.StartPayment(t.Context(), r, commands.StartPayment{OrderID: o.ID, Method: "cod"})
	})
	repeat(t, s, "collect", func(r commands.Request) (any, error) {
		return s.CollectPayment(t.Context(), r, commands.CollectPayment{PaymentID: s.paymentOf(o.ID)})
	})
	repeat(t, s, "refund", func(r commands.Request) (any, error) {
		return s.RefundPayment(t.Context(), r, commands.RefundPayment{PaymentID: s.paymentOf(o.ID), Amount: new(int64(1)), Reason: "cold"})
	})
	repeat(t, s, "offer", func(r commands.Request) (any, error) {
		return s.CreateOffer(t.Context(), r, commands.CreateOffer{Terms: half()})
	})
	repeat(t, s, "change offer", func(r commands.Request) (any, error) {
		return s.UpdateOffer(t.Context(), r, commands.UpdateOffer{Code: "half", Change: offer.Change{MaxUses: &price}})
	})
	repeat(t, s, "withdraw", func(r commands.Request) (any, error) {
		return s.WithdrawOffer(t.Context(), r, commands.WithdrawOffer{Code: "half"})
	})
	repeat(t, s, "notify", func(r commands.Request) (any, error) {
		return s.Notify(t.Context(), r, commands.Notify{UserID: admin.UserID, Title: "Hello", Message: "We moved", Type: "news"})
	})
	repeat(t, s, "read", func(r commands.Request) (any, error) {
		return s.ReadNotification(t.Context(), r, commands.ReadNotification{ID: s.store.Events()[len(s.store.Events())-1].Stream.ID})
	})
	repeat(t, s, "read all", func(r commands.Request) (any, error) { return s.ReadAllNotifications(t.Context(), r) })
	repeat(t, s, "cancel", func(r commands.Request) (any, error) {
		return s.CancelOrder(t.Context(), r, commands.CancelOrder{OrderID: o.ID, Reason: "late"})
	})
}

// paymentOf is the live payment of an order.
func (s *shop) paymentOf(orderID uuid.UUID) uuid.UUID {
	return uuid.MustParse(s.order(orderID).PaymentID)
}

func repeat(t *testing.T, s *shop, key string, do func(commands.Request) (any, error)) {
	t.Helper()
	first, err := do(keyed(admin, key))
	if err != nil {
		t.Fatal(err)
	}
	events := len(s.store.Events())
	again, err := do(keyed(admin, key))
	if err != nil {
		t.Fatal(err)
	}
	a, b := reflect.ValueOf(first), reflect.ValueOf(again)
	same := reflect.DeepEqual(a.FieldByName("Value").Interface(), b.FieldByName("Value").Interface()) &&
		a.FieldByName("Seq").Int() == b.FieldByName("Seq").Int()
	if !same || a.FieldByName("Replayed").Bool() || !b.FieldByName("Replayed").Bool() {
		t.Errorf("%s: first %+v\nagain %+v", key, first, again)
	}
	if len(s.store.Events()) != events {
		t.Errorf("%s: the repeated request added an event", key)
	}
}

func TestAKeyUsedForSomethingElseIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	must(s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted()))(t)
	other := s.wanted()
	other.Items[0].Quantity = 3
	_, err := s.PlaceOrder(t.Context(), keyed(customer, "k"), other)
	wantCode(t, err, domain.CodeIdempotencyMismatch)

	// A fingerprint of the caller's own counts instead of the command.
	req := commands.Request{Actor: customer, Key: "f", Fingerprint: []byte("one")}
	must(s.PlaceOrder(t.Context(), req, s.wanted()))(t)
	req.Fingerprint = []byte("two")
	_, err = s.PlaceOrder(t.Context(), req, s.wanted())
	wantCode(t, err, domain.CodeIdempotencyMismatch)

	// A key is not shared by two commands on one thing.
	must(s.ArchiveProduct(t.Context(), keyed(admin, "k"), commands.ArchiveProduct{ProductID: s.dosa.ID}))(t)
	_, err = s.UpdateProduct(t.Context(), keyed(admin, "k"), commands.UpdateProduct{ProductID: s.dosa.ID})
	wantCode(t, err, domain.CodeIdempotencyMismatch)
}

func TestKeysOfDifferentUsersAreApart(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	mine := must(s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted()))(t)
	theirs := must(s.PlaceOrder(t.Context(), keyed(stranger, "k"), s.wanted()))(t)
	if mine.ID == theirs.ID || theirs.CustomerID != "c2" {
		t.Errorf("one user's key answered another: %+v", theirs)
	}
}

func TestARefusalIsNotKept(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	s.setOpen(false)
	_, err := s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted())
	wantCode(t, err, domain.CodeBusinessClosed)
	s.setOpen(true)
	out, err := s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted())
	if err != nil || out.Replayed {
		t.Errorf("asked again: %+v, %v; want a new order", out, err)
	}
}

// The other request with the key commits between this one's look at the key and its
// append: the store notices.
func TestOfTwoAtOnceWithAKeyTheStoreStopsTheSecond(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	var first commands.Outcome[order.Order]
	s.onNextAppend(func() {
		var err error
		if first, err = s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted()); err != nil {
			t.Error(err)
		}
	})
	second, err := s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted())
	if err != nil {
		t.Fatal(err)
	}
	if !second.Replayed || first.Replayed || !reflect.DeepEqual(first.Value, second.Value) || first.Seq != second.Seq {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
}

// The other request with the key commits before this one loads, so that what is asked
// looks impossible: it is done already.
func TestOfTwoAtOnceWithAKeyNoneIsRefused(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	o := s.placed()
	confirm := func() (commands.Outcome[order.Order], error) {
		return s.ChangeOrderStatus(t.Context(), keyed(admin, "k"), commands.ChangeOrderStatus{OrderID: o.ID, Status: "confirmed"})
	}
	var first commands.Outcome[order.Order]
	nested := false
	s.store.AfterLookup = func() {
		if !nested {
			nested = true
			var err error
			if first, err = confirm(); err != nil {
				t.Error(err)
			}
		}
	}
	second, err := confirm()
	if err != nil {
		t.Fatal(err)
	}
	if !second.Replayed || first.Replayed || !reflect.DeepEqual(first.Value, second.Value) || first.Seq != second.Seq {
		t.Errorf("first %+v\nsecond %+v", first, second)
	}
}

func TestManyAtOnceWithAKeyPlaceOneOrder(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	outs := make([]commands.Outcome[order.Order], 16)
	var wg sync.WaitGroup
	for i := range outs {
		wg.Go(func() {
			var err error
			if outs[i], err = s.PlaceOrder(t.Context(), keyed(customer, "k"), s.wanted()); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, out := range outs {
		if !out.Replayed {
			fresh++
		}
		if !reflect.DeepEqual(out.Value, outs[0].Value) || out.Seq != outs[0].Seq {
			t.Errorf("answers differ: %+v and %+v", out, outs[0])
		}
	}
	if fresh != 1 {
		t.Errorf("%d orders were placed; want 1", fresh)
	}
}
