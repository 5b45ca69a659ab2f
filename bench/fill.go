package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// A history is what a busy business leaves in its log: orders that are placed, paid, carried and delivered, many at a
// time, with the places where their couriers were and the messages to their customers. It is written with COPY, past
// the store, since only its reading is measured; the benchmarks that read it find out whether it is whole.
const (
	ordersAtOnce   = 200 // under way at the same time
	couriersAtWork = 100
	placesAnOrder  = 8
)

// filler writes a history.
type filler struct {
	shift    string // tells the couriers of one filling from those of another, whose streams are not known
	couriers map[string]*carrying
	versions map[eventstore.StreamID]int64
	seq      int64
	orders   int
	at       time.Time
	underWay []*journey
	turn     int
	out      []row // of the step that is being written
}

// carrying is a courier at work.
type carrying struct{ busy bool }

// row is a row of the events.
type row struct {
	stream eventstore.StreamID
	event  domain.Event
	by     eventstore.Meta
}

// journey is an order on its way.
type journey struct {
	id, payment uuid.UUID
	number      string
	customer    string
	agent       string
	step        int
}

// fill appends events until the log has n of them, give or take the rest of a step, and returns the orders it made.
func fill(ctx context.Context, pool *pgxpool.Pool, n int64) (orders []uuid.UUID, err error) {
	var head int64
	var at time.Time
	err = pool.QueryRow(ctx, `SELECT seq, greatest(recorded_at, now() - interval '1 day') FROM log_head`).Scan(&head, &at)
	if err != nil || head >= n { // it is filled already
		return nil, err
	}
	f := &filler{
		shift: fmt.Sprint(head), couriers: map[string]*carrying{}, versions: map[eventstore.StreamID]int64{}, seq: head,
		at: at,
	}
	if _, err := pool.Exec(ctx, `SELECT add_partitions('events', 1000000, $1)`, n+2_000_000); err != nil {
		return nil, err
	}
	rows := &source{f: f, upTo: n, orders: &orders}
	_, err = pool.CopyFrom(ctx, pgx.Identifier{"events"},
		[]string{"seq", "id", "stream_type", "stream_id", "version", "type", "data", "meta", "recorded_at"}, rows)
	if err != nil {
		return nil, fmt.Errorf("fill the log: %w", err)
	}
	for _, sql := range []string{
		`INSERT INTO streams SELECT stream_type, stream_id, max(version), min(seq), max(seq) FROM events WHERE seq > $1 GROUP BY 1, 2`,
		`UPDATE log_head SET seq = (SELECT max(seq) FROM events WHERE seq > $1), recorded_at = (SELECT max(recorded_at) FROM events WHERE seq > $1)`,
	} {
		if _, err := pool.Exec(ctx, sql, head); err != nil {
			return nil, fmt.Errorf("fill the log: %w", err)
		}
	}
	_, err = pool.Exec(ctx, `ANALYZE events; ANALYZE streams`)
	return orders, err
}

// source is a filler as CopyFrom reads it.
type source struct {
	f      *filler
	upTo   int64
	orders *[]uuid.UUID
	values []any
	err    error
}

func (s *source) Next() bool {
	f := s.f
	if len(f.out) == 0 && f.seq >= s.upTo {
		return false
	}
	for len(f.out) == 0 { // an order that waits for a courier leaves nothing
		if j := f.next(); j != nil {
			*s.orders = append(*s.orders, j.id)
		}
	}
	r := f.out[0]
	f.out = f.out[1:]
	s.values, s.err = f.values(r)
	return s.err == nil
}

func (s *source) Values() ([]any, error) { return s.values, nil }
func (s *source) Err() error             { return s.err }

func (f *filler) values(r row) ([]any, error) {
	typ, data, err := domain.Encode(r.event)
	if err != nil {
		return nil, err
	}
	meta, err := json.Marshal(r.by)
	if err != nil {
		return nil, err
	}
	id, err := uuid.NewV7()
	if err != nil {
		return nil, err
	}
	f.seq++
	f.versions[r.stream]++
	f.at = f.at.Add(time.Millisecond)
	return []any{
		f.seq, [16]byte(id), r.stream.Type, [16]byte(r.stream.ID), f.versions[r.stream], typ,
		json.RawMessage(data), json.RawMessage(meta), f.at,
	}, nil
}

// next takes an order a step further, in turn, and returns it when it is a new one.
func (f *filler) next() (placed *journey) {
	if len(f.underWay) < ordersAtOnce {
		f.orders++
		j := &journey{
			id: uuid.Must(uuid.NewV7()), payment: uuid.Must(uuid.NewV7()), number: fmt.Sprintf("ORD-%06d", f.orders),
			customer: fmt.Sprintf("customer-%d", f.orders%5000),
		}
		f.underWay = append(f.underWay, j)
		f.step(j)
		return j
	}
	f.turn = (f.turn + 1) % len(f.underWay)
	j := f.underWay[f.turn]
	f.step(j)
	if j.step > steps {
		f.underWay[f.turn] = f.underWay[len(f.underWay)-1]
		f.underWay = f.underWay[:len(f.underWay)-1]
	}
	return nil
}

const steps = 7 + placesAnOrder

