package crowd

import (
	"context"
	"encoding/json"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// question is something that a device asked and was not answered yet.
type question struct {
	event, room string
	after       int64 // lastSeq of a join; -1: none
	// then takes the reply when somebody waits for it; it must not wait itself.
	then func(reply)
}

// reply is the answer to a question. code is of an error; empty: none.
type reply struct {
	code string
	data json.RawMessage
	lost bool // the connection was, and the answer with it
}

// live is what a device does while it is connected, until ctx ends: it joins and leaves rooms, pings, and now and then
// goes away for a while.
func (d *device) live(ctx context.Context, v *visit) {
	if d.rooms == nil {
		return
	}
	for {
		if !pause(ctx, 500*time.Millisecond+time.Duration(d.rng.Int64N(int64(8*time.Second)))) {
			return
		}
		d.joinAgain(v)
		switch n := d.rng.IntN(12); {
		case n <= 1: // a tunnel
			d.comeBackLater(v, time.Duration(d.rng.Int64N(int64(4*time.Second))))
			return
		case n <= 7:
			d.changeRooms(v)
		case n == 8:
			d.ping(v)
		}
	}
}

// ping asks for a sign of life. Before it is registered a client says nothing else: socket.io-client keeps it until then.
func (d *device) ping(v *visit) {
	d.mu.Lock()
	registered := v.registered
	d.mu.Unlock()
	if registered {
		d.ask(v, "ping", nil, question{})
	}
}

// comeBackLater ends a connection from this side.
func (d *device) comeBackLater(v *visit, after time.Duration) {
	d.mu.Lock()
	d.wait = after
	d.mu.Unlock()
	v.link.close()
}

// changeRooms joins a room, or leaves one when the device is in some already.
func (d *device) changeRooms(v *visit) {
	offered := d.rooms(d.rng)
	leaves, withPast := d.rng.IntN(3) == 0, d.rng.IntN(2) == 0
	d.mu.Lock()
	if !v.registered {
		d.mu.Unlock()
		return
	}
	in := make([]string, 0, len(d.joined))
	for room := range d.joined {
		in = append(in, room)
	}
	slices.Sort(in)
	cursor := d.cursor
	d.mu.Unlock()
	if len(in) >= 4 || len(in) > 0 && leaves {
		d.leave(v, in[d.rng.IntN(len(in))])
		return
	}
	for _, room := range offered {
		if slices.Contains(in, room) {
			continue
		}
		after := int64(-1)
		if withPast && strings.HasPrefix(room, "order:") {
			after = min(cursor, d.rng.Int64N(cursor+1))
		}
		d.join(v, room, after)
		return
	}
}

func (d *device) join(v *visit, room string, after int64) {
	data := roomData(room)
	if after >= 0 {
		data["lastSeq"] = after
	}
	kind, _, _ := strings.Cut(room, ":")
	d.ask(v, "join:"+kind, data, question{room: room, after: after})
}

// joinAgain asks for the rest of what a room carried before, as who is told that there is more does.
func (d *device) joinAgain(v *visit) {
	d.mu.Lock()
	behind := v.behind
	v.behind = nil
	d.mu.Unlock()
	for _, q := range behind {
		d.join(v, q.room, q.after)
	}
}

func (d *device) leave(v *visit, room string) {
	kind, _, _ := strings.Cut(room, ":")
	d.ask(v, "leave:"+kind, roomData(room), question{room: room})
}

func roomData(room string) map[string]any {
	kind, id, _ := strings.Cut(room, ":")
	if kind == "order" {
		return map[string]any{"orderId": id}
	}
	return map[string]any{"deliveryId": id}
}

// ask sends an event whose acknowledgement is taken by answered. Over a transport that has one direction only the device
// comes back instead, to other rooms.
func (d *device) ask(v *visit, event string, data any, q question) {
	d.mu.Lock()
	if d.session != v { // it is gone
		d.mu.Unlock()
		if q.then != nil {
			q.then(reply{lost: true})
		}
		return
	}
	q.event = event
	v.nextID++
	id := v.nextID
	v.pending[id] = q
	switch {
	case strings.HasPrefix(event, "join:"):
		d.wanted[q.room] = true
		d.socket.asks(q.room)
		if d.oneWay() {
			d.more = append(d.more, q.room)
		} else {
			d.note(history.Entry{Kind: history.Asked, Name: q.room})
		}
	case strings.HasPrefix(event, "leave:"):
		d.wanted[q.room] = true
		delete(d.joined, q.room)
		d.note(history.Entry{Kind: history.Left, Flag: true, Name: q.room})
	}
	d.mu.Unlock()
	if d.oneWay() {
		v.link.close()
		return
	}
	_ = v.link.say(event, data, id) // a connection that cannot be written to is found out by its reader
}

// tellLocation says over the socket where the courier of an order is. ok is false when there is no connection, and then
// nothing was said; without an answer its status is 0.
func (d *device) tellLocation(ctx context.Context, data map[string]any) (a answer, ok bool) {
	d.mu.Lock()
	v := d.session
	ok = v != nil && v.registered && v.link != nil && !d.oneWay()
	d.mu.Unlock()
	if !ok {
		return answer{}, false
	}
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	replies := make(chan reply, 1)
	d.ask(v, "delivery:location", data, question{then: func(r reply) { replies <- r }})
	select {
	case r := <-replies:
		if r.lost {
			return answer{}, true
		}
		var located struct{ Seq int64 }
		_ = json.Unmarshal(r.data, &located) // one that was not kept has none
		return answer{status: ackStatus(r.code), code: r.code, seq: located.Seq, body: r.data}, true
	case <-ctx.Done():
		return answer{}, true
	}
}

// ackStatus stands for the status that REST would have answered: well, or not.
func ackStatus(code string) int {
	if code == "" {
		return http.StatusOK
	}
	return http.StatusConflict
}

// answered takes in an acknowledgement. mu is held.
func (d *device) answered(id int64, r reply) error {
	q, asked := d.session.pending[id]
	if !asked {
		return d.faulty("an acknowledgement of %d, which was not asked: %s", id, r.data)
	}
	delete(d.session.pending, id)
	if q.then != nil {
		q.then(r)
		return nil
	}
	if r.code != "" {
		return d.denied(q, r.code)
	}
	verb, _, _ := strings.Cut(q.event, ":")
	if verb != "join" && verb != "leave" {
		return nil
	}
	var a struct {
		Room   string             `json:"room"`
		Seq    *int64             `json:"seq"`
		Events *[]json.RawMessage `json:"events"`
		More   *bool              `json:"more"`
	}
	if err := json.Unmarshal(r.data, &a); err != nil || a.Room != q.room || a.Seq == nil || a.Events == nil || a.More == nil {
		return d.faulty("%s of %s is answered %s", q.event, q.room, r.data)
	}
	if verb == "leave" {
		if d.note(history.Entry{Kind: history.Left, Flag: true, Name: q.room}); len(*a.Events) > 0 {
			return d.faulty("%s is answered with events: %s", q.event, r.data)
		}
		return nil
	}
	if *a.More {
		if len(*a.Events) > 0 || *a.Seq < q.after {
			return d.faulty("%s has more than what ever happens there: %s", q.room, r.data)
		}
		// The node does not know yet what the client was told elsewhere. Until there is an answer with all, there is none.
		d.session.behind = append(d.session.behind, question{room: q.room, after: *a.Seq})
		return nil
	}
	d.joined[q.room] = *a.Seq
	d.note(history.Entry{Kind: history.Joined, Prev: q.after, Seq: *a.Seq, Name: q.room})
	return d.past(q, *a.Seq, *a.Events)
}

// past takes in what a room carried before it was joined.
func (d *device) past(q question, upTo int64, events []json.RawMessage) error {
	if q.after < 0 && len(events) > 0 {
		return d.faulty("%s was joined without a past, and has one", q.room)
	}
	prev := q.after
	for _, text := range events {
		var f frame
		if err := json.Unmarshal(text, &f); err != nil || f.Seq == nil || f.Prev == nil || f.Event == nil || f.At == nil {
			return d.faulty("the past of %s has %s", q.room, text)
		}
		if *f.Prev != prev || *f.Seq <= prev || *f.Seq > upTo {
			return d.faulty("the past of %s up to %d is broken behind %d: %s", q.room, upTo, prev, text)
		}
		if err := d.event(*f.Prev, *f.Seq, *f.Event, f.Data, true); err != nil {
			return err
		}
		prev = *f.Seq
	}
	return nil
}

// denied takes in that something could not be done.
func (d *device) denied(q question, code string) error {
	allowed := []string{"unavailable", "overloaded", "forbidden"}
	if q.event == "ping" {
		allowed = nil
	}
	if strings.HasPrefix(q.event, "join:") {
		d.note(history.Entry{Kind: history.Denied, Name: q.room, Subject: code})
	}
	if !slices.Contains(allowed, code) {
		return d.faulty("%s of %s is answered by the error %s", q.event, q.room, code)
	}
	return nil
}
