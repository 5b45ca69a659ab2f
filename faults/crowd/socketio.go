package crowd

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
)

// socketIO is what a client of Socket.IO keeps over its connections.
type socketIO struct {
	pid    string
	offset string // of the last event that had one
	given  int64  // the lastSeq that it gives for ever; see device.recovers
	began  bool   // given is set
	same   bool   // it goes on under the pid that it had
	// asked are rooms that it asked for by this pid: the server may have put it there without its hearing so.
	asked map[string]bool
	pair  *pair // order:status:changed, until its order:status:update comes
}

// pair is an order:status:changed.
type pair struct {
	seq  int64
	data string
}

func (s *socketIO) asks(room string) {
	if s.asked == nil {
		s.asked = map[string]bool{}
	}
	s.asked[room] = true
}

// sioLink is a socket in the namespace "/".
type sioLink struct {
	d      *device
	engine engine
	// held is what was told before the device knew who and where it is: nothing of it counts until then.
	held      []heardEvent
	connected bool
}

// mostHeld bounds what is told before registered.
const mostHeld = 50_000

// dialSocketIO connects over either transport. A device that recovers comes back as socket.io-client does, with its pid and
// offset beside an auth that never changes. Another one gives its cursor and its rooms, as an app does that starts anew.
func dialSocketIO(ctx context.Context, d *device, server string) (link, error) {
	dial := dialSocketEngine
	if d.log.Transport == sioPoll {
		dial = dialPollEngine
	}
	e, err := dial(ctx, d, server)
	l := &sioLink{d: d, engine: e}
	if err != nil {
		d.mu.Lock()
		defer d.mu.Unlock()
		return nil, l.judge(err)
	}
	d.mu.Lock()
	v, s := d.session, &d.socket
	auth := map[string]any{"token": "Bearer " + d.user.bearer(d.api.sign)}
	if !d.recovers {
		s.pair, s.asked = nil, nil
		auth["lastSeq"], auth["rooms"] = max(v.asked, 0), v.rooms
		if d.logID != "" {
			auth["log"] = d.logID
		}
	} else {
		if !s.began {
			s.began, s.given = true, max(v.asked, 0)
		}
		auth["lastSeq"] = s.given
		if s.pid != "" {
			auth["pid"] = s.pid
		}
		if s.pid != "" && s.offset != "" {
			auth["offset"] = s.offset
		}
	}
	d.mu.Unlock()
	if err := l.packet("0", auth); err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

func (l *sioLink) close() { l.engine.close() }

func (l *sioLink) packet(kind string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return l.engine.send("4" + kind + string(text))
}

func (l *sioLink) say(event string, data any, id int64) error {
	kind := "2"
	if id > 0 {
		kind += strconv.FormatInt(id, 10)
	}
	if data == nil {
		return l.packet(kind, []any{event})
	}
	return l.packet(kind, []any{event, data})
}

// read takes in a packet of Engine.IO.
func (l *sioLink) read() error {
	packet, err := l.engine.receive()
	if err == nil && packet == "2" {
		return l.engine.send("3")
	}
	l.d.mu.Lock()
	register := false
	switch {
	case err != nil:
		err = l.judge(err)
	case packet == "6": // nothing
	case packet == "1":
		err = io.EOF
	case strings.HasPrefix(packet, "40"):
		register, err = true, l.opened(packet[2:])
	case strings.HasPrefix(packet, "4"):
		err = l.message(packet[1:])
	default:
		err = l.d.faulty("a packet of Engine.IO: %q", packet)
	}
	l.d.mu.Unlock()
	if err == nil && register {
		return l.say("register", map[string]any{"userId": l.d.user.id, "role": string(l.d.user.role)}, 0)
	}
	return err
}

// judge notes what no server may say. mu is held.
func (l *sioLink) judge(err error) error {
	var fault errEngine
	if errors.As(err, &fault) {
		return l.d.faulty("%s", fault.what)
	}
	return err
}

// opened takes in that the socket is in the namespace.
func (l *sioLink) opened(text string) error {
	s := &l.d.socket
	var answer struct{ SID, PID string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || answer.SID == "" || answer.PID == "" || answer.SID == answer.PID || l.connected {
		return l.d.faulty("connected with %s", text)
	}
	l.connected = true
	if s.same = answer.PID == s.pid; !s.same {
		s.pid, s.pair, s.asked = answer.PID, nil, nil // the offset stays, as it does in the client
	}
	return nil
}

// message takes in a packet of Socket.IO.
func (l *sioLink) message(text string) error {
	d := l.d
	switch {
	case strings.HasPrefix(text, "4"):
		var e struct {
			Data struct{ Code string }
		}
		if err := json.Unmarshal([]byte(text[1:]), &e); err != nil || !slices.Contains([]string{"unauthenticated", "token_expired"}, e.Data.Code) {
			return d.faulty("refused with %s", text)
		}
		return &closedError{0, e.Data.Code}
	case !l.connected:
		return d.faulty("before it is connected: %s", text)
	case strings.HasPrefix(text, "3"):
		return l.acknowledged(text[1:])
	case strings.HasPrefix(text, "2["):
		h, err := l.heard(text[1:])
		if err != nil {
			return err
		}
		return l.take(h)
	}
	return d.faulty("socket.io-client stays away after that: %s", text)
}

func (l *sioLink) acknowledged(text string) error {
	digits, args, _ := strings.Cut(text, "[")
	id, err := strconv.ParseInt(digits, 10, 64)
	var answer []json.RawMessage
	if err != nil || json.Unmarshal([]byte("["+args), &answer) != nil || len(answer) != 1 {
		return l.d.faulty("no acknowledgement: %s", text)
	}
	var failed struct {
		Error *struct{ Code string }
	}
	if err := json.Unmarshal(answer[0], &failed); err != nil || failed.Error != nil && failed.Error.Code == "" {
		return l.d.faulty("no acknowledgement: %s", text)
	}
	r := reply{data: answer[0]}
	if failed.Error != nil {
		r.code = failed.Error.Code
	}
	return l.d.answered(id, r)
}
