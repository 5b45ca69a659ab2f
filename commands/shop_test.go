package commands_test

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/commands/commandstest"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

var (
	admin    = commands.Actor{UserID: "boss", Role: domain.RoleAdmin, Name: "Boss"}
	customer = commands.Actor{UserID: "c1", Role: domain.RoleCustomer, Name: "Ann"}
	stranger = commands.Actor{UserID: "c2", Role: domain.RoleCustomer, Name: "Eve"}
	raj      = commands.Actor{UserID: "a1", Role: domain.RoleDelivery, Name: "Raj"}
	sam      = commands.Actor{UserID: "a2", Role: domain.RoleDelivery, Name: "Sam"}
)

// shop is an open business with one product, on a log in memory.
type shop struct {
	*commands.Service
	t       *testing.T
	store   *commandstest.Store
	numbers *commandstest.Numbers
	bank    *bank
	dosa    menu.Product
}

func newShop(t *testing.T) *shop {
	t.Helper()
	s := &shop{t: t, store: &commandstest.Store{}, numbers: &commandstest.Numbers{}, bank: &bank{}}
	s.Service = commands.New(s.store, s.numbers, s.bank, commands.Options{Backoff: time.Nanosecond})
	s.setOpen(true)
	s.dosa = s.addProduct("Dosa", 450)
	return s
}

func by(a commands.Actor) commands.Request { return commands.Request{Actor: a} }

func keyed(a commands.Actor, key string) commands.Request {
	return commands.Request{Actor: a, Key: key}
}

func (s *shop) setOpen(open bool) business.Business {
	s.t.Helper()
	return must(s.SetBusinessStatus(s.t.Context(), by(admin), commands.SetBusinessStatus{IsOpen: open}))(s.t)
}

func (s *shop) addProduct(name string, price int64) menu.Product {
	s.t.Helper()
	cmd := commands.AddProduct{Name: name, Description: "crisp", Price: price, Currency: "EUR", Available: true}
	return must(s.AddProduct(s.t.Context(), by(admin), cmd))(s.t)
}

func (s *shop) setPrice(p menu.Product, price int64) menu.Product {
	s.t.Helper()
	return must(s.UpdateProduct(s.t.Context(), by(admin), commands.UpdateProduct{ProductID: p.ID, Price: &price}))(s.t)
}

// wanted is an order of two dosas.
func (s *shop) wanted() commands.PlaceOrder {
	return commands.PlaceOrder{
		Items:           []commands.OrderItem{{Product: s.dosa.ID.String(), Quantity: 2}},
		DeliveryAddress: "1 Main St", PaymentMethod: "cod",
	}
}

func (s *shop) placed() order.Order {
	s.t.Helper()
	return must(s.PlaceOrder(s.t.Context(), by(customer), s.wanted()))(s.t)
}

// placedAt places an order and brings it to a status, assigned to courier.
func (s *shop) placedAt(status order.Status) order.Order {
	s.t.Helper()
	o := s.placed()
	for o.Status != status {
		to := o.Status.Next()[0]
		e := order.StatusChanged{
			OrderID: o.ID, OrderNumber: o.OrderNumber, CustomerID: o.CustomerID,
			AgentID: raj.UserID, From: o.Status, To: to, Message: "m",
		}
		s.append(eventstore.StreamID{Type: order.StreamType, ID: o.ID}, e)
		o = o.Apply(e, commandstest.Start)
	}
	return o
}

// append puts an event into the log without a command.
func (s *shop) append(stream eventstore.StreamID, e domain.Event) {
	s.t.Helper()
	typ, data, err := domain.Encode(e)
	if err != nil {
		s.t.Fatal(err)
	}
	events := []eventstore.NewEvent{{ID: uuid.Must(uuid.NewV7()), Type: typ, Data: data}}
	a := eventstore.Append{Streams: []eventstore.StreamAppend{{Stream: stream, Expected: eventstore.AnyVersion, Events: events}}}
	if _, err := s.store.Append(s.t.Context(), a); err != nil {
		s.t.Fatal(err)
	}
}

