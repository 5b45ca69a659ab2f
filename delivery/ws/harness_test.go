package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/gorilla/websocket"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const patience = 10 * time.Second // with what must come

// memoryFeed is a notification log in memory.
type memoryFeed struct {
	hint chan struct{}

	mu     sync.Mutex
	id     uuid.UUID
	items  []projections.Notification
	floor  int64
	head   int64
	behind int64 // how far the notification log is behind the log's head
	onRead func()
}

func (m *memoryFeed) add(channels ...string) int64 { return m.addSized(0, channels...) }

func (m *memoryFeed) addSized(size int, channels ...string) int64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.head++
	if len(channels) > 0 {
		m.items = append(m.items, projections.Notification{
			Seq: m.head, Event: "e", Channels: channels, At: time.Unix(1e9, 0),
			Data: json.RawMessage(fmt.Sprintf(`{"n":%d,"pad":%q}`, m.head, strings.Repeat("x", size))),
		})
	}
	select {
	case m.hint <- struct{}{}:
	default:
	}
	return m.head
}

func (m *memoryFeed) page(after int64, limit int, want func(projections.Notification) bool) projections.Page {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := projections.Page{Position: m.head - m.behind}
	first, _ := slices.BinarySearchFunc(m.items, max(after, m.floor)+1, func(n projections.Notification, seq int64) int { return int(n.Seq - seq) })
	for _, n := range m.items[first:] {
		if n.Seq > p.Position {
			break
		}
		if !want(n) {
			continue
		}
		if len(p.Items) == limit {
			p.More, p.Position = true, p.Items[limit-1].Seq
			break
		}
		p.Items = append(p.Items, n)
	}
	return p
}

func (m *memoryFeed) Tail(_ context.Context, after int64, limit int) (projections.Page, error) {
	return m.page(after, limit, func(projections.Notification) bool { return true }), nil
}

func (m *memoryFeed) ReadChannels(_ context.Context, channels []string, after int64, limit int) (projections.Page, error) {
	m.mu.Lock()
	hook := m.onRead
	m.mu.Unlock()
	if hook != nil {
		hook()
	}
	m.mu.Lock()
	expired := after < m.floor
	m.mu.Unlock()
	if expired {
		return projections.Page{}, projections.ErrExpired
	}
	return m.page(after, limit, func(n projections.Notification) bool {
		return slices.ContainsFunc(n.Channels, func(c string) bool { return slices.Contains(channels, c) })
	}), nil
}

func (m *memoryFeed) Bounds(context.Context) (projections.Bounds, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return projections.Bounds{LogID: m.id, Floor: m.floor, Position: m.head - m.behind, Head: m.head}, nil
}

// tokens are USER|ROLE|EXPIRY in Unix milliseconds.
type verifier struct{}

func (verifier) Verify(_ context.Context, raw string) (auth.Identity, error) {
	if raw == "unavailable" {
		return auth.Identity{}, auth.ErrUnavailable
	}
	parts := strings.Split(raw, "|")
	if len(parts) != 3 {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	ms, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	id := auth.Identity{UserID: parts[0], Role: domain.Role(parts[1]), ExpiresAt: time.UnixMilli(ms)}
	if !time.Now().Before(id.ExpiresAt) {
		return auth.Identity{}, auth.ErrTokenExpired
	}
	return id, nil
}

func token(user string, role domain.Role, ttl time.Duration) string {
	return fmt.Sprintf("%s|%s|%d", user, role, time.Now().Add(ttl).UnixMilli())
}

// orders maps an order to its customer.
type orders map[uuid.UUID]string

var errDatabase = errors.New("the database is away")

var brokenOrder = uuid.MustParse("00000000-0000-0000-0000-00000000dead")

func (o orders) CanSeeOrder(_ context.Context, user auth.Identity, id uuid.UUID) (bool, error) {
	if id == brokenOrder {
		return false, errDatabase
	}
	customer, ok := o[id]
	if !ok {
		return false, domain.Errorf(domain.CodeNotFound, "there is no such order")
	}
	return user.Role == domain.RoleAdmin || customer == user.UserID, nil
}

var (
	order1 = uuid.MustParse("11111111-1111-1111-1111-111111111111")
	order2 = uuid.MustParse("22222222-2222-2222-2222-222222222222")
	order3 = uuid.MustParse("33333333-3333-3333-3333-333333333333")
)

type server struct {
	feed    *memoryFeed
	hub     *delivery.Hub
	handler *Handler
	url     string
}

type options struct {
	hub    func(*delivery.Config)
	ws     func(*Config)
	before func(*memoryFeed)
}

func serve(t *testing.T, o options) *server {
	t.Helper()
	feed := &memoryFeed{hint: make(chan struct{}, 1), id: uuid.New()}
	if o.before != nil {
		o.before(feed)
	}
	quiet := slog.New(slog.NewTextHandler(io.Discard, nil))
	hubConfig := delivery.Config{Feed: feed, Hint: feed.hint, Logger: quiet}
	if o.hub != nil {
		o.hub(&hubConfig)
	}
	s := &server{feed: feed, hub: delivery.New(hubConfig)}
	cfg := Config{
		Hub: s.hub, Verifier: verifier{}, Logger: quiet, Origins: []string{"https://shop.example"},
		Access: orders{order1: "ann", order2: "ann", order3: "bob"},
	}
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
	} `json:"data"`
	Error *failure `json:"error"`

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
	return m, json.Unmarshal([]byte(line), &m)
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
