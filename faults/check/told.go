package check

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/orderlog/orderlog/faults/history"
)

// notice is what the contract says that the outside is told of an event: section 4, a line each.
type notice struct {
	name     string
	channels []string
	fields   map[string]any // the data has at least these; a name with dots is a path
}

// tell is the whole of who is told of what.
func tell(e *event) (n notice, ok bool) {
	b := &e.body
	// Channels of ids that there are not, such as the agent's before there is one, are left out below.
	customer, agent, room := "user:"+b.CustomerID, "user:"+b.AgentID, "order:"+b.OrderID
	const admins = "role:admin"
	ofOrder := func(more map[string]any) map[string]any {
		more["orderId"], more["orderNumber"] = b.OrderID, b.OrderNumber
		return more
	}
	payment := func(name string) notice {
		return notice{name, []string{admins, customer, room}, map[string]any{
			"orderId": b.OrderID, "paymentId": b.PaymentID, "amount": b.Amount, "paymentMethod": b.Method,
		}}
	}
	offer := func(name string) notice {
		return notice{name, []string{"role:customer", admins}, map[string]any{
			"code": b.Code, "description": b.Description, "discountValue": b.DiscountValue,
		}}
	}
	courier := func(order any) notice {
		return notice{"delivery:status:update", []string{admins, "delivery:" + b.AgentID}, map[string]any{
			"deliveryBoyId": b.AgentID, "status": b.Status, "currentOrder": order,
		}}
	}
	switch e.typ {
	case opened, closed:
		n = notice{"business:status:update", []string{"all"}, map[string]any{
			"isOpen": e.typ == opened, "businessName": b.BusinessName, "message": b.Message,
		}}
	case orderPlaced:
		n = notice{"order:new", []string{admins, "role:delivery"}, ofOrder(map[string]any{
			"customerName": b.CustomerName, "totalAmount": b.TotalAmount, "items": b.Items,
		})}
	case orderChanged:
		n = notice{"order:status:update", []string{customer, admins, agent, room}, ofOrder(map[string]any{"status": b.To, "message": b.Message})}
	case orderAssigned:
		n = notice{"order:assigned", []string{agent, room, admins, customer}, ofOrder(map[string]any{"agentId": b.AgentID})}
	case orderCancelled:
		n = notice{"order:cancelled", []string{customer, admins, agent, room}, ofOrder(map[string]any{"reason": b.Reason})}
	case courierChanged:
		if b.CurrentOrder == nil {
			n = courier(nil)
		} else {
			n = courier(*b.CurrentOrder)
		}
	case courierTook:
		n = courier(b.OrderID)
	case courierReleased:
		n = courier(nil)
	case courierLocated:
		n = notice{locationUpdate, []string{customer, admins, room, "delivery:" + b.AgentID}, map[string]any{
			"orderId": b.OrderID, "location.lat": b.Latitude, "location.lng": b.Longitude,
		}}
	case paymentCaptured:
		n = payment("payment:received")
	case paymentFailed:
		n = payment("payment:failed")
	case paymentRefunded:
		n = payment("payment:refunded")
	case inboxEntered:
		n = notice{"notification:new", []string{"user:" + b.UserID}, map[string]any{
			"id": b.ID, "title": b.Title, "message": b.Message, "type": b.Type,
		}}
	case offerCreated:
		n = offer("offer:new")
	case offerUpdated:
		n = offer("offer:updated")
	case offerWithdrawn:
		n = offer("offer:withdrawn")
	default:
		return notice{}, false
	}
	n.channels = slices.DeleteFunc(n.channels, func(c string) bool { return strings.HasSuffix(c, ":") })
	return n, true
}

const locationUpdate = "delivery:location:update"

// told is an event as clients are told of it.
type told struct {
	name     string
	channels []string
	order    string // of a location
	digest   uint64
}

// toldRule holds the notification log against the contract, and keeps what clients are to be told.
type toldRule struct {
	f        *findings
	events   map[int64]told
	channels map[string][]int64 // the seqs that each carries
	names    map[string]string  // each name once
	rights   rights
}

func newToldRule(f *findings) *toldRule {
	return &toldRule{f: f, events: map[int64]told{}, channels: map[string][]int64{}, names: map[string]string{}, rights: rights{}}
}

