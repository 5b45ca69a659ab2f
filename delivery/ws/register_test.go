package ws

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
)

func TestRegisterWithoutCursorIsLiveFromItsSeq(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) { m.Add("all"); m.Add("all") }})
	c := s.dial(t, nil)
	m := c.register("ann", domain.RoleCustomer, `,"userId":"ann","role":"customer"`)
	if d := m.Data; d.UserID != "ann" || d.Role != "customer" || d.Log != s.feed.ID.String() || d.Seq != 2 || d.Recovered ||
		!slices.Equal(d.Channels, []string{"all", "role:customer", "user:ann"}) || d.Refused == nil {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("role:admin") // not for her
	s.feed.Add("user:ann", "all")
	s.feed.Add("role:customer")
	c.expectEvents(2, 4, 5)
}

func TestCursorIsReplayedThenCaughtUpThenLive(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		hub: func(c *delivery.Config) { c.RingFrames, c.PageSize = 3, 2 },
		before: func(m *deliverytest.Feed) {
			for range 10 {
				m.Add("user:ann")
			}
			m.Add()
		},
	})
	c := s.dial(t, nil, V1)
	if c.Subprotocol() != V1 {
		t.Fatalf("subprotocol %q", c.Subprotocol())
	}
	m := c.register("ann", domain.RoleCustomer, `,"lastSeq":3,"log":"`+s.feed.ID.String()+`"`)
	if !m.Data.Recovered || m.Data.Seq != 11 {
		t.Fatalf("got %s", m.raw)
	}
	c.expectEvents(3, 4, 5, 6, 7, 8, 9, 10)
	if m := c.expect("caught_up"); m.Data.Seq != 11 {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("all")
	c.expectEvents(11, 12)
}

func TestCursorZeroIsAllThatIsHeld(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		for range 6 {
			m.Add("all")
		}
		m.Drop(4)
	}})
	c := s.dial(t, nil)
	if m := c.register("ann", domain.RoleCustomer, `,"lastSeq":0`); !m.Data.Recovered {
		t.Fatalf("got %s", m.raw)
	}
	c.expectEvents(0, 5, 6)
	c.expect("caught_up")
}

func TestCursorThatCannotBeResumedIsToldSo(t *testing.T) {
	t.Parallel()
	for more, reason := range map[string]string{
		`,"lastSeq":3`:  "expired",
		`,"lastSeq":11`: "ahead",
		`,"lastSeq":8,"log":"6b0f3a3e-0000-4000-8000-000000000000"`: "different_log",
		`,"lastSeq":0,"log":"6b0f3a3e-0000-4000-8000-000000000000"`: "different_log",
	} {
		t.Run(reason+more, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{before: func(m *deliverytest.Feed) {
				for range 10 {
					m.Add("all")
				}
				m.Drop(4)
			}})
			c := s.dial(t, nil)
			if m := c.register("ann", domain.RoleCustomer, more); m.Data.Recovered || m.Data.Seq != 10 {
				t.Fatalf("got %s", m.raw)
			}
			if m := c.expect("resync"); m.Data.Reason != reason || m.Data.Seq != 10 {
				t.Fatalf("got %s", m.raw)
			}
			s.feed.Add("all")
			c.expectEvents(10, 11)
		})
	}
}

func TestResyncComesBeforeWhatWasAskedMeanwhile(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	say := fmt.Sprintf(`{"event":"register","data":{"token":%q,"lastSeq":9}}`, token("ann", domain.RoleCustomer, time.Hour)) +
		strings.Repeat("\n"+`{"event":"ping"}`, 20)
	for range 10 {
		c := s.dial(t, nil, V1Batch)
		c.say("%s", say)
		c.expect("registered")
		c.expect("resync")
		c.expect("pong")
	}
}

func TestCursorWithinBoundsIsGood(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		for range 10 {
			m.Add("all")
		}
		m.Drop(4)
		m.HoldBack(2)
	}})
	// The log's head decides what is ahead and what has caught up, not how far the notification log has come.
	clients := map[int64]*client{}
	for _, cursor := range []int64{4, 8, 10} {
		c := s.dial(t, nil)
		if m := c.register("ann", domain.RoleCustomer, fmt.Sprintf(`,"lastSeq":%d`, cursor)); !m.Data.Recovered || m.Data.Seq != 10 {
			t.Fatalf("got %s", m.raw)
		}
		clients[cursor] = c
	}
	clients[4].expectEvents(4, 5, 6, 7, 8)
	s.feed.HoldBack(0)
	s.feed.Add("all")
	for cursor, c := range clients {
		last, caughtUp := max(cursor, 8), false
		for last < 11 || !caughtUp {
			m := c.hear()
			switch {
			case m.Event == "caught_up" && !caughtUp && m.Data.Seq >= 10:
				last, caughtUp = m.Data.Seq, true
			case m.Seq == last+1 && *m.Prev == last:
				last = m.Seq
			default:
				t.Fatalf("the client with cursor %d was last told of %d, then got %s", cursor, last, m.raw)
			}
		}
	}
}

func TestRetentionThatPassesAReplayIsToldAsResync(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		hub: func(c *delivery.Config) { c.RingFrames, c.PageSize = 1, 2 },
		before: func(m *deliverytest.Feed) {
			for range 10 {
				m.Add("all")
			}
		},
	})
	s.feed.OnRead(func() error { // the first page is read already
		s.feed.Drop(6)
		return nil
	})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, `,"lastSeq":1`)
	c.expectEvents(1, 2, 3)
	if m := c.expect("resync"); m.Data.Reason != "expired" || m.Data.Seq != 10 {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add("all")
	c.expectEvents(10, 11)
}

