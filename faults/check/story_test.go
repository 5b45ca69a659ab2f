package check

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/faults/history"
)

// story is an evening in which nothing goes wrong: what the log has, what the users were answered and what the clients
// were told. Tests break it in one place.
type story struct {
	t      *testing.T
	h      *history.History
	events []*event
	views  []viewRow
	head   int64
	clock  time.Duration
	at     map[string]int64 // versions
	last   int64
}

const (
	customer1, customer2 = "carl", "cora"
	courier1, courier2   = "dave", "erin"
	admin1               = "ada"
)

var (
	order1, order2     = id(1), id(2)
	payment1, payment2 = id(11), id(12)
	product1           = id(21)
)

func id(n int) string { return fmt.Sprintf("00000000-0000-4000-8000-%012d", n) }

// tick passes some time.
func (s *story) tick() time.Duration { s.clock += 10 * time.Millisecond; return s.clock }

// commit appends events in one commit.
func (s *story) commit(m meta, bodies ...any) (first, last int64) {
	at := time.Unix(1_800_000_000, 0).Add(s.tick())
	for i := 0; i < len(bodies); i += 2 {
		typ, _ := bodies[i].(string)
		b, _ := bodies[i+1].(body)
		e := &event{seq: int64(len(s.events)) + 1, id: uuid.NewString(), typ: typ, at: at, meta: m, body: b}
		e.stream = strings.Split(typ, ".")[0] + b.OrderID + b.PaymentID + b.AgentID + b.Code + b.Scope + b.ID + b.ProductID
		s.at[e.stream]++
		e.version = s.at[e.stream]
		e.told = payload(s.t, e)
		s.events = append(s.events, e)
		if first == 0 {
			first = e.seq
		}
		last = e.seq
	}
	return first, last
}

// payload is what the notification log has of an event.
func payload(t *testing.T, e *event) *notification {
	t.Helper()
	n, ok := tell(e)
	if !ok {
		return nil
	}
	object := map[string]any{}
	for name, value := range n.fields {
		if outer, inner, nested := strings.Cut(name, "."); nested {
			if object[outer] == nil {
				object[outer] = map[string]any{}
			}
			object[outer].(map[string]any)[inner] = value //nolint:forcetypeassert // it was made above
			continue
		}
		if items, ok := value.([]item); ok {
			var lines []any
			for _, it := range items {
				lines = append(lines, map[string]any{"product": it.Product, "quantity": it.Quantity})
			}
			value = lines
		}
		object[name] = value
	}
	data, err := json.Marshal(object)
	if err != nil {
		t.Fatal(err)
	}
	return &notification{n.name, n.channels, data}
}

// does has a user do something that is acknowledged; bodies are a type and a body each.
func (s *story) does(name, role, user, subject string, wanted map[string]string, bodies ...any) *history.Command {
	c := &history.Command{ID: uuid.NewString(), Key: uuid.NewString(), Name: name, User: user, Role: role, Subject: subject, Wanted: wanted}
	a := history.Attempt{Began: s.tick(), Outcome: history.Acknowledged, Status: 200}
	from := len(s.events)
	_, a.Seq = s.commit(meta{UserID: user, Role: role, CorrelationID: c.ID, IdempotencyKey: c.Key}, bodies...)
	a.Ended = s.tick()
	c.Attempts = []history.Attempt{a}
	s.h.AddCommand(c)
	for _, e := range s.events[from:] {
		switch e.typ {
		case orderPlaced, orderChanged, orderAssigned, orderCancelled, paymentCaptured, paymentFailed, paymentRefunded:
			s.commit(meta{UserID: "orderlog", Role: "system", CorrelationID: c.ID, CausationID: e.id},
				inboxEntered, body{ID: uuid.NewString(), UserID: e.body.CustomerID, OrderID: e.body.OrderID, Title: "News", Message: "m", Type: "order"})
		}
	}
	return c
}

