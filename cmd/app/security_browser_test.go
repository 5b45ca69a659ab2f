package main

import (
	"net/http"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
)

// A browser adds its cookies to whatever any page asks for. So none lets anybody in, whatever it is called.
func TestNoCookieLetsAnybodyIn(t *testing.T) {
	t.Parallel()
	s := openedShop(t)
	var cookies []string
	for _, name := range []string{"token", "access_token", "jwt", "session", "Authorization"} {
		cookies = append(cookies, name+"="+s.admin)
	}
	cookie := strings.Join(cookies, "; ")
	for _, path := range []string{"/api/v1/orders", "/api/v1/feed", "/api/v1/events", "/api/v1/audit/verify"} {
		refused(t, s.ask(t, "GET", path, "", "", "Cookie", cookie), 401, "unauthenticated")
	}
	refused(t, s.ask(t, "PATCH", "/api/v1/business/status", "", `{"isOpen":false}`, "Cookie", cookie), 401, "unauthenticated")

	k := s.dial(t, http.Header{"Cookie": {cookie}})
	k.say(`{"event":"register","data":{}}`)
	k.ends(4401, "unauthenticated")

	engine, err := enginetest.Dial(t.Context(), s.url, enginetest.Options{Path: "/socket.io/", Header: http.Header{"Cookie": {cookie}}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(engine.Cut)
	if err := engine.Send(t.Context(), `0/admin,{}`); err != nil {
		t.Fatal(err)
	}
	if answer := (engineClient{engine}).until(t, "0", "4"); !strings.Contains(answer, `"unauthenticated"`) {
		t.Errorf("with cookies /admin is answered %s", answer)
	}
}
