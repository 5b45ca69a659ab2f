package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// What is tested here for one transport is tested for all: a client is the same whatever it is told by. What differs is
// how it says where it is when it comes back, and that is all that a driver knows.

// patience is how long a client waits for what must come.
const patience = 30 * time.Second

// transports are the ways to be told.
var transports = []struct {
	name   string
	driver func() driver
}{
	{"WebSocket", func() driver { return &overWebSocket{protocol: "orderlog.v1"} }},
	{"WebSocket in batches", func() driver { return &overWebSocket{protocol: "orderlog.v1.batch"} }},
	{"Socket.IO polling", func() driver { return &overSocketIO{transport: "polling"} }},
	{"Socket.IO WebSocket", func() driver { return &overSocketIO{transport: "websocket"} }},
	{"Socket.IO upgrade", func() driver { return &overSocketIO{transport: "upgrade"} }},
	{"SSE", func() driver { return &overSSE{} }},
}

// overEveryTransport runs a test with a driver of each, side by side.
func overEveryTransport(t *testing.T, test func(t *testing.T, made func() driver)) {
	t.Helper()
	for _, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			test(t, transport.driver)
		})
	}
}

// driver is a client's side of a transport. It keeps the cursor as a client of that transport does, from what it is
// told, over all of the client's connections.
type driver interface {
	// connect says who the client is and where it is. What it is answered comes from the link.
	connect(ctx context.Context, server string, c *client) (link, error)
	// claim has it say from now on that it was told of seq, whatever it was told of.
	claim(seq int64)
}

// link is one connection.
type link interface {
	// next waits for what comes next, and moves the cursor. It checks what only its transport promises. A faultError is
	// a broken promise; any other error is the end of the connection.
	next(ctx context.Context) (heard, error)
	// cut ends the connection as a tunnel does: nothing is said, what is on its way is lost. It may be called at any
	// time, and again.
	cut()
}

// heard is what a client is told, by whatever transport.
type heard struct {
	event  string
	logged bool            // it is an event of the log
	seq    int64           // its place, or how far the client is; 0: it says nothing of that
	data   json.RawMessage // of an event of the log, without the seq
	lost   bool            // of registered: the client had a cursor, and does not go on there
}

// What is told beside the events of the log, by names of their own: registered begins each connection, whatever it is
// called over a transport; acknowledged answers a join.
const (
	registered   = "registered"
	acknowledged = "acknowledged"
)

// client is a subscriber as the contract describes it. It checks that nothing is told twice or out of order, and notes
// every event it got.
type client struct {
	driver
	role  domain.Role
	token string
	rooms []string // what it asks for wherever it is not in it yet
	live  bool     // it begins with what is new; else with the beginning of the log
	log   string   // the log that its cursor is of, where a client says so
	known bool     // it has been connected
	quick bool     // it does not hold what it hears to the documents

	last  int64                     // what it was last told of
	told  map[int64]json.RawMessage // the data of its events by seq, where that is wanted
	got   []int64                   // the seqs of its events, in the order in which they came
	inbox []int64                   // those of them that are entries of its inbox
	cuts  int
	hints []time.Duration // how long it was asked to stay away, by servers that stopped
}

func newClient(t *testing.T, d driver, user string, role domain.Role, rooms ...string) *client {
	t.Helper()
	return &client{driver: d, role: role, token: tokenFor(t, user, role), rooms: rooms}
}

// connection is one connection of a client.
type connection struct {
	link
	c   *client
	new bool // the client's first
}

func (c *client) connect(ctx context.Context, server string) (*connection, error) {
	l, err := c.driver.connect(ctx, server, c)
	if err != nil {
		return nil, err
	}
	k := &connection{l, c, !c.known}
	c.known = true
	return k, nil
}

// arrive connects and reads until the client has what it missed, and is in its rooms. It must be able to go on.
func (c *client) arrive(t *testing.T, server string) *connection {
	t.Helper()
	k := c.begin(t, server)
	caughtUp := k.new && c.live
	for l, joins := k.link.(*socketIOLink); !caughtUp || joins && len(l.asked) > 0; {
		f, err := k.next(t.Context())
		if err != nil {
			t.Fatalf("heard %s %s, %v", f.event, f.data, err)
		}
		caughtUp = caughtUp || f.event == "caught_up"
	}
	return k
}

// begin connects, and reads no more than that the client is known and goes on where it was.
func (c *client) begin(t *testing.T, server string) *connection {
	t.Helper()
	k, err := c.connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.link.cut)
	if f := k.hears(t, registered, 0); f.lost {
		t.Fatalf("it does not go on after %d", c.last)
	}
	return k
}

