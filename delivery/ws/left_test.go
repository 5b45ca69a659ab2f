package ws

import (
	"fmt"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

// unassign takes an order from dora, in the rights and then in the log, as one event does.
func (s *server) unassign(order uuid.UUID) int64 {
	s.rights.Assign(order, "")
	name := projections.ChannelOrder(order)
	return s.feed.Append(projections.Notification{
		Event: "e", Channels: []string{"role:admin", name},
		Endings: []projections.Ending{{Channel: name, User: "dora", Role: "delivery"}},
	})
}

// ask sends an event with an id and returns its answer, which has to come next.
func (c *client) ask(event, data string) message {
	c.Helper()
	c.say(`{"event":%q,"data":%s,"id":"q"}`, event, data)
	m := c.hear()
	if m.Ack != "q" {
		c.Fatalf("got %s", m.raw)
	}
	return m
}

func (m message) code() string {
	if m.Error == nil {
		return ""
	}
	return string(m.Error.Code)
}

func TestLosingARightEndsTheRoomAtOnce(t *testing.T) {
	t.Parallel()
	s := serve(t, options{session: func(c *session.Config) { c.MaxRooms = 1 }})
	s.rights.Assign(order1, "dora")
	s.rights.Assign(order2, "dora")
	room := projections.ChannelOrder(order1)
	dora, ann := s.dial(t, nil), s.dial(t, nil)
	dora.register("dora", domain.RoleDelivery, fmt.Sprintf(`,"rooms":[%q]`, room))
	ann.register("ann", domain.RoleCustomer, "")
	ann.join(order1, "")
	s.feed.Add(room) // 1
	dora.expectEvents(0, 1)

	s.unassign(order1) // 2
	if m := dora.expect("left"); m.Data.Room != room {
		t.Fatalf("got %s", m.raw)
	}
	s.feed.Add(room)              // 3
	s.feed.Add(room, "user:dora") // 4: hers for another reason
	dora.expectEvents(1, 4)
	ann.expectEvents(0, 1, 2, 3, 4)

	// It is left already, its place is free for another, and it may be had again with the right.
	if m := dora.ask("leave:order", fmt.Sprintf("%q", order1)); m.Error != nil || m.Data.Room != room {
		t.Errorf("got %s", m.raw)
	}
	if m := dora.ask("join:order", fmt.Sprintf("%q", order1)); m.code() != "forbidden" {
		t.Errorf("got %s", m.raw)
	}
	dora.join(order2, "")
	if m := dora.ask("leave:order", fmt.Sprintf("%q", order2)); m.Error != nil {
		t.Errorf("got %s", m.raw)
	}
	s.rights.Assign(order1, "dora")
	dora.join(order1, "")
	s.feed.Add(room) // 5
	dora.expectEvents(4, 5)
	s.unassign(order1)
	dora.expect("left")
}

func TestLosingARightReachesAClientThatCatchesUp(t *testing.T) {
	t.Parallel()
	room := projections.ChannelOrder(order1)
	s := serve(t, options{
		hub: func(c *delivery.Config) { c.RingFrames, c.PageSize = 1, 2 },
		before: func(m *deliverytest.Feed) {
			m.Add("user:dora") // 1
			m.Add(room)        // 2
			m.Add(room)        // 3
			m.Add("user:dora") // 4
			m.Add(room)        // 5
		},
	})
	s.rights.Assign(order1, "dora")
	s.feed.OnRead(func() error { // the first page is read, and not handed out
		s.feed.OnRead(nil)
		s.reach(t, s.unassign(order1)) // 6
		return nil
	})
	c := s.dial(t, nil)
	c.register("dora", domain.RoleDelivery, fmt.Sprintf(`,"lastSeq":0,"rooms":[%q]`, room))
	c.expect("left")
	c.expectEvents(0, 1, 4)
	if m := c.expect("caught_up"); m.Data.Seq != 6 {
		t.Fatalf("got %s", m.raw)
	}
}

// The race is held open: the access check has answered yes, then the right ends in the log and in the hub, and only
// then is the answer used.
func TestARightThatEndsBehindItsCheckIsCheckedAgain(t *testing.T) {
	t.Parallel()
	room := projections.ChannelOrder(order1)
	for name, tc := range map[string]struct {
		more   string // of the registration
		joined func(*client)
	}{
		"join": {"", func(c *client) {
			if m := c.ask("join:order", fmt.Sprintf("%q", order1)); m.code() != "forbidden" {
				c.Errorf("got %s", m.raw)
			}
		}},
		"join with its past": {"", func(c *client) {
			if m := c.ask("join:order", fmt.Sprintf(`{"orderId":%q,"lastSeq":0}`, order1)); m.code() != "forbidden" {
				c.Errorf("got %s", m.raw)
			}
		}},
		"register":                {fmt.Sprintf(`,"rooms":[%q]`, room), func(*client) {}},
		"register with a lastSeq": {fmt.Sprintf(`,"lastSeq":0,"rooms":[%q]`, room), func(c *client) { c.expect("caught_up") }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{before: func(m *deliverytest.Feed) { m.Add(room) }})
			s.rights.Assign(order1, "dora")
			s.rights.BeforeAnswering(func() {
				s.rights.BeforeAnswering(nil)
				s.reach(t, s.unassign(order1)) // 2
			})
			c := s.dial(t, nil)
			m := c.register("dora", domain.RoleDelivery, tc.more)
			if tc.more != "" && (!slices.Equal(m.Data.Refused, []string{room}) || slices.Contains(m.Data.Channels, room)) {
				t.Errorf("got %s", m.raw)
			}
			tc.joined(c)
			s.feed.Add(room)        // 3
			s.feed.Add("user:dora") // 4
			if m := c.expect("e"); m.Seq != 4 {
				t.Errorf("got %s", m.raw)
			}
		})
	}
}

