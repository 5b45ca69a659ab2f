package sse

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const patience = 20 * time.Second // with what must come next

// verifier takes tokens that are USER|ROLE|EXPIRY in Unix milliseconds.
type verifier struct{}

func (verifier) Verify(_ context.Context, raw string) (auth.Identity, error) {
	parts := strings.Split(raw, "|")
	if len(parts) != 3 {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	ms, err := strconv.ParseInt(parts[2], 10, 64)
	if err != nil {
		return auth.Identity{}, auth.ErrUnauthenticated
	}
	return auth.Identity{UserID: parts[0], Role: domain.Role(parts[1]), ExpiresAt: time.UnixMilli(ms)}, nil
}

func token(user string, role domain.Role, ttl time.Duration) string {
	return fmt.Sprintf("%s|%s|%d", user, role, time.Now().Add(ttl).UnixMilli())
}

var (
	annsOrder = uuid.MustParse("11111111-1111-1111-1111-111111111111")
	bobsOrder = uuid.MustParse("33333333-3333-3333-3333-333333333333")
	broken    = uuid.MustParse("00000000-0000-0000-0000-00000000dead")
)

// rights are those of ann and bob to their orders, and of dave to ann's.
type rights struct{}

func (rights) CanSeeOrder(_ context.Context, user auth.Identity, id uuid.UUID) (bool, error) {
	switch id {
	case annsOrder:
		return user.UserID == "ann" || user.UserID == "dave", nil
	case bobsOrder:
		return user.UserID == "bob", nil
	case broken:
		return false, errors.New("the database is away")
	}
	return false, domain.Errorf(domain.CodeNotFound, "there is no such order")
}

func (rights) CanSeeCourier(_ context.Context, user auth.Identity, agent string) (int64, bool, error) {
	return 0, user.UserID == agent, nil
}

// tickets are in memory: the id of a user, once.
type tickets struct {
	mu   sync.Mutex
	left map[string]auth.Identity
	fail error
}

func (t *tickets) Redeem(_ context.Context, ticket string) (auth.Identity, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	user, ok := t.left[ticket]
	if t.fail != nil || !ok {
		return auth.Identity{}, cmp.Or(t.fail, errTicket())
	}
	delete(t.left, ticket)
	return user, nil
}

type server struct {
	feed     *deliverytest.Feed
	hub      *delivery.Hub
	sessions *session.Service
	handler  *Handler
	tickets  *tickets
	url      string
}

type options struct {
	hub     func(*delivery.Config)
	session func(*session.Config)
	sse     func(*Config)
	http    func(*http.Server)
	before  func(*deliverytest.Feed)
}

func serve(t *testing.T, o options) *server {
	t.Helper()
	feed := deliverytest.NewFeed()
	if o.before != nil {
		o.before(feed)
	}
	quiet := slog.New(slog.DiscardHandler)
	hubConfig := delivery.Config{Feed: feed, Hint: feed.Hint, Logger: quiet}
	if o.hub != nil {
		o.hub(&hubConfig)
	}
	s := &server{feed: feed, hub: delivery.New(hubConfig), tickets: &tickets{left: map[string]auth.Identity{}}}
	sessions := session.Config{Hub: s.hub, Verifier: verifier{}, Access: rights{}, Logger: quiet}
	if o.session != nil {
		o.session(&sessions)
	}
	s.sessions = session.New(sessions)
	cfg := Config{Sessions: s.sessions, Tickets: s.tickets, Logger: quiet}
	if o.sse != nil {
		o.sse(&cfg)
	}
	s.handler = New(cfg)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error)
	go func() { done <- s.hub.Run(ctx) }()
	web := httptest.NewUnstartedServer(s)
	web.Config.ConnContext = ConnContext
	if o.http != nil {
		o.http(web.Config)
	}
	web.Start()
	s.url = web.URL
	t.Cleanup(func() {
		// Clients are gone by now, so a stream that does not end is a fault.
		limit, stop := context.WithTimeout(ctx, patience)
		defer stop()
		if err := s.handler.Shutdown(limit); err != nil {
			t.Errorf("Shutdown: %v", err)
		}
		if n := s.handler.Stats().Open; n != 0 {
			t.Errorf("%d streams are left", n)
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

// ServeHTTP does what is around a stream: it judges the token, and writes what a stream is refused for.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var user *auth.Identity
	if raw, ok := auth.Bearer(r.Header.Get("Authorization")); ok {
		found, err := verifier{}.Verify(r.Context(), raw)
		if err != nil {
			http.Error(w, "no such token", http.StatusUnauthorized)
			return
		}
		user = &found
	}
	if err := s.handler.Serve(w, r, user, "192.0.2.7"); err != nil {
		code := domain.CodeOf(err)
		w.WriteHeader(delivery.OutcomeOf(code).Status)
		_ = json.NewEncoder(w).Encode(map[string]any{"code": code, "message": err.Error()})
	}
}

// event is what a client was told, and its last event id then.
type event struct {
	name, data, lastID string
	at                 struct {
		N         int64    `json:"n"`
		Seq       int64    `json:"seq"`
		Log       string   `json:"log"`
		Recovered bool     `json:"recovered"`
		Channels  []string `json:"channels"`
		Refused   []string `json:"refused"`
		Reason    string   `json:"reason"`
		Room      string   `json:"room"`
		AfterMs   int64    `json:"afterMs"`
		Code      string   `json:"code"`
		Message   string   `json:"message"`
	}
}

// reader reads a stream as section 9.2.6 of the standard has it.
type reader struct {
	lines    *bufio.Reader
	lastID   string
	retry    string
	comments int
}

func newReader(stream io.Reader) *reader { return &reader{lines: bufio.NewReader(stream)} }

// next dispatches the next event. What is not ended by an empty line is not dispatched.
func (r *reader) next() (event, error) {
	var e event
	var data []string
	id := r.lastID
	for {
		line, err := r.lines.ReadString('\n')
		if err != nil {
			return event{}, err
		}
		line = strings.TrimSuffix(line, "\n")
		if line == "" {
			r.lastID = id
			if data == nil {
				e.name = ""
				continue
			}
			e.data, e.lastID = strings.Join(data, "\n"), id
			return e, json.Unmarshal([]byte(e.data), &e.at)
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "":
			r.comments++
		case "event":
			e.name = value
		case "data":
			data = append(data, value)
		case "id":
			id = value
		case "retry":
			r.retry = value
		default:
			return event{}, fmt.Errorf("there is a field %q", line)
		}
	}
}

type client struct {
	*testing.T
	*reader
	answer *http.Response
	late   *time.Timer // cuts what waits for too long
	cut    context.CancelFunc
}

// asks sends a request for a stream. What is no header is the method.
func (s *server) asks(t *testing.T, query string, headers ...string) *client {
	t.Helper()
	ctx, cut := context.WithCancel(t.Context())
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/api/v1/events"+query, http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		if name, value, ok := strings.Cut(h, ": "); ok {
			r.Header.Add(name, value)
		} else {
			r.Method = h
		}
	}
	late := time.AfterFunc(patience, cut)
	c := &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: smallDial}}
	answer, err := c.Do(r)
	if err != nil {
		t.Fatalf("ask for a stream: %v", err)
	}
	t.Cleanup(func() {
		late.Stop()
		cut()
		_ = answer.Body.Close()
	})
	return &client{T: t, reader: newReader(answer.Body), answer: answer, late: late, cut: cut}
}

