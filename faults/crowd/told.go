package crowd

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
)

// eventNames are the events of the log that there are, by section 4 of the contract.
var eventNames = map[string]bool{
	"business:status:update": true, "order:new": true, "order:status:update": true, "order:assigned": true, "order:cancelled": true,
	"delivery:status:update": true, "delivery:location:update": true,
	"payment:received": true, "payment:failed": true, "payment:refunded": true,
	"notification:new": true, "offer:new": true, "offer:updated": true, "offer:withdrawn": true,
}

// registration is the data of registered.
type registration struct {
	UserID    *string   `json:"userId"`
	Role      *string   `json:"role"`
	Log       *string   `json:"log"`
	Seq       *int64    `json:"seq"`
	Recovered *bool     `json:"recovered"`
	Channels  *[]string `json:"channels"`
	Refused   *[]string `json:"refused"`
}

// Everything below is told by a link's read, with mu held.

// registered takes in that the server knows the device. also are rooms beside those in the answer that it was in.
func (d *device) registered(data json.RawMessage, also ...string) error {
	v := d.session
	var r registration
	switch err := json.Unmarshal(data, &r); {
	case err != nil, r.UserID == nil, r.Role == nil, r.Log == nil, r.Seq == nil, r.Recovered == nil, r.Channels == nil, r.Refused == nil:
		return d.faulty("registered has not what it must have: %s", data)
	case v.registered:
		return d.faulty("registered came twice: %s", data)
	case *r.UserID != d.user.id || *r.Role != string(d.user.role):
		return d.faulty("%s in role %s is registered as %s", d.user.id, d.user.role, data)
	}
	own := []string{"all", "role:" + string(d.user.role), "user:" + d.user.id}
	var rooms []string
	for _, channel := range *r.Channels {
		if i := slices.Index(own, channel); i >= 0 {
			own = slices.Delete(own, i, i+1)
			continue
		}
		_, known := d.joined[channel]
		if !known && !slices.Contains(v.rooms, channel) && !d.socket.asked[channel] {
			return d.faulty("it is in %s, which it did not ask for: %s", channel, data)
		}
		rooms = append(rooms, channel)
	}
	if len(own) > 0 {
		return d.faulty("it is not in %v: %s", own, data)
	}
	for _, room := range v.rooms {
		if !slices.Contains(*r.Channels, room) && !slices.Contains(*r.Refused, room) && !slices.Contains(also, room) {
			return d.faulty("%s, for which it asked, is neither given nor refused: %s", room, data)
		}
	}
	if d.recovers && d.socket.same {
		for room := range d.joined {
			if !slices.Contains(*r.Channels, room) && !slices.Contains(*r.Refused, room) && !slices.Contains(also, room) {
				return d.faulty("%s, in which it was, is forgotten where it goes on: %s", room, data)
			}
		}
	}
	v.registered, d.logID = true, *r.Log
	if v.asked < 0 {
		d.begun, d.cursor = true, *r.Seq
	}
	d.note(history.Entry{Kind: history.Registered, Seq: *r.Seq, Flag: *r.Recovered})
	for _, room := range *r.Refused {
		d.note(history.Entry{Kind: history.Denied, Name: room, Subject: string(domain.CodeForbidden)})
	}
	for _, room := range also {
		if !slices.Contains(rooms, room) {
			rooms = append(rooms, room)
		}
	}
	before := d.joined
	d.joined = map[string]int64{}
	for _, room := range rooms {
		from, known := before[room]
		asked := slices.Contains(v.rooms, room)
		switch {
		case known && d.recovers:
			from = max(from, d.cursor)
		case d.user.role == domain.RoleCustomer && strings.HasPrefix(room, "delivery:"), !known && !asked:
			from = max(*r.Seq, d.cursor) // a customer follows an agent from now on
		default:
			from = d.cursor
		}
		d.joined[room] = from
		d.note(history.Entry{Kind: history.Joined, Prev: -1, Seq: from, Name: room, Flag: !known && !asked})
	}
	return nil
}

