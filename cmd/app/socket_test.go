package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// socket is a connection that says and hears what the contract shows, word for word.
type socket struct {
	*websocket.Conn
	t     *testing.T
	heard []string // the rest of a message with several objects
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
	return &socket{Conn: conn, t: t}
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

// caughtUpShop is a shop in which five things have happened, and all of them have arrived where clients are served:
// 1 it opened, 2 a product was added, 3 ada's order was placed, 4 confirmed, 5 prepared.
func caughtUpShop(t *testing.T) (s shop, order, log string) {
	t.Helper()
	s = openedShop(t)
	order = s.place(t, s.ada)
	s.move(t, order, "confirmed")
	s.move(t, order, "preparing")
	s.await(t, 5)
	var answer struct{ Data struct{ Log string } }
	if err := json.Unmarshal([]byte(s.register(t, s.ada, "").hears(`{"event":"registered"}`)), &answer); err != nil {
		t.Fatal(err)
	}
	return s, order, answer.Data.Log
}

// await waits until a new connection begins at seq.
func (s shop) await(t *testing.T, seq int64) {
	t.Helper()
	parttest.Eventually(t, fmt.Sprintf("connections to begin at %d", seq), func() bool {
		k := s.register(t, s.admin, "")
		defer func() { _ = k.Close() }()
		text, err := k.next()
		return err == nil && includes(t, text, fmt.Sprintf(`{"event":"registered","data":{"seq":%d}}`, seq))
	})
}

func TestRegistering(t *testing.T) {
	t.Parallel()
	s, order, log := caughtUpShop(t)
	own := fmt.Sprintf(`{"event":"registered","data":{"userId":"ada","role":"customer","log":%q,"seq":5,"recovered":false,`+
		`"channels":["all","role:customer","user:ada"],"refused":[]}}`, log)

	s.register(t, s.ada, "").hears(own)
	s.register(t, "Bearer "+s.ada, "").hears(own) // as the clients of before sent it
	s.register(t, s.ada, `,"userId":"ada","role":"customer"`).hears(own)
	s.register(t, s.ada, `,"color":"red","rooms":null,"lastSeq":null`).hears(own)
	header := s.dial(t, http.Header{"Authorization": {"Bearer " + s.ada}})
	header.say(`{"event":"register"}`)
	header.hears(own)

	rooms := fmt.Sprintf(`,"rooms":["order:%s","order:%s","role:admin","user:bob"]`, order, nobodysID)
	s.register(t, s.ada, rooms).hears(fmt.Sprintf(
		`{"data":{"channels":["all","role:customer","user:ada","order:%s"],"refused":["order:%s","role:admin","user:bob"]}}`, order, nobodysID))
	s.register(t, s.bob, rooms).hears(fmt.Sprintf(
		`{"data":{"channels":["all","role:customer","user:bob"],"refused":["order:%s","order:%s","role:admin","user:bob"]}}`, order, nobodysID))
	s.register(t, s.admin, rooms).hears(fmt.Sprintf(`{"data":{"role":"admin","channels":["all","role:admin","user:boss","order:%s"]}}`, order))

	numbered := s.dial(t, nil)
	numbered.say(`{"event":"register","data":{"token":"` + s.ada + `"},"id":0}`)
	numbered.hears(own)
	numbered.hears(`{"ack":0,"data":{"userId":"ada","seq":5}}`)
}

func TestWhereAClientGoesOn(t *testing.T) {
	t.Parallel()
	s, order, log := caughtUpShop(t)
	const elsewhere = `"0190c0de-0000-7000-8000-00000000000f"`
	event := func(prev, seq int64) string {
		name := map[int64]string{1: "business:status:update"}[seq]
		if name == "" {
			name = "order:status:update"
		}
		return fmt.Sprintf(`{"prev":%d,"seq":%d,"event":%q}`, prev, seq, name)
	}
	resync := func(reason string) string {
		return fmt.Sprintf(`{"event":"resync","data":{"seq":5,"reason":%q}}`, reason)
	}
	const caughtUp, recovered, not = `{"event":"caught_up","data":{"seq":5}}`, "true", "false"

	var sockets []*socket
	for _, tc := range []struct {
		more      string
		recovered string
		hears     []string
	}{
		{``, not, nil},
		{`,"lastSeq":0`, recovered, []string{event(0, 1), event(1, 4), event(4, 5), caughtUp}},
		{`,"lastSeq":1`, recovered, []string{event(1, 4), event(4, 5), caughtUp}},
		{`,"lastSeq":2`, recovered, []string{event(2, 4), event(4, 5), caughtUp}}, // 2 was not for ada
		{`,"lastSeq":4`, recovered, []string{event(4, 5), caughtUp}},
		{`,"lastSeq":5`, recovered, []string{caughtUp}},
		{`,"lastSeq":4,"log":"` + log + `"`, recovered, []string{event(4, 5), caughtUp}},
		{`,"lastSeq":4,"rooms":["order:` + order + `"]`, recovered, []string{event(4, 5), caughtUp}}, // over two channels, once
		{`,"lastSeq":6`, not, []string{resync("ahead")}},
		{`,"lastSeq":9007199254740993`, not, []string{resync("ahead")}},
		{`,"lastSeq":4,"log":` + elsewhere, not, []string{resync("different_log")}},
		{`,"lastSeq":6,"log":` + elsewhere, not, []string{resync("different_log")}},
	} {
		k := s.register(t, s.ada, tc.more)
		k.hears(fmt.Sprintf(`{"event":"registered","data":{"seq":5,"recovered":%s}}`, tc.recovered))
		for _, want := range tc.hears {
			k.hears(want)
		}
		sockets = append(sockets, k)
	}
	// Whatever came before, they all were told of 5, and hear what is new once.
	s.move(t, order, "ready")
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": false, "message": "sold out"})
	for _, k := range sockets {
		k.hears(fmt.Sprintf(`{"prev":5,"seq":6,"event":"order:status:update","data":{"orderId":%q,"status":"ready"}}`, order))
		k.hears(`{"prev":6,"seq":7,"event":"business:status:update","data":{"isOpen":false,"message":"sold out"}}`)
	}
}

// Who is told of what, and in which words. The feed over REST has the same objects.
func TestWhoIsToldOfWhat(t *testing.T) {
	t.Parallel()
	s, order, _ := caughtUpShop(t)
	s.must(t, 200, "POST", "/api/v1/orders/"+order+"/cancel", s.admin, map[string]any{"reason": "burnt"})
	s.await(t, 6)

	number := s.must(t, 200, "GET", "/api/v1/orders/"+order+"?min_seq=6", s.ada, nil).body["orderNumber"]
	opened := `{"seq":1,"event":"business:status:update","data":{"isOpen":true}}`
	placed := fmt.Sprintf(`{"seq":3,"event":"order:new","data":{"orderId":%q,"orderNumber":%q,"customerName":"ADA","totalAmount":1900}}`, order, number)
	status := func(seq int, status string) string {
		return fmt.Sprintf(`{"seq":%d,"event":"order:status:update","data":{"orderId":%q,"orderNumber":%q,"status":%q}}`, seq, order, number, status)
	}
	cancelled := fmt.Sprintf(`{"seq":6,"event":"order:cancelled","data":{"orderId":%q,"orderNumber":%q,"reason":"burnt"}}`, order, number)
	for _, tc := range []struct {
		token string
		hears []string
	}{
		{s.ada, []string{opened, status(4, "confirmed"), status(5, "preparing"), cancelled}},
		{s.bob, []string{opened}},
		{s.admin, []string{opened, placed, status(4, "confirmed"), status(5, "preparing"), cancelled}},
		{s.dave, []string{opened, placed}},
	} {
		k := s.register(t, tc.token, `,"lastSeq":0`)
		k.hears(`{"event":"registered","data":{"recovered":true}}`)
		feed := s.must(t, 200, "GET", "/api/v1/feed?lastSeq=0&min_seq=6", tc.token, nil)
		items, _ := feed.body["items"].([]any)
		for i, want := range tc.hears {
			var got any
			if err := json.Unmarshal([]byte(k.hears(want)), &got); err != nil {
				t.Fatal(err)
			}
			if i >= len(items) || !reflect.DeepEqual(items[i], got) {
				t.Errorf("over the socket %v, in the feed %v", got, items)
			}
		}
		k.hears(`{"event":"caught_up","data":{"seq":6}}`)
		if len(items) != len(tc.hears) || feed.seq() != 6 {
			t.Errorf("the feed has %d at %d, want %d", len(items), feed.seq(), len(tc.hears))
		}
	}
}

func TestWhatARegisteredClientMaySay(t *testing.T) {
	t.Parallel()
	s, order, _ := caughtUpShop(t)
	room := "order:" + order
	k := s.register(t, s.ada, "")
	k.hears(`{"event":"registered"}`)
	fails := func(id, code string) string { return fmt.Sprintf(`{"ack":%s,"error":{"code":%q}}`, id, code) }
	for _, tc := range []struct{ says, hears string }{
		{`{"event":"ping"}`, `{"event":"pong"}`},
		{`{"event":"join:order","data":{"orderId":"` + order + `"},"id":1}`, `{"ack":1,"data":{"room":"` + room + `","seq":5,"events":[],"more":false}}`},
		{`{"event":"join:order","data":"` + order + `","id":0}`, `{"ack":0,"data":{"room":"` + room + `"}}`}, // the bare id, as before
		{`{"event":"leave:order","data":{"orderId":"` + order + `"},"id":2}`, `{"ack":2,"data":{"room":"` + room + `"}}`},
		{`{"event":"leave:order","data":"` + order + `","id":3}`, `{"ack":3,"data":{"room":"` + room + `"}}`},
		{`{"event":"join:order","data":{"orderId":"` + nobodysID + `"},"id":4}`, fails("4", "not_found")},
		{`{"event":"join:order","data":{"orderId":"pizza"},"id":5}`, fails("5", "invalid_request")},
		{`{"event":"join:order","id":6}`, fails("6", "invalid_request")},
		{`{"event":"order:cancel","data":{},"id":7}`, fails("7", "unknown_event")},
		{`{"event":"order:cancel"}`, `{"event":"error","data":{"code":"unknown_event"}}`},
		{`{"event":"join:order","data":{"orderId":"` + nobodysID + `"}}`, `{"event":"error","data":{"code":"not_found"}}`},
		{`{"event":"register","data":{"token":"` + s.ada + `"},"id":8}`, fails("8", "already_registered")},
		{`{"event":"refresh","data":{"token":"` + s.ada + `"},"id":9}`, `{"ack":9,"data":{}}`},
		{`{"event":"refresh","data":{"token":"x"},"id":10}`, fails("10", "unauthenticated")},
	} {
		k.say(tc.says)
		if got := k.hears(tc.hears); includes(t, got, `{"seq":0}`) {
			t.Errorf("only what comes from the log has a seq: %s", got)
		}
	}
	// The room's past comes in the answer, what is new in the stream.
	k.say(`{"event":"join:order","data":{"orderId":"` + order + `","lastSeq":4},"id":11}`)
	var joined struct {
		Data struct {
			Seq    int64
			Events []struct{ Prev, Seq int64 }
		}
	}
	if err := json.Unmarshal([]byte(k.hears(`{"ack":11,"data":{"room":"`+room+`","seq":5,"more":false}}`)), &joined); err != nil {
		t.Fatal(err)
	}
	if len(joined.Data.Events) != 1 || joined.Data.Events[0].Prev != 4 || joined.Data.Events[0].Seq != 5 {
		t.Errorf("joined with %+v", joined.Data)
	}
	s.move(t, order, "ready")
	k.hears(`{"prev":5,"seq":6,"event":"order:status:update"}`)

	for _, stranger := range []string{s.bob, s.dave} {
		k := s.register(t, stranger, "")
		k.hears(`{"event":"registered"}`)
		k.say(`{"event":"join:order","data":{"orderId":"` + order + `"},"id":1}`)
		k.hears(fails("1", "forbidden"))
	}
}

func TestHowConnectionsEnd(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	register := func(token, more string) string {
		return `{"event":"register","data":{"token":"` + token + `"` + more + `}}`
	}
	expired := output(t, []string{"token", "--user", "ada", "--role", "customer", "--ttl", "1ns"}, serverSettings("postgres://x"))
	hello := register(s.ada, "")
	for name, tc := range map[string]struct {
		says   []string
		code   int
		reason string
	}{
		"no JSON":                      {[]string{"hello"}, 4400, "bad_message"},
		"no object":                    {[]string{"[]"}, 4400, "bad_message"},
		"no event":                     {[]string{"{}"}, 4400, "bad_message"},
		"no JSON, registered":          {[]string{hello, "{"}, 4400, "bad_message"},
		"a cursor in words":            {[]string{register(s.ada, `,"lastSeq":"5"`)}, 4400, "bad_message"},
		"a cursor below 0":             {[]string{register(s.ada, `,"lastSeq":-1`)}, 4400, "bad_message"},
		"something else first":         {[]string{`{"event":"ping"}`}, 4401, "unauthenticated"},
		"no token":                     {[]string{`{"event":"register","data":{}}`}, 4401, "unauthenticated"},
		"a token that is none":         {[]string{register("x", "")}, 4401, "unauthenticated"},
		"a token that has expired":     {[]string{register(expired, "")}, 4401, "token_expired"},
		"not the token's user":         {[]string{register(s.ada, `,"userId":"bob"`)}, 4403, "forbidden"},
		"not the token's role":         {[]string{register(s.ada, `,"role":"admin"`)}, 4403, "forbidden"},
		"a new token for another user": {[]string{hello, `{"event":"refresh","data":{"token":"` + s.bob + `"}}`}, 4403, "forbidden"},
		"more than 64 KiB":             {[]string{hello, `{"event":"ping","data":"` + strings.Repeat("x", 64<<10) + `"}`}, 4413, "message_too_large"},
		"too much talk":                {[]string{hello, strings.Repeat("\x00", 101)}, 4429, "rate_limited"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			k := s.dial(t, nil)
			for _, text := range tc.says {
				if n := strings.Count(text, "\x00"); n > 0 {
					for range n {
						k.say(`{"event":"ping"}`)
					}
					continue
				}
				k.say(text)
			}
			k.ends(tc.code, tc.reason)
		})
	}
	t.Run("bytes", func(t *testing.T) {
		t.Parallel()
		k := s.dial(t, nil)
		if err := k.WriteMessage(websocket.BinaryMessage, []byte(hello)); err != nil {
			t.Fatal(err)
		}
		k.ends(4400, "bad_message")
	})
	t.Run("within the bounds", func(t *testing.T) {
		t.Parallel()
		k := s.register(t, s.ada, "")
		k.hears(`{"event":"registered"}`)
		const frame = `{"event":"ping","data":""}`
		k.say(strings.Replace(frame, `""`, `"`+strings.Repeat("x", 64<<10-len(frame))+`"`, 1))
		k.hears(`{"event":"pong"}`)
		for range 98 { // a hundred with register
			k.say(`{"event":"ping"}`)
			k.hears(`{"event":"pong"}`)
		}
	})
}