// step writes what the next thing that happens to an order leaves in the log.
func (f *filler) step(j *journey) {
	request := eventstore.Meta{UserID: "boss", Role: "admin", CorrelationID: uuid.NewString(), RemoteAddr: "192.0.2.7"}
	orderStream := eventstore.StreamID{Type: order.StreamType, ID: j.id}
	add := func(stream eventstore.StreamID, by eventstore.Meta, events ...domain.Event) {
		for _, e := range events {
			f.out = append(f.out, row{stream, e, by})
		}
	}
	tell := func(title, message string) {
		id := uuid.New()
		by := eventstore.Meta{UserID: "orderlog", Role: "system", CorrelationID: request.CorrelationID, CausationID: uuid.NewString()}
		add(eventstore.StreamID{Type: inbox.StreamType, ID: id}, by,
			inbox.Entered{ID: id, UserID: j.customer, Title: title, Message: message + " " + j.number, Type: "order", OrderID: &j.id})
	}
	moved := func(from, to order.Status) {
		add(orderStream, request, order.StatusChanged{
			OrderID: j.id, OrderNumber: j.number, CustomerID: j.customer, AgentID: j.agent, From: from, To: to, Message: "Your order is " + string(to),
		})
		tell("Order "+string(to), "Your order is "+string(to)+":")
	}
	of := payment.Of{PaymentID: j.payment, OrderID: j.id, OrderNumber: j.number, CustomerID: j.customer, Method: payment.MethodCard, Currency: "EUR"}
	paymentStream := eventstore.StreamID{Type: payment.StreamType, ID: j.payment}
	switch j.step {
	case 0:
		request.UserID, request.Role, request.IdempotencyKey = j.customer, "customer", uuid.NewString()
		add(orderStream, request, f.placed(j))
		tell("Order received", "We have received your order")
	case 1:
		request.UserID, request.Role = j.customer, "customer"
		add(orderStream, request, order.PaymentOpened{OrderID: j.id, PaymentID: j.payment})
		add(paymentStream, request, payment.Started{Of: of, Amount: 1900, Reference: "pay-" + j.number, CheckoutURL: "https://pay.example/" + j.number})
	case 2:
		request.UserID, request.Role = "payment-provider", "system"
		add(paymentStream, request, payment.Captured{Of: of, Amount: 1900})
		tell("Payment received", "We have received your payment for order")
	case 3:
		moved(order.StatusPlaced, order.StatusConfirmed)
	case 4:
		moved(order.StatusConfirmed, order.StatusPreparing)
	case 5:
		if j.agent = f.free(); j.agent == "" {
			return // nobody has a hand free: later
		}
		add(orderStream, request, order.Assigned{OrderID: j.id, OrderNumber: j.number, CustomerID: j.customer, AgentID: j.agent})
		add(eventstore.StreamID{Type: courier.StreamType, ID: courier.StreamID(j.agent)}, request,
			courier.OrderTaken{AgentID: j.agent, OrderID: j.id, OrderNumber: j.number, CustomerID: j.customer, Status: courier.StatusBusy})
		moved(order.StatusPreparing, order.StatusReady)
	case 6:
		moved(order.StatusReady, order.StatusOutForDelivery)
	case steps:
		moved(order.StatusOutForDelivery, order.StatusDelivered)
		add(eventstore.StreamID{Type: courier.StreamType, ID: courier.StreamID(j.agent)}, request, courier.OrderReleased{
			AgentID: j.agent, OrderID: j.id, OrderNumber: j.number, CustomerID: j.customer, Status: courier.StatusOnline, Reason: courier.ReasonDelivered,
		})
		f.couriers[j.agent].busy = false
	default:
		by := eventstore.Meta{UserID: j.agent, Role: "delivery", CorrelationID: request.CorrelationID, RemoteAddr: "192.0.2.9"}
		speed := 4.2
		add(eventstore.StreamID{Type: courier.TrackStreamType, ID: j.id}, by, courier.Located{
			OrderID: j.id, CustomerID: j.customer, AgentID: j.agent,
			Point: courier.Point{Latitude: 48.2 + float64(j.step)/1000, Longitude: 16.37, Speed: &speed},
		})
	}
	j.step++
}

// free finds a courier without an order.
func (f *filler) free() string {
	for n := range couriersAtWork {
		name := fmt.Sprintf("courier-%s-%d", f.shift, (f.orders+n)%couriersAtWork)
		c, known := f.couriers[name]
		if !known {
			c = &carrying{}
			f.couriers[name] = c
		}
		if !c.busy {
			c.busy = true
			return name
		}
	}
	return ""
}

func (f *filler) placed(j *journey) order.Placed {
	pizza, salad := uuid.UUID{15: 1}, uuid.UUID{15: 2}
	return order.Placed{
		OrderID: j.id, OrderNumber: j.number, CustomerID: j.customer, CustomerName: "Customer " + j.number,
		Items: []order.Item{
			{Product: pizza, Name: "Margherita", Quantity: 1, UnitPrice: 950, Total: 950},
			{Product: salad, Name: "Insalata mista", Quantity: 1, UnitPrice: 950, Total: 950},
		},
		Subtotal: 1900, TotalAmount: 1900, Currency: "EUR", DeliveryAddress: "Via Roma 1, second floor", PaymentMethod: "card",
		Note: "please ring twice",
	}
}

// fillAndSay is fill with a line about it.
func fillAndSay(ctx context.Context, out io.Writer, pool *pgxpool.Pool, n int64) ([]uuid.UUID, error) {
	started := time.Now()
	orders, err := fill(ctx, pool, n)
	if err == nil && len(orders) > 0 {
		fmt.Fprintf(out, "a log of %d events with %d new orders was written in %s\n", n, len(orders), time.Since(started).Round(100*time.Millisecond))
	}
	return orders, err
}
