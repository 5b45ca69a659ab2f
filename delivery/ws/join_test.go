package ws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

func (c *client) join(id uuid.UUID, more string) message {
	c.Helper()
	c.say(`{"event":"join:order","data":{"orderId":%q%s},"id":1}`, id, more)
	m := c.hear()
	if m.Ack != 1.0 || m.Error != nil || m.Data.Room != projections.ChannelOrder(id) {
		c.Fatalf("got %s", m.raw)
	}
	return m
}

func (m message) seqs() string {
	out := make([]string, len(m.Data.Events))
	for i, e := range m.Data.Events {
		out[i] = fmt.Sprintf("%d<%d", *e.Prev, e.Seq)
	}
	return strings.Join(out, " ")
}

func TestJoinBringsThePastAndTheStreamTheRest(t *testing.T) {
	t.Parallel()
	room := projections.ChannelOrder(order1)
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		m.Add(room)                             // 1
		m.Add("user:ann", room)                 // 2
		m.Add(projections.ChannelOrder(order2)) // 3
		m.Add(room)                             // 4
		m.Add("role:admin")                     // 5
	}})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	m := c.join(order1, `,"lastSeq":1`)
	if m.Data.Seq != 5 || m.Data.More || m.seqs() != "1<2 2<4" || m.Data.Events[0].Event != "e" || m.Data.Events[0].At == "" {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add(room)
	s.feed.Add(projections.ChannelOrder(order2))
	s.feed.Add(room, "user:ann")
	c.expectEvents(5, 6, 8)

	// Joined again, the answer holds what the stream has carried since, too.
	if m := c.join(order1, `,"lastSeq":6`); m.Data.Seq != 8 || m.seqs() != "6<8" {
		t.Fatalf("got %s", m.raw)
	}
	if m := c.join(order2, ""); m.Data.Seq != 8 || m.Data.Events == nil || len(m.Data.Events) != 0 {
		t.Fatalf("got %s", m.raw)
	}

	c.say(`{"event":"leave:order","data":{"orderId":%q},"id":2}`, order1)
	if m := c.hear(); m.Ack != 2.0 || m.Data.Room != room {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add(room)                             // 9: left
	s.feed.Add(projections.ChannelOrder(order2)) // 10
	c.expectEvents(8, 10)
}

func TestJoinTakesTheBareIDOfTheSeedsClients(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	c.say(`{"event":"join:order","data":%q}`, order1)
	c.say(`{"event":"ping"}`) // answered in order, so it has joined
	c.expect("pong")
	s.feed.Add(projections.ChannelOrder(order1))
	c.expectEvents(0, 1)
	c.say(`{"event":"leave:order","data":%q,"id":"x"}`, order1)
	if m := c.hear(); m.Ack != "x" {
		t.Fatalf("got %s", m.raw)
	}
}

func TestLongPastComesInParts(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		session: func(c *session.Config) { c.MaxJoinEvents = 3 },
		hub:     func(c *delivery.Config) { c.RingFrames = 4 },
		before: func(m *deliverytest.Feed) {
			for range 8 {
				m.Add(projections.ChannelOrder(order1))
			}
		},
	})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	m := c.join(order1, `,"lastSeq":0`)
	if m.seqs() != "0<1 1<2 2<3" || !m.Data.More || m.Data.Seq != 3 {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add(projections.ChannelOrder(order1)) // the stream carries it, so no part does
	c.expectEvents(8, 9)
	if m := c.join(order1, `,"lastSeq":3`); m.seqs() != "3<4 4<5 5<6" || !m.Data.More || m.Data.Seq != 6 {
		t.Fatalf("got %s", m.raw)
	}
	if m := c.join(order1, `,"lastSeq":6`); m.seqs() != "6<7 7<8" || m.Data.More || m.Data.Seq != 8 {
		t.Fatalf("got %s", m.raw)
	}
}