// event takes in an event of the log. prev is -1 where the transport has none.
func (d *device) event(prev, seq int64, name string, data json.RawMessage, inJoin bool) error {
	if !d.session.registered {
		return d.faulty("%s of %d came before registered", name, seq)
	}
	if !eventNames[name] {
		return d.faulty("there is no event %q: %s", name, data)
	}
	digest, err := history.Digest(data)
	if err != nil || len(data) == 0 || data[0] != '{' {
		return d.faulty("%s of %d has no object for data: %s", name, seq, data)
	}
	d.note(history.Entry{
		Kind: history.Event, Flag: inJoin, Prev: prev, Seq: seq, Name: name, Subject: subjectOf(data), Digest: digest,
	})
	if !inJoin {
		d.cursor = max(d.cursor, seq)
	}
	return nil
}

// subjectOf is what an event is about: its order, or whatever else it names.
func subjectOf(data json.RawMessage) string {
	var about struct{ OrderID, DeliveryBoyID, Code, ID string }
	_ = json.Unmarshal(data, &about) // an id that is no text is none
	for _, id := range []string{about.OrderID, about.DeliveryBoyID, about.Code, about.ID} {
		if id != "" {
			return id
		}
	}
	return ""
}

// says takes in anything but an event of the log, registered and answers.
func (d *device) says(name string, data json.RawMessage) error {
	var m struct {
		Seq     *int64 `json:"seq"`
		Reason  string `json:"reason"`
		Room    string `json:"room"`
		AfterMs *int64 `json:"afterMs"`
		Code    string `json:"code"`
	}
	if len(data) > 0 {
		if err := json.Unmarshal(data, &m); err != nil {
			return d.faulty("%s cannot be read: %s", name, data)
		}
	}
	if !d.session.registered && name != "error" && name != "reconnect" {
		return d.faulty("%s came before registered", name)
	}
	switch name {
	case "checkpoint", "caught_up", "resync":
		if m.Seq == nil {
			return d.faulty("%s has no seq: %s", name, data)
		}
		return d.position(name, *m.Seq, m.Reason)
	case "left":
		return d.left(m.Room)
	case "reconnect":
		if m.AfterMs == nil || *m.AfterMs < 0 || *m.AfterMs > 60_000 {
			return d.faulty("reconnect after %s", data)
		}
		d.wait = time.Duration(*m.AfterMs) * time.Millisecond
		d.note(history.Entry{Kind: history.Reconnect, Seq: *m.AfterMs})
	case "pong":
	case "error":
		if !slices.Contains([]string{"unavailable", "overloaded", "token_expired", "unauthenticated"}, m.Code) {
			return d.faulty("it is told of the error %s", data)
		}
	default:
		return d.faulty("there is no message %q: %s", name, data)
	}
	return nil
}

// position takes in how far the device is without an event.
func (d *device) position(name string, seq int64, reason string) error {
	v := d.session
	if name == "resync" {
		if v.asked < 0 || v.caughtUp || v.resynced || !slices.Contains([]string{"expired", "ahead", "different_log"}, reason) {
			return d.faulty("a resync to %d because of %q, of a connection that asked for %d", seq, reason, v.asked)
		}
		v.resynced = true
		d.cursor = seq // also back: it is of another log, or of one that lost what was told
		d.note(history.Entry{Kind: history.Resync, Seq: seq, Name: reason})
		return nil
	}
	if seq < d.cursor {
		return d.faulty("%s of %d comes behind %d", name, seq, d.cursor)
	}
	kind := history.Checkpoint
	if name == "caught_up" {
		if v.asked < 0 || v.caughtUp || v.resynced {
			return d.faulty("caught_up of %d, of a connection that asked for %d", seq, v.asked)
		}
		v.caughtUp, kind = true, history.CaughtUp
	}
	d.cursor = seq
	d.note(history.Entry{Kind: kind, Seq: seq})
	return nil
}

// left takes in that the device is out of a room.
func (d *device) left(room string) error {
	_, in := d.joined[room]
	if !in && !d.wanted[room] && !slices.Contains(d.session.rooms, room) && !d.socket.asked[room] {
		return d.faulty("it left %q, in which it was not", room)
	}
	delete(d.joined, room)
	d.note(history.Entry{Kind: history.Left, Name: room})
	return nil
}
