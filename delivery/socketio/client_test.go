package socketio

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/projections"
)

// client keeps the pid and the offset as socket.io-client 4.8 does, and hears what the server says.
type client struct {
	*testing.T
	namespace string // "": /
	auth      map[string]any
	options   enginetest.Options

	pid, offset string
	recovered   bool
	events      []heard // those of the log, over all connections

	engine *enginetest.Client
	acks   uint64
}

// heard is a packet of the server.
type heard struct {
	kind  byte // 0 CONNECT, 2 EVENT, 3 ACK, 4 CONNECT_ERROR
	name  string
	data  member
	at    string // the offset
	id    uint64
	raw   string
	error *session.Failure
}

// member are the members of any data.
type member struct {
	N         int64             `json:"n"`
	Seq       int64             `json:"seq"`
	UserID    *string           `json:"userId"`
	Role      *string           `json:"role"`
	Recovered bool              `json:"recovered"`
	Channels  []string          `json:"channels"`
	Refused   []string          `json:"refused"`
	Reason    string            `json:"reason"`
	Room      string            `json:"room"`
	Events    []json.RawMessage `json:"events"`
	More      bool              `json:"more"`
	AfterMs   int64             `json:"afterMs"`
	Code      string            `json:"code"`
	Message   string            `json:"message"`
	SID       string            `json:"sid"`
	PID       string            `json:"pid"`
	Error     *session.Failure  `json:"error"`
	Data      *session.Failure  `json:"data"`
}

func newClient(t *testing.T, auth map[string]any) *client {
	return &client{T: t, auth: auth, options: enginetest.Options{Transport: enginetest.WebSocket, Path: "/socket.io/"}}
}

func (c *client) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(c.Context(), patience)
}

// dial opens the connection and asks to be let into the namespace.
func (c *client) dial(n *node) {
	c.Helper()
	ctx, cancel := c.context()
	defer cancel()
	var err error
	if c.engine, err = enginetest.Dial(ctx, n.url, c.options); err != nil {
		c.Fatalf("dial: %v", err)
	}
	engine := c.engine
	c.Cleanup(engine.Cut)
	auth := map[string]any{}
	if c.pid != "" {
		auth["pid"] = c.pid
		if c.offset != "" {
			auth["offset"] = c.offset
		}
	}
	for k, v := range c.auth { // the application's come last, as in socket.io-client
		auth[k] = v
	}
	raw, err := json.Marshal(auth)
	must(c.T, err)
	c.say("0", string(raw))
}

// say sends a packet.
func (c *client) say(kind, data string) {
	c.Helper()
	ctx, cancel := c.context()
	defer cancel()
	prefix := ""
	if c.namespace != "" {
		prefix = c.namespace + ","
	}
	if err := c.engine.Send(ctx, kind+prefix+data); err != nil {
		c.Fatalf("send: %v", err)
	}
}

// emit sends an event, without an acknowledgement.
func (c *client) emit(event string, args ...any) {
	c.Helper()
	raw, err := json.Marshal(append([]any{event}, args...))
	must(c.T, err)
	c.say("2", string(raw))
}

// ask sends an event and hears until it is acknowledged.
func (c *client) ask(event string, args ...any) heard {
	c.Helper()
	c.acks++
	id := c.acks
	raw, err := json.Marshal(append([]any{event}, args...))
	must(c.T, err)
	c.say("2", fmt.Sprint(id)+string(raw))
	for {
		if h := c.hear(); h.kind == '3' && h.id == id {
			return h
		}
	}
}

// connect dials and expects to be let in.
func (c *client) connect(n *node) *client {
	c.Helper()
	c.dial(n)
	if h := c.hear(); h.kind != '0' {
		c.Fatalf("got %s instead of being connected", h.raw)
	}
	return c
}

// refused dials and expects not to be let in.
func (c *client) refused(n *node) session.Failure {
	c.Helper()
	c.dial(n)
	h := c.hear()
	if h.kind != '4' {
		c.Fatalf("got %s instead of being refused", h.raw)
	}
	if h.data.Data == nil {
		return session.Failure{Message: h.data.Message}
	}
	return *h.data.Data
}