func TestLongPastIsBoundedByBytesToo(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		session: func(c *session.Config) { c.MaxJoinBytes = 100 },
		before: func(m *deliverytest.Feed) {
			for range 3 {
				m.AddSized(200, projections.ChannelOrder(order1))
			}
		},
	})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	if m := c.join(order1, `,"lastSeq":1`); m.seqs() != "1<2" || !m.Data.More || m.Data.Seq != 2 {
		t.Fatalf("got %s", m.raw)
	}
}

func TestJoinWaitsForWhatTheClientKnowsAlready(t *testing.T) {
	t.Parallel()
	room := projections.ChannelOrder(order1)
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		for range 5 {
			m.Add(room)
		}
		m.HoldBack(2)
	}})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, `,"lastSeq":5`) // told by a command's answer
	c.say(`{"event":"join:order","data":{"orderId":%q,"lastSeq":2},"id":1}`, order1)
	s.feed.HoldBack(0)
	s.feed.Add()
	var ack message
	for ack.Ack == nil { // caught_up comes before or behind
		ack = c.hear()
	}
	if ack.seqs() != "2<3 3<4 4<5" || ack.Data.More {
		t.Fatalf("got %s", ack.raw)
	}
}

func TestJoinsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		session: func(c *session.Config) { c.MaxRooms = 1 },
		before: func(m *deliverytest.Feed) {
			for range 5 {
				m.Add("all")
			}
			m.Drop(3)
		},
		hub: func(c *delivery.Config) { c.RingFrames = 1 },
	})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	refused := func(event, data, code string) {
		t.Helper()
		c.say(`{"event":%q,"data":%s,"id":3}`, event, data)
		if m := c.hear(); m.Ack != 3.0 || m.Error == nil || string(m.Error.Code) != code || m.Error.Message == "" {
			t.Errorf("%s %s: got %s, want %s", event, data, m.raw, code)
		}
		c.say(`{"event":%q,"data":%s}`, event, data)
		if m := c.expect("error"); m.Data.Code != code {
			t.Errorf("%s %s: got %s, want %s", event, data, m.raw, code)
		}
	}
	refused("join:order", fmt.Sprintf("%q", order3), "forbidden")
	refused("join:order", fmt.Sprintf("%q", uuid.New()), "not_found")
	refused("join:order", fmt.Sprintf("%q", deliverytest.BrokenOrder), "unavailable")
	refused("join:order", `"nonsense"`, "invalid_request")
	refused("join:order", `{"orderId":5}`, "invalid_request")
	refused("join:order", `null`, "invalid_request")
	refused("leave:order", `{}`, "invalid_request")
	refused("join:order", fmt.Sprintf(`{"orderId":%q,"lastSeq":-1}`, order1), "invalid_request")
	refused("join:order", fmt.Sprintf(`{"orderId":%q,"lastSeq":1}`, order1), "cursor_expired")
	refused("no:such", `{}`, "unknown_event")
	s.feed.Add(projections.ChannelOrder(order1), projections.ChannelOrder(order3)) // 6: no refused room is joined
	c.join(order2, "")
	refused("join:order", fmt.Sprintf("%q", order1), "too_many_rooms")
	s.feed.Add(projections.ChannelOrder(order2)) // 7
	m := c.expect("e")
	if m.Seq != 7 {
		t.Fatalf("got %s", m.raw)
	}
	admin := s.dial(t, nil)
	admin.register("root", domain.RoleAdmin, "")
	admin.join(order3, "")
}

func TestPingIsAnsweredByPong(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	c.say(`{"event":"ping","id":9}`)
	c.expect("pong")
	if m := c.hear(); m.Ack != 9.0 {
		t.Fatalf("got %s", m.raw)
	}
	pong := make(chan string, 1)
	c.SetPongHandler(func(payload string) error { pong <- payload; return nil })
	if err := c.WriteControl(9, []byte("hello"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for len(pong) == 0 { // the protocol's own pong is seen while something is read; which of both is written first is open
		c.say(`{"event":"ping"}`)
		c.expect("pong")
	}
	if got := <-pong; got != "hello" {
		t.Errorf("got %q", got)
	}
}
