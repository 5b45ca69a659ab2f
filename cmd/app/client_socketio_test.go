package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/domain"
)

// overSocketIO keeps its cursor as socket.io-client 4.8 does: the pid that its connection was given, and the last
// argument of the last event, if that is a string. Both go back as they came, beside an auth that never changes.
type overSocketIO struct {
	transport string // of the Engine.IO session: polling, websocket or upgrade
	pid       string
	offset    string

	last int64           // what it was told of, to check the offsets
	pair *heard          // order:status:changed, until its order:status:update comes
	in   map[string]bool // the rooms that it was acknowledged
}

type socketIOLink struct {
	engine  *enginetest.Client
	d       *overSocketIO
	c       *client
	claimed bool              // it came with a pid
	asked   map[string]string // rooms by the id of the acknowledgement
}

// claim makes it one that was told of seq last. Its pid stays.
func (d *overSocketIO) claim(seq int64) {
	d.offset, d.last, d.pair = strconv.FormatInt(seq, 10), seq, nil
}

func (d *overSocketIO) connect(ctx context.Context, server string, c *client) (link, error) {
	engine, err := enginetest.Dial(ctx, server, enginetest.Options{Transport: d.transport, Path: "/socket.io/"})
	if err != nil {
		return nil, err
	}
	l := &socketIOLink{engine: engine, d: d, c: c, claimed: d.pid != "", asked: map[string]string{}}
	auth := map[string]any{"token": "Bearer " + c.token}
	if !c.live {
		auth["lastSeq"] = 0
	}
	if d.pid != "" {
		auth["pid"] = d.pid
	}
	if d.pid != "" && d.offset != "" {
		auth["offset"] = d.offset
	}
	if err := l.send(ctx, "0", auth); err != nil {
		engine.Cut()
		return nil, err
	}
	return l, nil
}

func (l *socketIOLink) cut() { l.engine.Cut() }

func (l *socketIOLink) send(ctx context.Context, kind string, data any) error {
	text, err := json.Marshal(data)
	if err != nil {
		return err
	}
	return l.engine.Send(ctx, kind+string(text))
}

func (l *socketIOLink) next(ctx context.Context) (heard, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	message, err := l.engine.Next(ctx)
	if err != nil {
		return heard{}, err
	}
	if message.Binary || len(message.Data) == 0 {
		return heard{}, faultError(fmt.Sprintf("nothing is binary here: %q", message.Data))
	}
	text := message.Data[1:]
	switch message.Data[0] {
	case '0':
		return l.opened(ctx, text)
	case '2':
		return l.event(text)
	case '3':
		return l.answer(text)
	case '4':
		var e struct {
			Message string
			Data    struct{ Code string }
		}
		if err := json.Unmarshal(text, &e); err != nil || e.Message == "" || e.Data.Code == "" {
			return heard{}, faultError(fmt.Sprintf("a refusal without a reason: %s", message.Data))
		}
		return heard{}, &deniedError{code: e.Data.Code}
	}
	return heard{}, faultError(fmt.Sprintf("socket.io-client stays away after that: %s", message.Data))
}

// opened is the server's answer to a connection. The client calls itself recovered if it has its pid back.
func (l *socketIOLink) opened(ctx context.Context, text []byte) (heard, error) {
	var answer struct{ SID, PID string }
	if err := json.Unmarshal(text, &answer); err != nil || answer.SID == "" || answer.PID == "" || answer.SID == answer.PID {
		return heard{}, faultError(fmt.Sprintf("connected with %s", text))
	}
	f := heard{event: registered, data: text, lost: l.claimed && answer.PID != l.d.pid}
	if answer.PID != l.d.pid {
		l.d.pid, l.d.in = answer.PID, map[string]bool{} // the offset stays, as it does in the client
		l.d.pair = nil
	}
	for _, room := range l.c.rooms {
		if l.d.in[room] { // it was put back in, or is told that it was not
			continue
		}
		kind, id, _ := strings.Cut(room, ":")
		ack := strconv.Itoa(len(l.asked))
		l.asked[ack] = room
		if err := l.send(ctx, "2"+ack, []string{"join:" + kind, id}); err != nil {
			return f, err
		}
	}
	return f, nil
}

