package ws

import (
	"fmt"
	"slices"
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

func TestWhoMayFollowADeliveryAgent(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	s.rights.Assign(order1, "dora")
	for _, c := range []struct {
		user string
		role domain.Role
		code string
	}{
		{"root", domain.RoleAdmin, ""},
		{"dora", domain.RoleDelivery, ""},
		{"dirk", domain.RoleDelivery, "forbidden"},
		{"ann", domain.RoleCustomer, ""},
		{"bob", domain.RoleCustomer, "forbidden"},
	} {
		t.Run(c.user, func(t *testing.T) {
			t.Parallel()
			conn := s.dial(t, nil)
			conn.register(c.user, c.role, "")
			m := conn.ask("join:delivery", `{"deliveryId":"dora"}`)
			if m.code() != c.code || c.code == "" && (m.Data.Room != "delivery:dora" || m.Data.Events == nil || m.Data.More) {
				t.Fatalf("got %s", m.raw)
			}
			again := s.dial(t, nil)
			m = again.register(c.user, c.role, `,"rooms":["delivery:dora"]`)
			if got := slices.Contains(m.Data.Channels, "delivery:dora"); got != (c.code == "") || len(m.Data.Refused) == 1 == got {
				t.Fatalf("got %s", m.raw)
			}
		})
	}
}

func TestTheRoomOfADeliveryAgentIsJoinedAndLeft(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) { m.Add("delivery:dora"); m.Add("delivery:dora") }})
	c := s.dial(t, nil)
	c.register("root", domain.RoleAdmin, "")
	if m := c.ask("join:delivery", `{"deliveryId":"dora","lastSeq":1}`); m.Data.Seq != 2 || m.seqs() != "1<2" {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("delivery:dora") // 3
	s.feed.Add("delivery:dirk") // 4
	c.expectEvents(2, 3)
	if m := c.ask("leave:delivery", `"dora"`); m.Error != nil || m.Data.Room != "delivery:dora" {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("delivery:dora") // 5
	if m := c.ask("join:delivery", `"dora"`); m.Error != nil || m.Data.Seq < 3 {
		t.Fatalf("got %s", m.raw)
	}
	s.reach(t, 5)
	s.feed.Add("delivery:dora") // 6
	if m := c.expect("e"); m.Seq < 5 {
		t.Fatalf("got %s", m.raw)
	}
}

// The log knows already that the agent has the customer's order, and the hub is still telling what it did for others.
func TestACustomerIsNotToldWhatAnAgentDidJustBefore(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) { m.Add("user:ann") }}) // 1
	s.rights.Assign(order1, "dora")
	s.rights.Since = 3
	back, later := s.dial(t, nil), s.dial(t, nil)
	back.register("ann", domain.RoleCustomer, `,"lastSeq":1,"rooms":["delivery:dora"]`)
	back.expect("caught_up")
	later.register("ann", domain.RoleCustomer, "")
	if m := later.ask("join:delivery", `{"deliveryId":"dora"}`); m.Error != nil || m.Data.Seq != 3 {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("delivery:dora", "user:bob") // 2
	s.feed.Add("delivery:dora")             // 3
	s.feed.Add("delivery:dora")             // 4
	back.expectEvents(1, 4)
	later.expectEvents(1, 4)
}

// What an agent did before is of the orders of others.
func TestACustomerFollowsAnAgentFromThenOn(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		m.Add("delivery:dora", "user:bob") // 1
		m.Add("delivery:dora", "user:ann") // 2
		m.Add("delivery:dora")             // 3
	}})
	s.rights.Assign(order1, "dora")
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, `,"lastSeq":0,"rooms":["delivery:dora"]`)
	c.expectEvents(0, 2)
	c.expect("caught_up")
	later := s.dial(t, nil)
	later.register("ann", domain.RoleCustomer, "")
	if m := later.ask("join:delivery", `{"deliveryId":"dora","lastSeq":0}`); m.Error != nil || m.Data.Seq != 3 || m.seqs() != "" {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("delivery:dora") // 4
	c.expectEvents(3, 4)
	later.expectEvents(3, 4)

	// The order is delivered: hers ends, an admin's does not.
	s.rights.Assign(order1, "")
	s.feed.Append(projections.Notification{
		Event: "e", Channels: []string{"role:admin", "delivery:dora"},
		Endings: []projections.Ending{{Channel: "delivery:dora", User: "ann", Role: "customer"}},
	})
	for _, c := range []*client{c, later} {
		if m := c.expect("left"); m.Data.Room != "delivery:dora" {
			t.Fatalf("got %s", m.raw)
		}
	}
}

func TestOddRooms(t *testing.T) {
	t.Parallel()
	s := serve(t, options{session: func(c *session.Config) { c.MaxRooms = 2 }})
	c := s.dial(t, nil)
	m := c.register("root", domain.RoleAdmin, fmt.Sprintf(`,"rooms":["delivery:a","nonsense","delivery:b","delivery:a","order:%s"]`, order1))
	if !slices.Equal(m.Data.Channels[3:], []string{"delivery:a", "delivery:b"}) || len(m.Data.Refused) != 2 {
		t.Errorf("got %s", m.raw)
	}
	for data, code := range map[string]string{
		`{"deliveryId":""}`: "invalid_request", `{"deliveryId":7}`: "invalid_request", `{}`: "invalid_request", `[]`: "invalid_request",
		`"a\u0000"`: "invalid_request", `{"deliveryId":"a","lastSeq":-1}`: "invalid_request", `{"deliveryId":"a","lastSeq":"1"}`: "invalid_request",
		`{"deliveryId":"a","lastSeq":1}`: "cursor_ahead", `"c"`: "too_many_rooms",
	} {
		if m := c.ask("join:delivery", data); m.code() != code || m.Error.Message == "" {
			t.Errorf("%s: got %s, want %s", data, m.raw, code)
		}
	}
	c.ask("leave:delivery", `"a"`)
	if m := c.ask("join:delivery", `"broken"`); m.code() != "unavailable" {
		t.Errorf("got %s", m.raw)
	}
}
