package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/internal/asyncapitest"
	"github.com/orderlog/orderlog/internal/parttest"
)

// socket is a connection that says and hears what the contract shows, word for word.
type socket struct {
	*websocket.Conn
	t     *testing.T
	heard []string // the rest of a message with several objects
	*asyncapitest.Conversation
}

// handshake asks for a connection and returns it, or the HTTP status of the refusal.
func (s *server) handshake(t *testing.T, header http.Header, protocols ...string) (*websocket.Conn, int) {
	t.Helper()
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: protocols}
	conn, response, err := dialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(s.url, "http")+"/ws", header)
	if response == nil {
		t.Fatalf("connect: %v", err)
	}
	_ = response.Body.Close()
	if err != nil {
		return nil, response.StatusCode
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn, response.StatusCode
}

func (s *server) dial(t *testing.T, header http.Header, protocols ...string) *socket {
	t.Helper()
	conn, status := s.handshake(t, header, protocols...)
	if conn == nil {
		t.Fatalf("the handshake was answered %d", status)
	}
	return &socket{Conn: conn, t: t, Conversation: s.sockets.Conversation()}
}

// register connects and says who it is; more is the rest of the data, as JSON.
func (s *server) register(t *testing.T, token, more string) *socket {
	t.Helper()
	k := s.dial(t, nil)
	k.say(`{"event":"register","data":{"token":"` + token + `"` + more + `}}`)
	return k
}

func (k *socket) say(text string) {
	k.t.Helper()
	for line := range strings.Lines(text) {
		k.Asked([]byte(line))
	}
	if err := k.WriteMessage(websocket.TextMessage, []byte(text)); err != nil {
		k.t.Fatalf("say %s: %v", text, err)
	}
}

func (k *socket) next() (string, error) {
	if len(k.heard) == 0 {
		if err := k.SetReadDeadline(time.Now().Add(20 * time.Second)); err != nil {
			return "", err
		}
		_, text, err := k.ReadMessage()
		if err != nil {
			return "", err
		}
		if err := k.Received(text); err != nil {
			k.t.Error(err)
		}
		k.heard = strings.Split(string(text), "\n")
	}
	first := k.heard[0]
	k.heard = k.heard[1:]
	return first, nil
}

// hears reads the next object, which must have at least what the wanted one has, and returns it.
func (k *socket) hears(want string) string {
	k.t.Helper()
	got, err := k.next()
	if err != nil {
		k.t.Fatalf("heard %v, want %s", err, want)
	}
	if !includes(k.t, got, want) {
		k.t.Fatalf("heard %s\nwant  %s", got, want)
	}
	return got
}

// ends reads until the connection is closed, which it has to be soon.
func (k *socket) ends(code int, reason string) {
	k.t.Helper()
	for began := time.Now(); ; {
		text, err := k.next()
		var closed *websocket.CloseError
		switch {
		case err == nil && time.Since(began) > 15*time.Second:
			k.t.Errorf("heard %s, want the end with %d %s", text, code, reason)
		case err == nil:
			continue
		case !errors.As(err, &closed) || closed.Code != code || closed.Text != reason:
			k.t.Errorf("ended with %v, want %d %s", err, code, reason)
		}
		return
	}
}

// includes tells whether a JSON value has all of another; more fields are welcome.
func includes(t *testing.T, got, want string) bool {
	t.Helper()
	var g, w any
	if err := json.Unmarshal([]byte(got), &g); err != nil {
		t.Errorf("not JSON: %s", got)
	}
	if err := json.Unmarshal([]byte(want), &w); err != nil {
		t.Fatalf("the test is wrong: %s: %v", want, err)
	}
	return covers(g, w)
}

func covers(got, want any) bool {
	fields, ok := want.(map[string]any)
	if !ok {
		return reflect.DeepEqual(got, want)
	}
	has, ok := got.(map[string]any)
	if !ok {
		return false
	}
	for name, value := range fields {
		if there, ok := has[name]; !ok || !covers(there, value) {
			return false
		}
	}
	return true
}

// caughtUpShop is a shop in which eight things have happened, and all of them have arrived where clients are served:
// 1 it opened, 2 a product was added, ada's order was 3 placed, 5 confirmed and 7 prepared, and each time her inbox
// got an entry: 4, 6 and 8.
func caughtUpShop(t *testing.T) (s shop, order, log string) {
	t.Helper()
	s = openedShop(t)
	order = s.place(t, s.ada)
	s.await(t, 4)
	s.move(t, order, "confirmed")
	s.await(t, 6)
	s.move(t, order, "preparing")
	s.await(t, 8)
	var answer struct{ Data struct{ Log string } }
	if err := json.Unmarshal([]byte(s.register(t, s.ada, "").hears(`{"event":"registered"}`)), &answer); err != nil {
		t.Fatal(err)
	}
	return s, order, answer.Data.Log
}

// await waits until a new connection begins at seq. The entry that a change makes in its customer's inbox follows it by
// itself: whoever counts on what comes next waits for it.
func (s shop) await(t *testing.T, seq int64) {
	t.Helper()
	parttest.Eventually(t, fmt.Sprintf("connections to begin at %d", seq), func() bool {
		k := s.register(t, s.admin, "")
		defer func() { _ = k.Close() }()
		text, err := k.next()
		return err == nil && includes(t, text, fmt.Sprintf(`{"event":"registered","data":{"seq":%d}}`, seq))
	})
}

func TestSubprotocolsAndOrigins(t *testing.T) {
	t.Parallel()
	s, _, _ := caughtUpShop(t)
	for _, protocol := range []string{"orderlog.v1", "orderlog.v1.batch"} {
		if got := s.dial(t, nil, protocol).Subprotocol(); got != protocol {
			t.Errorf("asked for %s, got %q", protocol, got)
		}
	}
	// Several objects a message, one a line, both ways.
	k := s.dial(t, nil, "orderlog.v1.batch")
	k.say(`{"event":"register","data":{"token":"` + s.ada + `","lastSeq":0}}` + "\n" + `{"event":"ping"}`)
	heard := map[string]int{}
	for heard["caught_up"] == 0 || heard["pong"] == 0 {
		text, err := k.next()
		if err != nil {
			t.Fatal(err)
		}
		var f struct{ Event string }
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatalf("a line that is no object: %s", text)
		}
		heard[f.Event]++
	}
	if heard["registered"] != 1 || heard["order:status:update"] != 2 || heard["business:status:update"] != 1 || heard["notification:new"] != 3 {
		t.Errorf("heard %v", heard)
	}

	for origin, want := range map[string]int{
		"http://localhost:3000": http.StatusSwitchingProtocols, "https://evil.example": http.StatusForbidden,
		"http://localhost:3001": http.StatusForbidden, "null": http.StatusForbidden,
	} {
		if _, status := s.handshake(t, http.Header{"Origin": {origin}}); status != want {
			t.Errorf("%s is answered %d, want %d", origin, status, want)
		}
	}
}