// The answer with the room's past was being made when the right ended.
func TestThePastOfARoomThatEndsMeanwhileIsNotHandedOut(t *testing.T) {
	t.Parallel()
	room := projections.ChannelOrder(order1)
	for name, already := range map[string]bool{"joined for the first time": false, "joined again": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{
				hub:    func(c *delivery.Config) { c.RingFrames = 1 },
				before: func(m *deliverytest.Feed) { m.Add(room); m.Add(room); m.Add("all") },
			})
			s.rights.Assign(order1, "dora")
			c := s.dial(t, nil)
			c.register("dora", domain.RoleDelivery, "")
			if already {
				c.join(order1, "")
			}
			s.feed.OnRead(func() error {
				s.feed.OnRead(nil)
				s.reach(t, s.unassign(order1))
				return nil
			})
			if m := c.ask("join:order", fmt.Sprintf(`{"orderId":%q,"lastSeq":0}`, order1)); m.code() != "forbidden" {
				t.Errorf("got %s", m.raw)
			}
			if already { // it knew of the room
				c.expect("left")
			}
			c.say(`{"event":"ping"}`)
			c.expect("pong")
		})
	}
}

// A check finds out that the right is gone before the hub does: the log is ahead of the notification log.
func TestALostRightThatACheckFindsEndsTheRoom(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	s.rights.Assign(order1, "dora")
	c := s.dial(t, nil)
	c.register("dora", domain.RoleDelivery, "")
	c.join(order1, "")
	s.rights.Assign(order1, "")
	c.say(`{"event":"join:order","data":%q,"id":1}`, order1)
	heard := []message{c.hear(), c.hear()} // the answer is the reader's and left the stream's: either may come first
	slices.SortFunc(heard, func(a, b message) int { return len(a.Event) - len(b.Event) })
	if heard[0].code() != "forbidden" || heard[1].Event != "left" {
		t.Fatalf("got %s and %s", heard[0].raw, heard[1].raw)
	}
	s.unassign(order1)                           // is told only once
	s.feed.Add(projections.ChannelOrder(order1)) // 2
	s.feed.Add("user:dora")                      // 3
	c.expectEvents(0, 3)
}

// The right is given and taken while the client joins and leaves. What the client may believe by what it was told is
// always true: in a room it gets everything, out of it nothing.
func TestTheClientAlwaysKnowsWhetherItIsInTheRoom(t *testing.T) {
	t.Parallel()
	const rounds = 3000
	room := projections.ChannelOrder(order1)
	s := serve(t, options{
		ws:  func(c *Config) { c.MaxMessages = 1 << 20 },
		hub: func(c *delivery.Config) { c.QueueFrames = 4 },
	})
	c := s.dial(t, nil, V1Batch)
	c.register("dora", domain.RoleDelivery, "")
	// Whenever the right is checked it ends a little later: before the joining, behind it, before or behind the answer.
	var wg sync.WaitGroup
	defer wg.Wait()
	s.rights.BeforeAnswering(func() {
		wg.Go(func() {
			for range rand.IntN(20) {
				runtime.Gosched()
			}
			s.unassign(order1)
		})
	})
	in, asked, joins, ends := false, false, 0, 0
	// hear looks at what comes, up to a message that is waited for.
	hear := func(until func(message) bool) message {
		for {
			m := c.hear()
			switch {
			case m.Event == "e" && m.Data.N != m.Seq:
				t.Fatalf("got %s", m.raw)
			case m.Event == "e" && !in && !asked && !until(m): // an event may come just before the answer
				t.Fatalf("got %s out of the room", m.raw)
			case m.Event == "left" && !in:
				t.Fatalf("left a room that it was not in")
			case m.Event == "left":
				in = false
				ends++
			}
			if until(m) {
				return m
			}
		}
	}
	ask := func(event string) (granted bool) {
		c.say(`{"event":%q,"data":%q,"id":1}`, event, order1)
		asked = true
		granted = hear(func(m message) bool { return m.Ack != nil }).Error == nil
		asked = false
		return granted
	}
	join := func() {
		if ask("join:order") {
			in = true
			joins++
		}
	}
	for range rounds {
		s.rights.Assign(order1, "dora")
		s.feed.Add(room)
		join()
		if rand.IntN(4) == 0 && ask("leave:order") {
			in = false
		}
	}
	wg.Wait()
	s.rights.BeforeAnswering(nil)
	s.rights.Assign(order1, "dora")
	t.Logf("joined %d times, %d times the room ended", joins, ends)
	mark := func(channel string) {
		seq := s.feed.Add(channel)
		hear(func(m message) bool { return m.Seq == seq })
	}
	mark("user:dora") // what has ended before is told before
	if join(); !in {
		t.Fatal("the right is there, the room is not")
	}
	mark(room)
	if !in {
		t.Fatal("the room ended although the right is there")
	}
}