// answer is the one to a join.
func (l *socketIOLink) answer(text []byte) (heard, error) {
	id, data, _ := strings.Cut(string(text), "[")
	room, ok := l.asked[id]
	var answer []struct {
		Room  string
		Error *struct{ Code string }
	}
	if err := json.Unmarshal([]byte("["+data), &answer); err != nil || !ok || len(answer) != 1 {
		return heard{}, faultError(fmt.Sprintf("an acknowledgement of nothing: %s", text))
	}
	delete(l.asked, id)
	if e := answer[0].Error; e != nil {
		return heard{event: "error", data: json.RawMessage(data)}, nil
	}
	if answer[0].Room != room {
		return heard{}, faultError(fmt.Sprintf("%s is acknowledged with %s", room, data))
	}
	l.d.in[room] = true
	return heard{event: acknowledged, data: json.RawMessage(strings.TrimSuffix(data, "]"))}, nil
}

// event takes an event as socket.io-client does: whatever string comes last is the offset.
func (l *socketIOLink) event(text []byte) (heard, error) {
	var args []json.RawMessage
	var name, offset string
	if err := json.Unmarshal(text, &args); err != nil || len(args) == 0 || json.Unmarshal(args[0], &name) != nil {
		return heard{}, faultError(fmt.Sprintf("no event: %s", text))
	}
	f := heard{event: name}
	given := json.Unmarshal(args[len(args)-1], &offset) == nil
	if given {
		l.d.offset = offset
		args = args[:len(args)-1]
	}
	if len(args) > 1 {
		f.data = args[1]
	}
	if err := l.d.place(&f, l.c, offset, given); err != nil {
		return f, faultError(fmt.Sprintf("%v: %s", err, text))
	}
	if f.event == changed {
		return f, nil
	}
	return f, l.c.asDescribed(f)
}

// changed comes to admins before each order:status:update, for the sake of the clients that know only that.
const changed = "order:status:changed"

var offsets = regexp.MustCompile(`^([0-9]+)(?:/([123]))?$`)

// place holds an event's offset to what it tells of: the seq of that, and never one that is yet to come.
func (d *overSocketIO) place(f *heard, c *client, offset string, given bool) error {
	switch f.event {
	case registered, "left", "pong", "error", "reconnect":
		if given {
			return errors.New("socket.io-client would take the last string for an offset")
		}
		return nil
	case "caught_up", "checkpoint", "resync":
		var position struct{ Seq int64 }
		if err := json.Unmarshal(f.data, &position); err != nil {
			return err
		}
		f.seq = position.Seq
	default:
		var err error
		if f.seq, f.data, err = sequenced(f.data); err != nil {
			return err
		}
		f.logged = f.event != changed
	}
	parts := offsets.FindStringSubmatch(offset)
	if parts == nil || parts[1] != strconv.FormatInt(f.seq, 10) {
		return fmt.Errorf("%s of %d has the offset %q", f.event, f.seq, offset)
	}
	if first := parts[2] == "1" || parts[2] == "3"; first != (f.event == changed) {
		return fmt.Errorf("%s has the offset %q", f.event, offset)
	}
	return d.paired(f, c)
}

// paired sees that admins get order:status:changed once, just before the order:status:update that it is of, and that
// nobody else gets it.
func (d *overSocketIO) paired(f *heard, c *client) error {
	before := d.pair
	d.pair = nil
	switch {
	case f.event == changed:
		if c.role != domain.RoleAdmin || before != nil || f.seq <= d.last {
			return fmt.Errorf("%s after %d", changed, d.last)
		}
		d.pair = &heard{seq: f.seq, data: f.data}
		return nil
	case f.event == "resync":
	case before == nil && f.event == "order:status:update" && c.role == domain.RoleAdmin:
		return fmt.Errorf("without %s", changed)
	case before != nil && (f.event != "order:status:update" || f.seq != before.seq || string(f.data) != string(before.data)):
		return fmt.Errorf("after %s of %d %s", changed, before.seq, before.data)
	}
	d.last = f.seq
	return nil
}