// refused has a user ask for something that is refused.
func (s *story) refused(name, role, user, subject, code string, wanted map[string]string) *history.Command {
	c := &history.Command{ID: uuid.NewString(), Name: name, User: user, Role: role, Subject: subject, Wanted: wanted}
	c.Attempts = []history.Attempt{{Began: s.tick(), Ended: s.tick(), Outcome: history.Refused, Status: 409, Code: code}}
	s.h.AddCommand(c)
	return c
}

// reads has a user read something up to the end of the log as it is now.
func (s *story) reads(what, subject string) {
	w := newWorld()
	for _, e := range s.events {
		w.apply(e)
	}
	fields, exists, _ := w.document(what, subject)
	seq := int64(len(s.events))
	r := history.Read{Began: s.tick(), Ended: s.tick(), User: admin1, What: what, Subject: subject, MinSeq: s.answered(), Seq: seq, Status: 404, Code: "not_found"}
	if exists {
		r.Status, r.Code, r.Body = 200, "", asJSON(s.t, fields)
	}
	s.h.AddRead(r)
}

func (s *story) answered() int64 {
	all := s.h.Commands()
	for _, c := range slices.Backward(all) {
		if ack := c.Acknowledged(); ack != nil {
			return ack.Seq
		}
	}
	return 0
}