func (r *toldRule) event(e *event, w *world) {
	r.rights.event(e, w)
	r.f.look(ruleFeed)
	want, ok := tell(e)
	if !ok {
		if e.told != nil {
			r.f.add(ruleFeed, "the notification log tells %s of seq %d (%s), of which nobody is to be told", e.told.event, e.seq, e.typ)
		}
		return
	}
	t := told{name: want.name}
	for _, c := range want.channels {
		name, known := r.names[c]
		if !known {
			name = c
			r.names[c] = c
		}
		t.channels = append(t.channels, name)
		r.channels[name] = append(r.channels[name], e.seq)
	}
	if want.name == locationUpdate {
		t.order = e.body.OrderID
	}
	if e.told == nil {
		r.f.add(ruleFeed, "the notification log has nothing of seq %d (%s), of which %s are to be told %s", e.seq, e.typ, want.channels, want.name)
	} else {
		r.compare(e, want)
		if digest, err := history.Digest(e.told.payload); err == nil {
			t.digest = digest
		}
	}
	r.events[e.seq] = t
}

func (r *toldRule) end(*world) {}

func (r *toldRule) compare(e *event, want notice) {
	if e.told.event != want.name {
		r.f.add(ruleFeed, "the notification log calls seq %d (%s) %s and not %s", e.seq, e.typ, e.told.event, want.name)
	}
	got, wanted := slices.Sorted(slices.Values(e.told.channels)), slices.Sorted(slices.Values(want.channels))
	if !slices.Equal(got, wanted) {
		r.f.add(ruleFeed, "the notification log tells %s of seq %d (%s), and not %s", got, e.seq, e.typ, wanted)
	}
	var payload map[string]any
	if err := json.Unmarshal(e.told.payload, &payload); err != nil {
		r.f.add(ruleFeed, "the notification log's data of seq %d is no object: %v", e.seq, err)
		return
	}
	for name, value := range want.fields {
		if got := at(payload, name); !same(value, got) {
			r.f.add(ruleFeed, "the notification log says of seq %d (%s) that %s is %v, and it is %v", e.seq, e.typ, name, got, value)
		}
	}
}

// at is a member of an object; a name with dots is a path.
func at(object map[string]any, path string) any {
	name, rest, deeper := strings.Cut(path, ".")
	if !deeper {
		return object[name]
	}
	inner, _ := object[name].(map[string]any)
	return at(inner, rest)
}

// same compares a value with what JSON made of it.
func same(want, got any) bool {
	switch want := want.(type) {
	case int64:
		n, ok := got.(float64)
		return ok && int64(n) == want
	case []item:
		list, ok := got.([]any)
		if !ok || len(list) != len(want) {
			return false
		}
		for i, it := range want {
			line, _ := list[i].(map[string]any)
			if !same(it.Product, line["product"]) || !same(it.Quantity, line["quantity"]) {
				return false
			}
		}
		return true
	}
	return want == got
}

// rights are the seqs at which users had the right to rooms, by "ROOM USER".
type rights map[string][]interval

// interval is from one seq on, up to another one that is not in it; 0: to the end.
type interval struct{ from, to int64 }

func (r rights) event(e *event, w *world) {
	b := &e.body
	switch e.typ {
	case orderPlaced:
		r.grant("order:"+b.OrderID, b.CustomerID, e.seq)
	case orderAssigned:
		if before := w.order(b.OrderID).agent; before != "" {
			r.end("order:"+b.OrderID, before, e.seq)
		}
		r.grant("order:"+b.OrderID, b.AgentID, e.seq)
	case courierTook:
		r.grant("delivery:"+b.AgentID, b.CustomerID, e.seq)
	case courierReleased:
		r.end("delivery:"+b.AgentID, b.CustomerID, e.seq)
	}
}

func (r rights) grant(room, user string, seq int64) {
	key := room + " " + user
	r[key] = append(r[key], interval{from: seq})
}

func (r rights) end(room, user string, seq int64) {
	if all := r[room+" "+user]; len(all) > 0 && all[len(all)-1].to == 0 {
		all[len(all)-1].to = seq
	}
}

// has says whether a user has the right to a room behind seq.
func (r rights) has(room, user, role string, seq int64) bool {
	if role == "admin" || (role == "delivery" && room == "delivery:"+user) {
		return true
	}
	for _, i := range r[room+" "+user] {
		if i.from <= seq && (i.to == 0 || seq < i.to) {
			return true
		}
	}
	return false
}

// grantedAfter is the first seq behind another at which a user gets the right to a room; 0: none.
func (r rights) grantedAfter(room, user string, seq int64) int64 {
	for _, i := range r[room+" "+user] {
		if i.from > seq {
			return i.from
		}
	}
	return 0
}

// endsAfter is the first seq behind another at which a user loses the right to a room; 0: none.
func (r rights) endsAfter(room, user string, seq int64) int64 {
	for _, i := range r[room+" "+user] {
		if i.to > seq {
			return i.to
		}
	}
	return 0
}

func (t told) String() string { return fmt.Sprintf("%s to %s", t.name, t.channels) }
