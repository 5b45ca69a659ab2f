package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/internal/auth"
)

// script is a server that says what it is told to say, whatever the client wants, and then ends the connection.
type script struct {
	messages []string // of the protocol; packets of Socket.IO; the body of a stream
	code     int      // that a WebSocket is closed with; 0: it breaks off
	reason   string
	ticket   string // the answer to who asks for one
	status   int    // of a refusal instead; 0: none

	mu      sync.Mutex
	heard   []string // what the client said
	queries []string
	polls   int
}

func (s *script) hears(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.heard = append(s.heard, text)
}

// said is what the client said that begins so. A server may still read the last of it when the client is gone.
func (s *script) said(begin string) (all []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range s.heard {
		if strings.HasPrefix(text, begin) {
			all = append(all, text)
		}
	}
	return all
}

func (s *script) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	s.queries = append(s.queries, r.URL.RawQuery+" "+r.Header.Get("Last-Event-ID"))
	s.mu.Unlock()
	switch {
	case s.status != 0:
		w.WriteHeader(s.status)
	case r.URL.Path == "/api/v1/events/ticket":
		s.hears(r.Header.Get("Authorization"))
		w.WriteHeader(http.StatusCreated)
		_, _ = io.WriteString(w, s.ticket)
	case r.URL.Path == "/api/v1/feed":
		s.mu.Lock()
		defer s.mu.Unlock()
		if s.polls++; s.polls > len(s.messages) {
			w.Header().Set("Content-Type", "application/problem+json")
			w.WriteHeader(http.StatusServiceUnavailable)
			_, _ = io.WriteString(w, `{"code":"overloaded"}`)
			return
		}
		page := s.messages[s.polls-1]
		var at struct{ Seq int64 }
		_ = json.Unmarshal([]byte(page), &at)
		w.Header().Set("X-Seq", fmt.Sprint(at.Seq))
		_, _ = io.WriteString(w, page)
	case r.URL.Path == "/api/v1/events":
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, strings.Join(s.messages, ""))
	case r.URL.Query().Get("transport") == "polling":
		s.poll(w, r)
	default:
		s.socket(w, r)
	}
}

const openPacket = `0{"sid":"engine","upgrades":["websocket"],"pingInterval":25000,"pingTimeout":20000,"maxPayload":65536}`

func (s *script) poll(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodPost:
		s.heard = append(s.heard, string(body))
		_, _ = io.WriteString(w, "ok")
		return
	case r.URL.Query().Get("sid") == "":
		s.polls = 0
		_, _ = io.WriteString(w, openPacket)
		return
	}
	if s.polls++; s.polls == 1 {
		_, _ = io.WriteString(w, strings.Join(s.messages, separator))
		return
	}
	w.WriteHeader(http.StatusBadRequest)
	_, _ = io.WriteString(w, `{"code":1,"message":"Session ID unknown"}`)
}

func (s *script) socket(w http.ResponseWriter, r *http.Request) {
	up := websocket.Upgrader{Subprotocols: []string{"orderlog.v1", "orderlog.v1.batch"}}
	conn, err := up.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if r.URL.Path == "/socket.io/" {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(openPacket))
	}
	_, first, err := conn.ReadMessage()
	if err != nil {
		return
	}
	s.hears(string(first))
	for _, m := range s.messages {
		_ = conn.WriteMessage(websocket.TextMessage, []byte(m))
	}
	if s.code != 0 {
		_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(s.code, s.reason), time.Now().Add(time.Second))
	}
	if s.code != 0 || r.URL.Path == "/socket.io/" {
		for { // until the client is gone: what it still says must not meet a connection that was reset
			_, text, err := conn.ReadMessage()
			if err != nil {
				return
			}
			s.hears(string(text))
			if strings.HasPrefix(string(text), `42["register"`) {
				return
			}
		}
	}
}

// listener is a device without habits, of ann, who is what role says.
func listener(t *testing.T, transport string, role domain.Role, s *script) *device {
	t.Helper()
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	h := history.New(1)
	c := New(Config{
		URLs: []string{server.URL}, Clients: 1, Seed: 1, History: h, WebhookSecret: []byte("x"),
		Sign: func(id auth.Identity) (string, error) { return "token-of-" + id.UserID, nil },
	})
	t.Cleanup(c.api.client.CloseIdleConnections)
	d := c.newDevice(0, &user{id: "ann", role: role}, transport)
	d.rooms, d.reads, d.begun, d.recovers, d.tickets = nil, false, false, false, false
	return d
}

// listen is one connection. It returns what the device noted of it.
func listen(t *testing.T, d *device) string {
	t.Helper()
	before := len(d.log.Log)
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	d.visit(ctx, 0)
	return noted(d.log.Log[before:])
}

func noted(log []history.Entry) string {
	var all []string
	for _, e := range log {
		all = append(all, spell(e))
	}
	return strings.Join(all, " ")
}

func spell(e history.Entry) string {
	flag := ""
	if e.Flag {
		flag = "!"
	}
	switch e.Kind {
	case history.Opened:
		return fmt.Sprintf("opened:%d", e.Seq)
	case history.Registered:
		return fmt.Sprintf("registered:%d%s", e.Seq, flag)
	case history.Event:
		if e.Prev < 0 {
			return fmt.Sprintf("%s:%d%s", e.Name, e.Seq, flag)
		}
		return fmt.Sprintf("%s:%d<%d%s", e.Name, e.Prev, e.Seq, flag)
	case history.Checkpoint:
		return fmt.Sprintf("checkpoint:%d", e.Seq)
	case history.CaughtUp:
		return fmt.Sprintf("caught_up:%d", e.Seq)
	case history.Resync:
		return fmt.Sprintf("resync:%d:%s", e.Seq, e.Name)
	case history.Joined:
		return fmt.Sprintf("joined:%s:%d%s", e.Name, e.Seq, flag)
	case history.Left:
		return fmt.Sprintf("left:%s%s", e.Name, flag)
	case history.Reconnect:
		return fmt.Sprintf("reconnect:%d", e.Seq)
	case history.Closed:
		if e.Seq == 0 {
			return "closed"
		}
		return fmt.Sprintf("closed:%d:%s", e.Seq, e.Name)
	case history.Asked:
		return "asked:" + e.Name
	case history.Denied:
		return "denied:" + e.Name + ":" + e.Subject
	case history.Faulty:
		return "FAULTY(" + e.Name + ")"
	}
	return fmt.Sprintf("%+v", e)
}

// wantNoted compares. A want that ends with … is of the beginning.
func wantNoted(t *testing.T, got, want string) {
	t.Helper()
	if begin, open := strings.CutSuffix(want, "…"); open && strings.HasPrefix(got, begin) {
		return
	}
	if got != want {
		t.Errorf("noted:\n%s\nwant:\n%s", got, want)
	}
}

// hello is the data of registered for a user.
func hello(role domain.Role, seq int64, recovered bool, rooms ...string) string {
	data, err := json.Marshal(map[string]any{
		"userId": "ann", "role": role, "log": "11111111-1111-4111-8111-111111111111", "seq": seq, "recovered": recovered,
		"channels": append([]string{"all", "role:" + string(role), "user:ann"}, rooms...), "refused": []string{},
	})
	if err != nil {
		panic(err)
	}
	return string(data)
}
