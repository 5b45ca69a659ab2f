package crowd

import (
	"encoding/json"
	"errors"
	"regexp"
	"strconv"

	"github.com/orderlog/orderlog/domain"
)

// heardEvent is an event as it came.
type heardEvent struct {
	name   string
	data   json.RawMessage
	offset string
	given  bool // it had an offset
}

// heard reads an event as socket.io-client does: whatever string comes last is the offset.
func (l *sioLink) heard(text string) (h heardEvent, err error) {
	var args []json.RawMessage
	if err := json.Unmarshal([]byte(text), &args); err != nil || len(args) < 1 || len(args) > 3 || json.Unmarshal(args[0], &h.name) != nil {
		return h, l.d.faulty("no event: %s", text)
	}
	if len(args) > 1 && json.Unmarshal(args[len(args)-1], &h.offset) == nil {
		h.given = true
		args = args[:len(args)-1]
	}
	if len(args) != 2 {
		return h, l.d.faulty("an event with %d arguments: %s", len(args), text)
	}
	h.data = args[1]
	return h, nil
}

// take takes in an event when it is known where the socket is.
func (l *sioLink) take(h heardEvent) error {
	d := l.d
	if d.session.registered {
		return l.tell(h)
	}
	if h.name != "registered" {
		if l.held = append(l.held, h); len(l.held) > mostHeld {
			return errors.New("too much was told before registered")
		}
		return nil
	}
	var lost []string
	for _, before := range l.held {
		var m struct{ Room string }
		if before.name == "left" && json.Unmarshal(before.data, &m) == nil {
			lost = append(lost, m.Room)
		}
	}
	if h.given {
		return d.faulty("registered has the offset %q", h.offset)
	}
	if err := d.registered(h.data, lost...); err != nil {
		return err
	}
	held := l.held
	l.held = nil
	for _, before := range held {
		if err := l.tell(before); err != nil {
			return err
		}
	}
	return nil
}

// changed comes to admins before each order:status:update, for the sake of the clients that know only that.
const changed = "order:status:changed"

var offsets = regexp.MustCompile(`^([0-9]+)(?:/([123]))?$`)

// tell takes in an event, and holds its offset to what it tells of.
func (l *sioLink) tell(h heardEvent) error {
	d, s := l.d, &l.d.socket
	logged := eventNames[h.name] || h.name == changed
	if !logged && h.name != "checkpoint" && h.name != "caught_up" && h.name != "resync" {
		if h.given {
			return d.faulty("%s has the offset %q", h.name, h.offset)
		}
		if h.name == "registered" {
			return d.registered(h.data)
		}
		return d.says(h.name, h.data)
	}
	var at struct{ Seq int64 }
	if err := json.Unmarshal(h.data, &at); err != nil || at.Seq <= 0 && logged {
		return d.faulty("%s has no seq: %s", h.name, h.data)
	}
	parts := offsets.FindStringSubmatch(h.offset)
	if parts == nil || parts[1] != strconv.FormatInt(at.Seq, 10) || (parts[2] == "1" || parts[2] == "3") != (h.name == changed) {
		return d.faulty("%s of %d has the offset %q", h.name, at.Seq, h.offset)
	}
	s.offset = h.offset
	if !logged {
		s.pair = nil
		return d.says(h.name, h.data)
	}
	rest, err := withoutSeq(h.data)
	if err != nil {
		return d.faulty("%s: %v: %s", h.name, err, h.data)
	}
	if fault := s.pairs(d.user.role, h.name, pair{at.Seq, string(rest)}); fault != "" {
		return d.faulty("%s: %s of %d %s", fault, h.name, at.Seq, h.data)
	}
	if h.name == changed {
		return nil
	}
	return d.event(-1, at.Seq, h.name, rest, false)
}

// pairs sees that admins get order:status:changed once, just before the order:status:update that it is of, and that nobody
// else gets it. It returns what is wrong.
func (s *socketIO) pairs(role domain.Role, name string, p pair) string {
	before := s.pair
	s.pair = nil
	switch {
	case name == changed && (role != domain.RoleAdmin || before != nil):
		return "not expected"
	case name == changed:
		s.pair = &p
	case before == nil && name == "order:status:update" && role == domain.RoleAdmin:
		return "without order:status:changed"
	case before != nil && (name != "order:status:update" || p != *before):
		return "behind another order:status:changed"
	}
	return ""
}