// onNextAppend does something once, between the load and the append of a command.
func (s *shop) onNextAppend(do func()) {
	done := false
	s.store.BeforeAppend = func(int) error {
		if !done {
			done = true
			do()
		}
		return nil
	}
}

// types lists the types of the events after a seq.
func (s *shop) types(after int) string {
	var types []string
	for _, r := range s.store.Events()[after:] {
		types = append(types, r.Type)
	}
	return strings.Join(types, " ")
}

// stateOf is the fold of a stream.
func stateOf[S interface {
	Apply(domain.Event, time.Time) S
}](s *shop, initial S, typ string, id uuid.UUID) S {
	s.t.Helper()
	for _, r := range s.store.Events() {
		if r.Stream == (eventstore.StreamID{Type: typ, ID: id}) {
			e, err := domain.Decode(r.Type, r.Data)
			if err != nil {
				s.t.Fatal(err)
			}
			initial = initial.Apply(e, r.RecordedAt)
		}
	}
	return initial
}

func (s *shop) courier(id string) courier.Courier {
	return stateOf(s, courier.Initial(id), courier.StreamType, courier.StreamID(id))
}

func (s *shop) order(id uuid.UUID) order.Order {
	return stateOf(s, order.Order{}, order.StreamType, id)
}

func (s *shop) payment(id uuid.UUID) payment.Payment {
	return stateOf(s, payment.Payment{}, payment.StreamType, id)
}

// online has a courier take orders.
func (s *shop) online(a commands.Actor) {
	s.t.Helper()
	must(s.SetCourierStatus(s.t.Context(), by(a), commands.SetCourierStatus{Status: "online"}))(s.t)
}

func (s *shop) assign(o order.Order, a commands.Actor) order.Order {
	s.t.Helper()
	return must(s.AssignOrder(s.t.Context(), by(admin), commands.AssignOrder{OrderID: o.ID, AgentID: a.UserID}))(s.t)
}

func (s *shop) cancel(o order.Order) order.Order {
	s.t.Helper()
	return must(s.CancelOrder(s.t.Context(), by(admin), commands.CancelOrder{OrderID: o.ID, Reason: "late"}))(s.t)
}

func must[T any](out commands.Outcome[T], err error) func(*testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return out.Value
	}
}

// wantCode requires a refusal, or none for "".
func wantCode(t *testing.T, err error, code domain.Code) {
	t.Helper()
	if got := domain.CodeOf(err); got != code {
		t.Errorf("error %v; want code %q", err, code)
	}
}

// wantDetail requires a refusal's detail.
func wantDetail(t *testing.T, err error, key string, want any) {
	t.Helper()
	var refusal *domain.Error
	if !errors.As(err, &refusal) || !reflect.DeepEqual(refusal.Details[key], want) {
		t.Errorf("error %v, details %+v; want %s %v", err, refusal, key, want)
	}
}

// wantShown requires that an answer is what a read model would show: the fold of the
// stream with the times of the log. Its seq is that of the last event that was committed
// together with the stream's last.
func wantShown[S interface {
	Apply(domain.Event, time.Time) S
}](s *shop, initial S, typ string, id uuid.UUID, got commands.Outcome[S]) {
	s.t.Helper()
	want, seq := initial, int64(0)
	var at time.Time
	for _, r := range s.store.Events() {
		if r.RecordedAt.Equal(at) && seq > 0 {
			seq = r.Seq
		}
		if r.Stream == (eventstore.StreamID{Type: typ, ID: id}) {
			e, err := domain.Decode(r.Type, r.Data)
			if err != nil {
				s.t.Fatal(err)
			}
			want, seq, at = want.Apply(e, r.RecordedAt), r.Seq, r.RecordedAt
		}
	}
	if !reflect.DeepEqual(got.Value, want) {
		s.t.Errorf("answered %+v\nthe log says %+v", got.Value, want)
	}
	if got.Seq != seq {
		s.t.Errorf("answered seq %d; the last event is %d", got.Seq, seq)
	}
}