func asJSON(t *testing.T, v any) json.RawMessage {
	t.Helper()
	data, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// evening is the good one.
func evening(t *testing.T) *story {
	t.Helper()
	s := &story{t: t, h: history.New(1), at: map[string]int64{}}
	price, yes := int64(950), true
	s.does("business.open", "admin", admin1, "", nil, opened, body{BusinessName: "Shop", Message: "hello"})
	s.does("product.create", "admin", admin1, product1, nil, productAdded, body{ProductID: product1, Price: &price, Available: &yes})
	terms := body{Code: "TEN", Description: "ten", DiscountType: "percent", DiscountValue: 10, MaxUses: 1}
	s.does("offer.create", "admin", admin1, "TEN", nil, offerCreated, terms)
	for _, c := range []string{courier1, courier2} {
		s.does("courier.status", "delivery", c, c, map[string]string{"status": "online"}, courierChanged, body{AgentID: c, Chosen: "online", Status: "online"})
	}
	s.firstOrder()
	s.secondOrder()
	s.reads("courier", courier1)
	s.reads("offer", "TEN")
	s.reads("order", id(9))
	end := s.does("business.close", "admin", admin1, "", nil, closed, body{BusinessName: "Shop", Message: "bye"})
	s.last = end.Acknowledged().Seq
	s.head = int64(len(s.events))
	s.tables()
	s.clients()
	return s
}

func placedBody(order, customer, offer string, discount int64) body {
	return body{
		OrderID: order, OrderNumber: "ORD", CustomerID: customer, CustomerName: customer, Items: []item{{product1, 2, 950, 1900}},
		Subtotal: 1900, Discount: discount, TotalAmount: 1900 - discount, OfferCode: offer,
	}
}

// firstOrder is delivered, by the second courier who had it, paid in cash, and some of it given back.
func (s *story) firstOrder() {
	ofOrder := body{OrderID: order1, OrderNumber: "ORD", CustomerID: customer1}
	s.does("order.place", "customer", customer1, order1, nil, orderPlaced, placedBody(order1, customer1, "TEN", 190),
		offerUseCounted, body{Code: "TEN", Scope: "all", CustomerID: customer1, OrderID: order1, Uses: 1},
		offerUseCounted, body{Code: "TEN", Scope: "customer", CustomerID: customer1, OrderID: order1, Uses: 1})
	s.reads("order", order1)
	assigned := func(to, before string) body {
		b := ofOrder
		b.AgentID, b.PreviousAgentID = to, before
		return b
	}
	s.does("order.assign", "admin", admin1, order1, map[string]string{"agent": courier1}, orderAssigned, assigned(courier1, ""),
		courierTook, body{AgentID: courier1, OrderID: order1, CustomerID: customer1, Status: "busy"})
	s.does("courier.location", "delivery", courier1, order1, nil, courierLocated, body{AgentID: courier1, OrderID: order1, CustomerID: customer1, Latitude: 1, Longitude: 2})
	s.does("order.assign", "admin", admin1, order1, map[string]string{"agent": courier2}, orderAssigned, assigned(courier2, courier1),
		courierReleased, body{AgentID: courier1, OrderID: order1, CustomerID: customer1, Status: "online", Reason: "reassigned"},
		courierTook, body{AgentID: courier2, OrderID: order1, CustomerID: customer1, Status: "busy"})
	pays := body{OrderID: order1, PaymentID: payment1, CustomerID: customer1, Method: "cod", Amount: 1710, Currency: "EUR"}
	s.does("payment.start", "customer", customer1, payment1, nil, paymentStarted, pays, paymentOpened, body{OrderID: order1, PaymentID: payment1})
	status := "placed"
	for _, to := range []string{"confirmed", "preparing", "ready", "out_for_delivery"} {
		s.step(order1, customer1, courier2, status, to, "admin", admin1)
		status = to
	}
	s.refused("order.status", "admin", admin1, order1, "invalid_transition", map[string]string{"status": "ready"})
	for n := range 3 {
		s.does("courier.location", "delivery", courier2, order1, nil, courierLocated,
			body{AgentID: courier2, OrderID: order1, CustomerID: customer1, Latitude: float64(n), Longitude: 2})
	}
	s.does("payment.collect", "delivery", courier2, payment1, nil, paymentCaptured, pays)
	s.step(order1, customer1, courier2, status, "delivered", "delivery", courier2,
		courierReleased, body{AgentID: courier2, OrderID: order1, CustomerID: customer1, Status: "online", Reason: "delivered"})
	refund := pays
	refund.Amount, refund.RefundID = 500, "r1"
	s.does("payment.refund", "admin", admin1, payment1, nil, paymentRefunded, refund)
	s.reads("payment", payment1)
	s.reads("order", order1)
}

func (s *story) step(order, customer, agent, from, to, role, user string, more ...any) {
	bodies := append([]any{orderChanged, body{
		OrderID: order, OrderNumber: "ORD", CustomerID: customer, AgentID: agent, From: from, To: to, Message: to,
	}}, more...)
	s.does("order.status", role, user, order, map[string]string{"status": to}, bodies...)
}

// secondOrder is paid, and cancelled.
func (s *story) secondOrder() {
	s.does("order.place", "customer", customer2, order2, nil, orderPlaced, placedBody(order2, customer2, "", 0))
	pays := body{OrderID: order2, PaymentID: payment2, CustomerID: customer2, Method: "card", Amount: 1900, Currency: "EUR"}
	s.does("payment.start", "customer", customer2, payment2, nil, paymentStarted, pays, paymentOpened, body{OrderID: order2, PaymentID: payment2})
	s.does("payment.webhook", "system", "", payment2, map[string]string{"type": "payment.captured"}, paymentCaptured, pays)
	s.does("order.cancel", "customer", customer2, order2, nil,
		orderCancelled, body{OrderID: order2, OrderNumber: "ORD", CustomerID: customer2, From: "placed", Reason: "no", RefundDue: 1900}, paymentDue, pays)
}

// tables are the read models as they have to be at the end.
func (s *story) tables() {
	w := newWorld()
	for _, e := range s.events {
		w.apply(e)
	}
	add := func(what string, subjects ...string) {
		for _, subject := range subjects {
			fields, _, _ := w.document(what, subject)
			s.views = append(s.views, viewRow{what, subject, asJSON(s.t, fields)})
		}
	}
	add("order", order1, order2)
	add("payment", payment1, payment2)
	add("courier", courier1, courier2)
	add("offer", "TEN")
}

// clients are told of everything: the admin is cut off twice, the first courier has the room of an order that it loses,
// and the second one is told the places of another.
func (s *story) clients() {
	half := s.seqOf(paymentStarted, 1)
	s.listen("admin", admin1, "ws", nil, half, half+4)
	s.listen("customer", customer1, "sse", nil, half)
	s.listen("customer", customer2, "socketio.polling", nil)
	s.listen("delivery", courier1, "ws", map[string]int64{"order:" + order1: s.seqOf(orderAssigned, 1)})
	s.listen("delivery", courier2, "ws.batch", map[string]int64{"order:" + order1: s.seqOf(orderAssigned, 2), "delivery:" + courier2: 0})
}

// seqOf is the nth event of a type.
func (s *story) seqOf(typ string, n int) int64 {
	for _, e := range s.events {
		if e.typ == typ {
			if n--; n == 0 {
				return e.seq
			}
		}
	}
	s.t.Fatalf("no such %s", typ)
	return 0
}

// listen adds a client that is told of all that its channels carry, in rooms that it joins behind a seq each, and that
// is cut off behind others.
func (s *story) listen(role, user, transport string, rooms map[string]int64, cuts ...int64) *history.Client {
	c := &history.Client{Name: user + "'s " + transport, User: user, Role: role, Transport: transport}
	in := []string{"all", "role:" + role, "user:" + user}
	at := time.Duration(0)
	add := func(e history.Entry) {
		if at += time.Minute; e.Kind != history.Opened { // they come back before anybody was answered
			e.At = at
		}
		c.Log = append(c.Log, e)
	}
	known, live, end := int64(0), int64(3), rights{}
	w := newWorld()
	add(history.Entry{Kind: history.Opened, Seq: 0, Prev: -1})
	add(history.Entry{Kind: history.Registered, Seq: live, Flag: true, Prev: -1})
	for _, e := range s.events {
		end.event(e, w)
		w.apply(e)
		for _, room := range in[3:] {
			if !end.has(room, user, role, e.seq) {
				add(history.Entry{Kind: history.Left, Name: room})
				in = slices.DeleteFunc(in, func(c string) bool { return c == room })
			}
		}
		if n := e.told; n != nil && slices.ContainsFunc(n.channels, func(c string) bool { return slices.Contains(in, c) }) {
			digest, err := history.Digest(n.payload)
			if err != nil {
				s.t.Fatal(err)
			}
			add(history.Entry{Kind: history.Event, Prev: known, Seq: e.seq, Name: n.event, Digest: digest})
			known = e.seq
		}
		if e.seq == live {
			known = e.seq
			add(history.Entry{Kind: history.CaughtUp, Seq: known})
		}
		for _, room := range slices.Sorted(maps.Keys(rooms)) {
			if max(rooms[room], 1) == e.seq {
				add(history.Entry{Kind: history.Joined, Name: room, Seq: e.seq, Prev: -1})
				in = append(in, room)
			}
		}
		if slices.Contains(cuts, e.seq) {
			add(history.Entry{Kind: history.Closed})
			add(history.Entry{Kind: history.Opened, Seq: known})
			add(history.Entry{Kind: history.Registered, Seq: e.seq, Flag: true})
			known = e.seq
			add(history.Entry{Kind: history.CaughtUp, Seq: known})
		}
	}
	add(history.Entry{Kind: history.Checkpoint, Seq: known})
	s.h.AddClient(c)
	return c
}

// judged are the rules that a story breaks, each with what it says first.
func (s *story) judged() map[string]string {
	f := newFindings()
	j := newJudge(s.h, Options{Last: s.last}, f)
	for _, e := range s.events {
		j.event(e)
	}
	for _, row := range s.views {
		j.views.add(row)
	}
	j.log.head = s.head
	j.end()
	f.blind(true)
	broken := map[string]string{}
	for _, v := range f.told() {
		if broken[v.Rule] == "" {
			broken[v.Rule] = v.Text
		}
	}
	return broken
}
