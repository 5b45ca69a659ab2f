package main

import (
	"encoding/json"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/pgtest"
)

func TestHowConnectionsEnd(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	register := func(token, more string) string {
		return `{"event":"register","data":{"token":"` + token + `"` + more + `}}`
	}
	expired := output(t, []string{"token", "--user", "ada", "--role", "customer", "--ttl", "1ns"}, serverSettings(t, "postgres://x"))
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
	s.place(t, s.ada) // nothing for bob, nor is the entry that it makes in her inbox
	s.await(t, 4)
	expiring.ends(4401, "token_expired")
	for _, k := range []*socket{live, resumed, refreshed} {
		k.hears(`{"event":"checkpoint","data":{"seq":4}}`)
	}
	silent.ends(4408, "register_timeout")
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("all that took %s", took)
	}
	s.must(t, 200, "PATCH", "/api/v1/business/status", s.admin, map[string]any{"isOpen": true})
	for _, k := range []*socket{live, resumed, refreshed} {
		k.hears(`{"prev":4,"seq":5,"event":"business:status:update"}`)
	}
}

func TestAServerThatStopsAsksItsClientsBack(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, pgtest.Database(t))
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
