package check

import (
	"slices"
	"testing"

	"github.com/orderlog/orderlog/faults/history"
)

// Who carries an order now may see all that happened to it, also from before: at a registration with a cursor it comes.
func TestTheCourierOfAnOrderIsToldOfItsPast(t *testing.T) {
	t.Parallel()
	s := evening(t)
	granted := s.seqOf(orderAssigned, 2)
	c := s.listen("delivery", courier2, "sse", map[string]int64{"order:" + order1: granted})
	late := *c
	late.Log = []history.Entry{{Kind: history.Opened}, {Kind: history.Registered, Seq: granted, Flag: true}, {Kind: history.Joined, Name: "order:" + order1, Prev: -1}}
	for _, e := range s.events {
		if n := e.told; n != nil && (slices.Contains(n.channels, "order:"+order1) || slices.ContainsFunc(n.channels, func(c string) bool {
			return c == "all" || c == "role:delivery" || c == "user:"+courier2
		})) {
			digest, _ := history.Digest(n.payload)
			late.Log = append(late.Log, history.Entry{Kind: history.Event, Prev: -1, Seq: e.seq, Name: n.event, Digest: digest})
		}
	}
	s.h.AddClient(&late)
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
	// The node that it joins at may be behind the log by which it is let in.
	late.Log[1].Seq, late.Log[2].Seq = 2, 2
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
	// It may have asked to leave by then, and have no answer yet.
	stays := late.Log
	late.Log = slices.Insert(slices.Clone(stays), 3, history.Entry{Kind: history.Left, Flag: true, Name: "order:" + order1})
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
	late.Log = stays
	// But who was in the room already, and lost the right to it, is told of nothing behind that.
	lost := late
	lost.User = courier1
	s.h.AddClient(&lost)
	if broken := s.judged(); broken[ruleRights] == "" {
		t.Error("nothing is found")
	}
}

// Of the past of a room a place may be left out that a newer one replaces, and nothing else.
func TestAJoinIsAnsweredWithThePast(t *testing.T) {
	t.Parallel()
	s := evening(t)
	s.past(courier2, s.seqOf(courierLocated, 1), s.seqOf(courierLocated, 3))
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
}

// Who asked for a room and lost the connection may have been in it, and told of it, without hearing so.
func TestWhatComesBeforeTheAnswerToAJoinIsNoFault(t *testing.T) {
	t.Parallel()
	s := evening(t)
	c, i := s.joins(courier2, "order:"+order1)
	c.Log[i].Kind = history.Asked
	s.cutOff(courier2, s.seqOf(paymentRefunded, 1))
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
}

// A right that ends may be told of when it is there again, and is refused to who is behind.
func TestARoomIsTakenAwayWithTheRight(t *testing.T) {
	t.Parallel()
	s := evening(t)
	c, i := s.entry(courier1, history.Left, 1)
	c.Log = slices.Insert(c.Log, i+1, history.Entry{At: c.Log[i].At, Kind: history.Asked, Name: c.Log[i].Name},
		history.Entry{At: c.Log[i].At, Kind: history.Denied, Name: c.Log[i].Name, Subject: "forbidden"})
	if broken := s.judged(); len(broken) > 0 {
		t.Error(broken)
	}
}

// A place that only a room carries may be on its way when the client leaves: nothing newer comes then.
func TestAPlaceIsNotMissedByWhoLeavesTheRoom(t *testing.T) {
	t.Parallel()
	const room = "order:o"
	for left, violations := range map[bool]int{true: 0, false: 1} {
		f := newFindings()
		r := newToldRule(f)
		r.events[1], r.events[2] = told{locationUpdate, []string{room}, "o", 0}, told{"business:status:update", []string{"all"}, "", 0}
		r.channels[room], r.channels["all"] = []int64{1}, []int64{2}
		r.rights.grant(room, "carl", 0)
		c := &history.Client{User: "carl", Role: "customer", Log: []history.Entry{
			{Kind: history.Opened},
			{Kind: history.Registered, Flag: true},
			{Kind: history.CaughtUp},
			{Kind: history.Joined, Name: room, Prev: -1},
			{Kind: history.Event, Seq: 2, Prev: -1, Name: "business:status:update"},
		}}
		if left {
			c.Log = append(c.Log, history.Entry{Kind: history.Left, Flag: true, Name: room})
		}
		c.Log = append(c.Log, history.Entry{Kind: history.Checkpoint, Seq: 3})
		if judgeClient(c, r, answers{}, 3, f); f.broken != violations {
			t.Errorf("left: %v: %v", left, f.told())
		}
	}
}

// What a room carries may come before the join is answered: when the leaving before it was not answered yet, and when the
// right came after what is told, which is of the order's past then. Without a right it may not.
func TestARoomThatIsAskedForMayBeToldOf(t *testing.T) {
	t.Parallel()
	const order, courier = "order:o", "delivery:carl"
	for name, c := range map[string]struct {
		room       string
		before     []history.Entry
		granted    int64 // 0: never
		violations int
	}{
		"one that is being left": {courier, []history.Entry{{Kind: history.Joined, Name: courier, Prev: -1}, {Kind: history.Left, Flag: true, Name: courier}}, 0, 0},
		"an order of now":        {order, nil, 1, 0},
		"an order of later":      {order, nil, 3, 0},
		"an order of others":     {order, nil, 0, 1},
	} {
		f := newFindings()
		r := newToldRule(f)
		r.events[2] = told{"order:status:update", []string{c.room}, "", 0}
		r.channels[c.room] = []int64{2}
		if c.granted > 0 {
			r.rights.grant(c.room, "carl", c.granted)
		}
		log := append([]history.Entry{{Kind: history.Opened}, {Kind: history.Registered, Flag: true}, {Kind: history.CaughtUp}}, c.before...)
		log = append(log, history.Entry{Kind: history.Asked, Name: c.room},
			history.Entry{Kind: history.Event, Seq: 2, Prev: -1, Name: "order:status:update"},
			history.Entry{Kind: history.Joined, Seq: 1, Prev: -1, Name: c.room}, history.Entry{Kind: history.Checkpoint, Seq: 4})
		if c.violations > 0 {
			log = slices.DeleteFunc(log, func(e history.Entry) bool { return e.Kind == history.Joined }) // nobody lets it in
		}
		judgeClient(&history.Client{User: "carl", Role: "delivery", Log: log}, r, answers{}, 4, f)
		if f.broken != c.violations {
			t.Errorf("%s: %v", name, f.told())
		}
	}
}
