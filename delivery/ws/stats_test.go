package ws

import (
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
)

func TestConnectionsAreCountedByRoleAndUser(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	s.dial(t, nil) // has not registered
	s.dial(t, nil).register("dora", domain.RoleDelivery, "")
	s.dial(t, nil).register("ann", domain.RoleCustomer, "")
	second := s.dial(t, nil)
	second.register("ann", domain.RoleCustomer, "")
	check := func(customers int64, users ...string) {
		t.Helper()
		roles := map[domain.Role]int64{"delivery": 1, "customer": customers}
		eventually(t, "the counts are right", func() bool {
			st := s.handler.Stats()
			return st.Unregistered == 1 && maps.Equal(st.Roles, roles) && s.sessions.Users() == int64(len(users)) && slices.Equal(s.sessions.Online(), users)
		})
	}
	check(2, "ann", "dora")
	_ = second.Close()
	check(1, "ann", "dora")
}

func TestConnectionsThatEndedAreCountedByTheirCode(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	bye := func(code int) func(*client) {
		return func(c *client) {
			if err := c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(code, ""), time.Now().Add(patience)); err != nil {
				t.Error(err)
			}
			_, _ = c.next() // its answer
		}
	}
	want := map[int]int64{}
	for _, end := range []struct {
		code int
		how  func(*client)
	}{
		{4400, func(c *client) { c.say("nonsense"); c.expectClose(4400, "bad_message") }},
		{4401, func(c *client) { c.say(`{"event":"ping"}`); c.expectClose(4401, "unauthenticated") }},
		{1000, bye(1000)},
		{1001, bye(1001)},
		{0, bye(4409)}, // its own idea
		{0, bye(3999)},
		{1006, func(c *client) { _ = c.NetConn().Close() }},
	} {
		c := s.dial(t, nil)
		end.how(c)
		want[end.code]++
		eventually(t, "it is counted", func() bool { return maps.Equal(s.handler.Stats().Closed, want) })
		_ = c.Close()
	}
}