// What takes its time, side by side: nobody waits for a client that does not register, a quiet connection hears within
// 15 s up to where there was nothing for it, and a connection lives as long as its newest token.
func TestTimes(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	s.await(t, 2)
	began := time.Now()
	silent := s.dial(t, nil)
	short, err := auth.Sign([]byte(jwtSecret), auth.Identity{UserID: "bob", Role: domain.RoleCustomer, ExpiresAt: began.Add(4 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	live, resumed := s.register(t, s.bob, ""), s.register(t, s.bob, `,"lastSeq":1`)
	refreshed, expiring := s.register(t, short, ""), s.register(t, short, "")
	for _, k := range []*socket{live, resumed, refreshed, expiring} {
		k.hears(`{"event":"registered","data":{"seq":2}}`)
	}
	resumed.hears(`{"event":"caught_up","data":{"seq":2}}`)
	refreshed.say(`{"event":"refresh","data":{"token":"` + s.bob + `"},"id":1}`)
	refreshed.hears(`{"ack":1,"data":{}}`)
	s.place(t, s.ada) // nothing for bob
	expiring.ends(4401, "token_expired")
	for _, k := range []*socket{live, resumed, refreshed} {
		k.hears(`{"event":"checkpoint","data":{"seq":3}}`)
	}
	silent.ends(4408, "register_timeout")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("all that took %s", took)
	}
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": true})
	for _, k := range []*socket{live, resumed, refreshed} {
		k.hears(`{"prev":3,"seq":4,"event":"business:status:update"}`)
	}
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
	if heard["registered"] != 1 || heard["order:status:update"] != 2 || heard["business:status:update"] != 1 {
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

func TestAServerThatStopsAsksItsClientsBack(t *testing.T) {
	t.Parallel()
	env := serverSettings(pgtest.Database(t))
	s := shop{server: start(t, env), admin: tokenFor(t, "boss", domain.RoleAdmin), ada: tokenFor(t, "ada", domain.RoleCustomer)}
	s.openShop(t)
	s.await(t, 2)
	k := s.register(t, s.ada, "")
	k.hears(`{"event":"registered"}`)

	var stopping sync.WaitGroup
	stopping.Go(s.stop)
	var hint struct {
		Event string
		Data  struct{ AfterMs int64 }
	}
	for hint.Event != "reconnect" { // what happened before may come before
		text, err := k.next()
		if err != nil {
			t.Fatalf("no hint before %v", err)
		}
		if err := json.Unmarshal([]byte(text), &hint); err != nil {
			t.Fatal(err)
		}
	}
	if hint.Data.AfterMs < 1 || hint.Data.AfterMs > 30_000 {
		t.Errorf("back in %d ms", hint.Data.AfterMs)
	}
	k.ends(websocket.CloseGoingAway, "going_away")
	stopping.Wait()

	s.server = start(t, env)
	k = s.register(t, s.ada, `,"lastSeq":0`)
	k.hears(`{"event":"registered","data":{"seq":2,"recovered":true}}`)
	k.hears(`{"prev":0,"seq":1,"event":"business:status:update"}`)
	k.hears(`{"event":"caught_up","data":{"seq":2}}`)
}