// returnsLost connects as a client that cannot go on, and hears why. The stream goes on after seq.
func (c *client) returnsLost(t *testing.T, server, reason string, seq int64) *connection {
	t.Helper()
	k, err := c.connect(t.Context(), server)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(k.link.cut)
	if f := k.hears(t, registered, 0); !f.lost {
		t.Errorf("it is told that it goes on: %s", f.data)
	}
	if f := k.hears(t, "resync", seq); !includes(t, string(f.data), fmt.Sprintf(`{"reason":%q,"seq":%d}`, reason, seq)) {
		t.Errorf("the reason is %s, want %s", f.data, reason)
	}
	return k
}

// hears reads what comes next, which must be an event of that name, and of that seq unless it is 0. A checkpoint may come
// before it: that is a matter of time.
func (k *connection) hears(t *testing.T, event string, seq int64) heard {
	t.Helper()
	f, err := k.link.next(t.Context())
	for err == nil && f.event != event && (f.event == changed || f.event == "checkpoint") {
		if f.event != changed { // which its driver has seen to
			err = k.c.take(f)
		}
		if err == nil {
			f, err = k.link.next(t.Context())
		}
	}
	if err == nil {
		err = k.c.take(f)
	}
	if err != nil || f.event != event || (seq > 0 && f.seq != seq) {
		t.Fatalf("heard %s %d %s, %v, want %s %d", f.event, f.seq, f.data, err, event, seq)
	}
	return f
}

// cut ends a connection as a tunnel does, and counts that.
func (k *connection) cut() {
	k.link.cut()
	k.c.cuts++
}

// next reads what comes next and takes note of it. A loss is a fault here.
func (k *connection) next(ctx context.Context) (heard, error) {
	f, err := k.link.next(ctx)
	if err == nil && (f.lost || f.event == "resync" || f.event == "error") {
		err = faultError(fmt.Sprintf("last told of %d, then came %s %s", k.c.last, f.event, f.data))
	}
	if err != nil {
		return f, err
	}
	return f, k.c.take(f)
}

// take checks the place of what a client is told.
func (c *client) take(f heard) error {
	switch {
	case f.logged:
		if f.seq <= c.last {
			return faultError(fmt.Sprintf("seq does not rise: last told of %d, then came %s %d", c.last, f.event, f.seq))
		}
		c.got = append(c.got, f.seq)
		if c.told != nil {
			c.told[f.seq] = f.data
		}
		if f.event == "notification:new" {
			c.inbox = append(c.inbox, f.seq)
		}
	case f.event == "caught_up" || f.event == "checkpoint" || f.event == "resync":
		if f.seq < c.last && f.event != "resync" {
			return faultError(fmt.Sprintf("last told of %d, then came %s %d", c.last, f.event, f.seq))
		}
	case f.event == "reconnect":
		var hint struct{ AfterMs int64 }
		if err := json.Unmarshal(f.data, &hint); err != nil {
			return fault(err, f.data)
		}
		c.hints = append(c.hints, time.Duration(hint.AfterMs)*time.Millisecond)
		return nil
	default:
		return nil
	}
	c.last = f.seq
	return nil
}

// faultError is a broken promise of the server.
type faultError string

func (e faultError) Error() string { return string(e) }

// fault makes one of an error of the document or of a decoder.
func fault(err error, text []byte) error {
	return faultError(fmt.Sprintf("%v: %s", err, text))
}

// deniedError is how a server says no to a client that connects.
type deniedError struct {
	status int // of HTTP, if it is that
	code   string
}

func (e *deniedError) Error() string { return fmt.Sprintf("refused: %d %s", e.status, e.code) }

// isFault tells whether a promise was broken; else the connection has ended.
func isFault(err error) bool {
	var f faultError
	return errors.As(err, &f)
}

// sequenced takes the seq out of the data of an event, in which two of the transports show it.
func sequenced(data json.RawMessage) (seq int64, rest json.RawMessage, err error) {
	var fields map[string]json.RawMessage
	if err := json.Unmarshal(data, &fields); err != nil {
		return 0, nil, err
	}
	if err := json.Unmarshal(fields["seq"], &seq); err != nil {
		return 0, nil, fmt.Errorf("its seq: %w", err)
	}
	delete(fields, "seq")
	rest, err = json.Marshal(fields)
	return seq, rest, err
}

// asDescribed holds what a transport without an envelope tells to the document of the socket: the same event has the
// same data over all of them.
func (c *client) asDescribed(f heard) error {
	if c.quick {
		return nil
	}
	frame := map[string]any{"event": f.event, "data": f.data}
	if f.logged {
		frame["prev"], frame["seq"], frame["at"] = f.seq-1, f.seq, "2026-03-01T12:00:00Z"
	}
	text, err := json.Marshal(frame)
	if err == nil {
		err = described.sockets.Conversation().Received(text)
	}
	if err != nil {
		return fault(err, f.data)
	}
	return nil
}