// next hears one packet.
func (c *client) next(ctx context.Context) (heard, error) {
	m, err := c.engine.Next(ctx)
	if err != nil {
		return heard{}, err
	}
	h, err := parse(string(m.Data), c.namespace)
	if err != nil {
		return h, fmt.Errorf("%w: %s", err, m.Data)
	}
	switch h.kind {
	case '0': // onconnect
		c.recovered = c.pid != "" && c.pid == h.data.PID
		c.pid = h.data.PID
	case '2': // emitEvent
		if h.at != "" {
			c.offset = h.at
		}
		if h.data.N > 0 {
			c.events = append(c.events, h)
		}
	}
	return h, nil
}

func (c *client) hear() heard {
	c.Helper()
	ctx, cancel := c.context()
	defer cancel()
	h, err := c.next(ctx)
	if err != nil {
		c.Fatalf("hear: %v", err)
	}
	return h
}

// expect hears until an event of a name.
func (c *client) expect(name string) heard {
	c.Helper()
	for {
		if h := c.hear(); h.kind == '2' && h.name == name {
			return h
		}
	}
}

// expectClosed hears until the connection is closed, and returns what was heard before.
func (c *client) expectClosed() []heard {
	c.Helper()
	ctx, cancel := c.context()
	defer cancel()
	var all []heard
	for {
		h, err := c.next(ctx)
		if err != nil {
			if ctx.Err() != nil {
				c.Fatal("the connection is not closed")
			}
			return all
		}
		all = append(all, h)
	}
}

func parse(text, namespace string) (heard, error) {
	h := heard{raw: text}
	if text == "" {
		return h, errors.New("an empty message")
	}
	h.kind, text = text[0], text[1:]
	if namespace != "" {
		var ok bool
		if text, ok = strings.CutPrefix(text, namespace+","); !ok {
			return h, errors.New("another namespace")
		}
	}
	for len(text) > 0 && text[0] >= '0' && text[0] <= '9' {
		h.id, text = h.id*10+uint64(text[0]-'0'), text[1:]
	}
	if h.kind == '0' || h.kind == '4' {
		return h, json.Unmarshal([]byte(text), &h.data)
	}
	var args []json.RawMessage
	if err := json.Unmarshal([]byte(text), &args); err != nil {
		return h, err
	}
	if h.kind == '2' {
		if err := json.Unmarshal(args[0], &h.name); err != nil {
			return h, err
		}
		// As in socket.io-client, whatever string comes last is the offset, be it the name.
		if last := args[len(args)-1]; last[0] == '"' {
			if err := json.Unmarshal(last, &h.at); err != nil {
				return h, err
			}
		}
		args = args[1:]
	}
	if len(args) > 0 && args[0][0] == '{' {
		if err := json.Unmarshal(args[0], &h.data); err != nil {
			return h, err
		}
		h.error = h.data.Error
	}
	return h, nil
}

// startOf is the seq after which the stream of the client's pid began.
func (c *client) startOf() int64 {
	c.Helper()
	p, ok := parsePID(c.pid)
	if !ok {
		c.Fatalf("%q is no pid", c.pid)
	}
	return p.start
}

// expected is what a user is to be told of a log after a seq: name and offset of each packet.
func expected(items []projections.Notification, after int64, admin bool, channels ...string) []string {
	var want []string
	for _, n := range items {
		if n.Seq <= after || !carries(n, channels) {
			continue
		}
		if admin && n.Event == projections.EventOrderStatus {
			want = append(want, fmt.Sprintf("%s %d/1", eventStatusChanged, n.Seq))
		}
		want = append(want, fmt.Sprintf("%s %d", n.Event, n.Seq))
	}
	return want
}

func carries(n projections.Notification, channels []string) bool {
	for _, a := range n.Channels {
		for _, b := range channels {
			if a == b {
				return true
			}
		}
	}
	return false
}

func (c *client) got() []string {
	got := make([]string, len(c.events))
	for i, h := range c.events {
		if got[i] = h.name + " " + h.at; h.data.Seq != h.data.N {
			c.Errorf("%s: the seq is that of another", h.raw)
		}
	}
	return got
}

// compare says where two lists differ.
func (c *client) compare(got, want []string) {
	c.Helper()
	for i := range max(len(got), len(want)) {
		g, w := "nothing", "nothing"
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			c.Fatalf("at %d of %d: got %s, want %s", i, len(want), g, w)
		}
	}
}

var _ http.Handler = (*Handler)(nil)