func TestRoomsAreJudgedAnewAtRegistration(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) { m.Add("order:" + order1.String()) }})
	c := s.dial(t, nil)
	m := c.register("ann", domain.RoleCustomer, `,"lastSeq":0,"rooms":["order:`+order1.String()+`","order:`+order3.String()+`","nonsense","order:`+"00000000-0000-0000-0000-000000000000"+`"]`)
	if d := m.Data; !slices.Equal(d.Channels, []string{"all", "role:customer", "user:ann", "order:" + order1.String()}) || len(d.Refused) != 3 {
		t.Fatalf("got %s", m.raw)
	}
	c.expectEvents(0, 1)
}

func TestTokenOfTheHandshake(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, http.Header{"Authorization": {"Bearer " + token("ann", domain.RoleAdmin, time.Hour)}})
	c.say(`{"event":"register","id":"r"}`)
	if m := c.expect("registered"); m.Data.Role != "admin" {
		t.Fatalf("got %s", m.raw)
	}
	if m := c.hear(); m.Ack != "r" || m.Data.UserID != "ann" {
		t.Fatalf("got %s", m.raw)
	}
	seed := s.dial(t, nil)
	seed.say(`{"event":"register","data":{"token":"Bearer %s"}}`, token("ann", domain.RoleAdmin, time.Hour))
	seed.expect("registered")
}

func TestRegistrationsThatAreRefused(t *testing.T) {
	t.Parallel()
	good := token("ann", domain.RoleCustomer, time.Hour)
	s := serve(t, options{})
	for name, tc := range map[string]struct {
		say    string
		code   int
		reason string
	}{
		"no token":              {`{"event":"register","data":{}}`, 4401, "unauthenticated"},
		"bad token":             {`{"event":"register","data":{"token":"nonsense"}}`, 4401, "unauthenticated"},
		"expired token":         {`{"event":"register","data":{"token":"` + token("ann", domain.RoleCustomer, -time.Second) + `"}}`, 4401, "token_expired"},
		"keys not there":        {`{"event":"register","data":{"token":"unavailable"}}`, 1013, "unavailable"},
		"another user":          {`{"event":"register","data":{"token":"` + good + `","userId":"bob"}}`, 4403, "forbidden"},
		"another role":          {`{"event":"register","data":{"token":"` + good + `","role":"admin"}}`, 4403, "forbidden"},
		"negative cursor":       {`{"event":"register","data":{"token":"` + good + `","lastSeq":-1}}`, 4400, "bad_message"},
		"broken cursor":         {`{"event":"register","data":{"token":"` + good + `","lastSeq":1.5}}`, 4400, "bad_message"},
		"cursor that is text":   {`{"event":"register","data":{"token":"` + good + `","lastSeq":"1"}}`, 4400, "bad_message"},
		"data that is a list":   {`{"event":"register","data":[]}`, 4400, "bad_message"},
		"another message first": {`{"event":"ping"}`, 4401, "unauthenticated"},
		"rights not known":      {`{"event":"register","data":{"token":"` + good + `","rooms":["order:` + deliverytest.BrokenOrder.String() + `"]}}`, 1013, "unavailable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := s.dial(t, nil)
			c.say("%s", tc.say)
			c.expectClose(tc.code, tc.reason)
		})
	}
}

func TestRegistrationHasItsTime(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.RegisterTimeout = 30 * time.Millisecond }})
	s.dial(t, nil).expectClose(4408, "register_timeout")
}

func TestRegisteringTwiceIsAnError(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	c.say(`{"event":"register","data":{"token":"x"}}`)
	if m := c.expect("error"); m.Data.Code != "already_registered" {
		t.Fatalf("got %s", m.raw)
	}
	c.say(`{"event":"ping"}`)
	c.expect("pong")
}

func TestTokenThatExpiresEndsTheConnectionUnlessRefreshed(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	say := func(c *client, ttl time.Duration) {
		c.say(`{"event":"register","data":{"token":%q}}`, token("ann", domain.RoleCustomer, ttl))
		c.expect("registered")
	}
	brief, lasting := s.dial(t, nil), s.dial(t, nil)
	say(brief, 300*time.Millisecond)
	say(lasting, 300*time.Millisecond)
	lasting.say(`{"event":"refresh","data":{"token":%q},"id":7}`, token("ann", domain.RoleCustomer, time.Hour))
	if m := lasting.hear(); m.Ack != 7.0 || m.Error != nil {
		t.Fatalf("got %s", m.raw)
	}
	lasting.say(`{"event":"refresh","data":{"token":"nonsense"},"id":8}`)
	if m := lasting.hear(); m.Error == nil || m.Error.Code != "unauthenticated" {
		t.Fatalf("got %s", m.raw)
	}
	brief.expectClose(4401, "token_expired")
	lasting.say(`{"event":"ping"}`)
	lasting.expect("pong")
	for _, other := range []string{
		token("bob", domain.RoleCustomer, time.Hour), token("ann", domain.RoleAdmin, time.Hour),
	} {
		c := s.dial(t, nil)
		say(c, time.Hour)
		c.say(`{"event":"refresh","data":{"token":%q}}`, other)
		c.expectClose(4403, "forbidden")
	}
}