// smallDial connects with little room for what is not read yet.
func smallDial(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
	if tcp, ok := conn.(*net.TCPConn); ok {
		err = tcp.SetReadBuffer(32 << 10)
	}
	return conn, err
}

// listen opens a stream of a user.
func (s *server) listen(t *testing.T, user string, role domain.Role, query string, headers ...string) *client {
	t.Helper()
	c := s.asks(t, query, append(headers, "Authorization: Bearer "+token(user, role, time.Hour))...)
	if c.answer.StatusCode != http.StatusOK || c.answer.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(c.answer.Body)
		t.Fatalf("got %s: %s", c.answer.Status, body)
	}
	return c
}

// back opens a stream of ann's where another was cut.
func (s *server) back(t *testing.T, lastID, query string) *client {
	t.Helper()
	return s.listen(t, "ann", domain.RoleCustomer, query, "Last-Event-ID: "+lastID)
}

// refusedWith holds that a stream was refused, and why.
func (c *client) refusedWith(status int, code string) string {
	c.Helper()
	body, err := io.ReadAll(c.answer.Body)
	var said struct{ Code, Message string }
	if err != nil || json.Unmarshal(body, &said) != nil || c.answer.StatusCode != status || said.Code != code {
		c.Fatalf("got %s %s, %v: want %d %s", c.answer.Status, body, err, status, code)
	}
	return said.Message
}

func (c *client) hear() event {
	c.Helper()
	if c.late != nil {
		c.late.Reset(patience)
	}
	e, err := c.next()
	if err != nil {
		c.Fatalf("read: %v", err)
	}
	return e
}

// expect hears an event that is named so.
func (c *client) expect(name string) event {
	c.Helper()
	e := c.hear()
	if e.name != name {
		c.Fatalf("got %s %s, want %s", e.name, e.data, name)
	}
	return e
}

// expectEvents hears events of the log, with the seq as the id and in the data.
func (c *client) expectEvents(seqs ...int64) {
	c.Helper()
	for _, seq := range seqs {
		e := c.expect("e")
		if e.lastID != fmt.Sprint(seq) || e.at.Seq != seq || e.at.N != seq {
			c.Fatalf("got id %s %s, want %d", e.lastID, e.data, seq)
		}
	}
}

// expectEnd hears that the stream ends as a whole answer does.
func (c *client) expectEnd() {
	c.Helper()
	if e, err := c.next(); !errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		c.Fatalf("got %s %s, %v: want the end", e.name, e.data, err)
	}
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
