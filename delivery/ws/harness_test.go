package ws

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // with what must come

var (
	order1, order2, order3 = deliverytest.Order1, deliverytest.Order2, deliverytest.Order3

	token = deliverytest.Token
)

type server struct {
	feed     *deliverytest.Feed
	hub      *delivery.Hub
	sessions *session.Service
	handler  *Handler
	rights   *deliverytest.Rights
	url      string
}

type options struct {
	hub     func(*delivery.Config)
	ws      func(*Config)
	session func(*session.Config)
	before  func(*deliverytest.Feed)
}

func serve(t *testing.T, o options) *server {
	t.Helper()
	feed := deliverytest.NewFeed()
	if o.before != nil {
		o.before(feed)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	hubConfig := delivery.Config{Feed: feed, Hint: feed.Hint, Logger: quiet}
	if o.hub != nil {
		o.hub(&hubConfig)
	}
	s := &server{feed: feed, hub: delivery.New(hubConfig), rights: deliverytest.NewRights()}
	sessionConfig := session.Config{Hub: s.hub, Verifier: deliverytest.Verifier{}, Access: s.rights, Logger: quiet}
	if o.session != nil {
		o.session(&sessionConfig)
	}
	s.sessions = session.New(sessionConfig)
	cfg := Config{Sessions: s.sessions, Logger: quiet, Origins: []string{"https://shop.example"}}
	if o.ws != nil {
		o.ws(&cfg)
	}
	s.handler = New(cfg)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- s.hub.Run(ctx) }()
	web := httptest.NewServer(s.handler)
	s.url = "ws" + strings.TrimPrefix(web.URL, "http")
	t.Cleanup(func() {
		// Clients are closed by now, so a connection that does not end is a fault.
		limit, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if err := s.handler.Shutdown(limit); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if n := s.handler.Stats(); n.Open != 0 || n.Unregistered != 0 {
			t.Errorf("connections are left: %+v", n)
		}
		if n := s.sessions.Users(); n != 0 {
			t.Errorf("%d users are left", n)
		}
		if n := s.hub.Stats().Subscriptions; n != 0 {
			t.Errorf("%d subscriptions are left", n)
		}
		web.Close()
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	<-s.hub.Ready()
	return s
}

// message is what a client gets, of whatever kind.
type message struct {
	Prev  *int64 `json:"prev"`
	Seq   int64  `json:"seq"`
	Event string `json:"event"`
	At    string `json:"at"`
	Ack   any    `json:"ack"`
	Data  struct {
		N         int64     `json:"n"`
		UserID    string    `json:"userId"`
		Role      string    `json:"role"`
		Log       string    `json:"log"`
		Seq       int64     `json:"seq"`
		Recovered bool      `json:"recovered"`
		Channels  []string  `json:"channels"`
		Refused   []string  `json:"refused"`
		Reason    string    `json:"reason"`
		Room      string    `json:"room"`
		More      bool      `json:"more"`
		Events    []message `json:"events"`
		AfterMs   int64     `json:"afterMs"`
		Code      string    `json:"code"`
		OrderID   string    `json:"orderId"`
		Kept      bool      `json:"kept"`
		At        string    `json:"at"`
	} `json:"data"`
	Error *session.Failure `json:"error"`

	raw string
}

type client struct {
	*testing.T
	*websocket.Conn
	lines []string // of a batch, not looked at yet
}

func (s *server) dial(t *testing.T, header http.Header, subprotocols ...string) *client {
	t.Helper()
	d := websocket.Dialer{HandshakeTimeout: patience, Subprotocols: subprotocols}
	conn, resp, err := d.DialContext(t.Context(), s.url, header)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &client{T: t, Conn: conn}
}

func (c *client) say(format string, args ...any) {
	c.Helper()
	if err := c.WriteMessage(websocket.TextMessage, fmt.Appendf(nil, format, args...)); err != nil {
		c.Fatalf("write: %v", err)
	}
}

func (c *client) next() (message, error) {
	if len(c.lines) == 0 {
		if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
			return message{}, err
		}
		_, text, err := c.ReadMessage()
		if err != nil {
			return message{}, err
		}
		c.lines = strings.Split(string(text), "\n")
	}
	line := c.lines[0]
	c.lines = c.lines[1:]
	m := message{raw: line}
	if err := json.Unmarshal([]byte(line), &m); err != nil {
		return m, err
	}
	return m, checkShape(m)
}

// checkShape holds what the server says by itself to the table of its messages.
func checkShape(m message) error {
	if m.Seq > 0 || m.Event == "" {
		return nil
	}
	i := slices.IndexFunc(session.ServerMessages(), func(s session.ServerMessage) bool { return s.Name == m.Event })
	if i < 0 {
		return fmt.Errorf("the table has no %s", m.raw)
	}
	var parts struct{ Data json.RawMessage }
	if err := json.Unmarshal([]byte(m.raw), &parts); err != nil {
		return err
	}
	return checkType(parts.Data, session.ServerMessages()[i].Data)
}

// checkType says whether data has the members of a type, and no others.
func checkType(data json.RawMessage, want any) error {
	if want == nil {
		if data != nil {
			return fmt.Errorf("there is no data in the table, but %s", data)
		}
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	if err := d.Decode(reflect.New(reflect.TypeOf(want)).Interface()); err != nil {
		return fmt.Errorf("%s is no %T: %w", data, want, err)
	}
	return nil
}

func (c *client) hear() message {
	c.Helper()
	m, err := c.next()
	if err != nil {
		c.Fatalf("read: %v", err)
	}
	return m
}

// expect hears a message that is named so.
func (c *client) expect(event string) message {
	c.Helper()
	m := c.hear()
	if m.Event != event {
		c.Fatalf("got %s, want %s", m.raw, event)
	}
	return m
}

// expectEvents hears events of the log, each naming the one before.
func (c *client) expectEvents(prev int64, seqs ...int64) {
	c.Helper()
	for _, seq := range seqs {
		m := c.expect("e")
		if m.Prev == nil || *m.Prev != prev || m.Seq != seq || m.Data.N != seq || m.At == "" {
			c.Fatalf("got %s, want %d after %d", m.raw, seq, prev)
		}
		prev = seq
	}
}

func (c *client) expectClose(code int, reason string) {
	c.Helper()
	for {
		_, err := c.next()
		if err == nil {
			continue
		}
		var closed *websocket.CloseError
		if !errors.As(err, &closed) || closed.Code != code || closed.Text != reason {
			c.Fatalf("got %v, want close %d %s", err, code, reason)
		}
		return
	}
}

// register registers as a user, with more members of the data.
func (c *client) register(user string, role domain.Role, more string) message {
	c.Helper()
	c.say(`{"event":"register","data":{"token":%q%s}}`, token(user, role, time.Hour), more)
	return c.expect("registered")
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	limit := time.After(patience)
	for !ok() {
		select {
		case <-tick.C:
		case <-limit:
			t.Fatalf("it did not come to this: %s", what)
		}
	}
}

func (s *server) reach(t *testing.T, seq int64) {
	t.Helper()
	eventually(t, fmt.Sprintf("the hub reaches %d", seq), func() bool { return s.hub.Position() >= seq })
}
