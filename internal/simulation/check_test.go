package simulation

import (
	"testing"
)

const located = "delivery:location:update"

// told makes the record of a client which began at 0 and got some events.
func told(seqs ...int64) *journal {
	j := newJournal()
	j.registered("L", 0, false, nil)
	for _, seq := range seqs {
		j.event(j.cursor, seq, digest{byte(seq)})
	}
	return j
}

// facts are events of a name, about an order.
func facts(event, order string, seqs ...int64) []fact {
	var found []fact
	for _, seq := range seqs {
		found = append(found, fact{seq, digest{byte(seq)}, event, subject{Order: order}})
	}
	return found
}

func nobodys(fact) bool { return false }

func judged(v verdict) verdict {
	v.first = ""
	return v
}

func TestALocationMayBeLeftOutOfACatchUpWhenANewerOneCame(t *testing.T) {
	t.Parallel()
	track := facts(located, "o", 1, 2, 3)
	for name, tc := range map[string]struct {
		resumed bool
		got     []int64
		want    verdict
	}{
		"the newest is enough":             {true, []int64{3}, verdict{events: 3, superseded: 2}},
		"the newest must come":             {true, []int64{1, 2}, verdict{events: 3, missing: 1}},
		"something must come":              {true, nil, verdict{events: 3, missing: 3}},
		"live, all must come":              {false, []int64{3}, verdict{events: 3, missing: 2}},
		"another order's does not replace": {true, []int64{4}, verdict{events: 4, missing: 3}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := newJournal()
			j.begin(0)
			j.registered("L", 0, tc.resumed, nil)
			for _, seq := range tc.got {
				j.event(j.cursor, seq, digest{byte(seq)})
			}
			j.told("caught_up", 4)
			own := track
			if name == "another order's does not replace" {
				own = append(facts(located, "o", 1, 2, 3), facts(located, "p", 4)...)
			}
			if got := judged(judge(j, own, nil, 4, nobodys)); got != tc.want {
				t.Errorf("was judged %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestOnlyLocationsMayBeLeftOut(t *testing.T) {
	t.Parallel()
	j := newJournal()
	j.begin(0)
	j.registered("L", 0, true, nil)
	j.event(0, 2, digest{2})
	j.told("caught_up", 2)
	own := append(facts("order:status:update", "o", 1), facts(located, "o", 2)...)
	if got := judged(judge(j, own, nil, 2, nobodys)); got != (verdict{events: 2, missing: 1}) {
		t.Errorf("was judged %+v", got)
	}
}

func TestWhatComesAfterTheLastCallIsNotJudged(t *testing.T) {
	t.Parallel()
	if got := judge(told(1, 2, 3), facts("offer:new", "", 1, 2), nil, 2, nobodys); got != (verdict{events: 2}) {
		t.Errorf("was judged %+v", got)
	}
}

func TestWhatAClientWasToldThatItLostIsNotMissing(t *testing.T) {
	t.Parallel()
	j := told(1)
	j.resync(3)
	j.event(3, 4, digest{4})
	if got := judge(j, facts("offer:new", "", 1, 2, 3, 4), nil, 4, nobodys); got != (verdict{events: 4, resynced: 2}) {
		t.Errorf("was judged %+v", got)
	}
}

func TestEventsOfOtherPeoplesOrdersAreWrong(t *testing.T) {
	t.Parallel()
	theirs := func(f fact) bool { return f.Order == "bobs" }
	own := append(facts("order:cancelled", "mine", 1), facts("order:cancelled", "bobs", 2)...)
	if got := judged(judge(told(1, 2), own, nil, 2, theirs)); got != (verdict{events: 2, wrong: 1}) {
		t.Errorf("was judged %+v", got)
	}
}

// In a room, what comes between asking and being let in, or between asking to leave and being out, may come or not.
func TestWhatARoomOwes(t *testing.T) {
	t.Parallel()
	const room = "order:o"
	carried := map[string][]fact{room: facts("payment:received", "o", 1, 2, 3, 4, 5, 6, 7)}
	// The client asks at 1 and is in from 3 on, asks to leave at 5, and is out at 6.
	stay := func(got ...int64) *journal {
		j := newJournal()
		j.registered("L", 0, false, nil)
		next := 0
		upTo := func(cursor int64) {
			for next < len(got) && got[next] <= cursor {
				j.event(j.cursor, got[next], digest{byte(got[next])})
				next++
			}
			j.told("checkpoint", cursor)
		}
		upTo(1)
		j.joining(room, false)
		upTo(2)
		j.joined(room, 3, answered{room: room, within: interval{3, 3}})
		upTo(5)
		j.leaving(room)
		upTo(6)
		j.left(room)
		upTo(7)
		return j
	}
	for name, tc := range map[string]struct {
		got  []int64
		want verdict
	}{
		"what it must":             {[]int64{4, 5}, verdict{events: 2}},
		"and what it may":          {[]int64{2, 3, 4, 5, 6}, verdict{events: 2}},
		"less than it must":        {[]int64{4}, verdict{events: 2, missing: 1}},
		"before it asked":          {[]int64{1, 4, 5}, verdict{events: 2, wrong: 1}},
		"after it was out":         {[]int64{4, 5, 7}, verdict{events: 2, wrong: 1}},
		"nothing, of all it might": {nil, verdict{events: 2, missing: 2}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := judged(judge(stay(tc.got...), nil, carried, 7, nobodys)); got != tc.want {
				t.Errorf("was judged %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestARoomEndsWithTheRightToIt(t *testing.T) {
	t.Parallel()
	const room = "order:o"
	carried := map[string][]fact{room: facts("payment:received", "o", 1, 2, 3)}
	for name, end := range map[string]func(*journal){
		"it is told":                   func(j *journal) { j.left(room) },
		"it comes back and is refused": func(j *journal) { j.disconnected(); j.registered("L", 1, true, []string{room}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			j := told()
			j.joining(room, false)
			j.joined(room, 0, answered{room: room})
			j.event(0, 1, digest{1})
			end(j)
			if j.inRoom(room) || len(j.standing()) > 0 {
				t.Error("it thinks that it is in the room")
			}
			j.event(1, 2, digest{2})
			j.told("checkpoint", 3)
			if got := judged(judge(j, nil, carried, 3, nobodys)); got != (verdict{events: 1, wrong: 1}) {
				t.Errorf("was judged %+v", got)
			}
		})
	}
}

// A customer may not see what a courier did before it carried the order, nor, coming back, while the client was away.
func TestARoomWithoutAPastOwesNothingFromBefore(t *testing.T) {
	t.Parallel()
	const room = "delivery:ron"
	carried := map[string][]fact{room: facts("delivery:status:update", "", 1, 2, 3)}
	j := told()
	j.joining(room, true)
	j.joined(room, 0, answered{room: room})
	j.disconnected()
	j.registered("L", 3, true, nil)
	j.event(0, 3, digest{3})
	if got := judge(j, nil, carried, 3, nobodys); got != (verdict{}) {
		t.Errorf("was judged %+v", got)
	}
	j = told()
	j.joining(room, true)
	j.joined(room, 0, answered{room: room})
	j.event(0, 3, digest{3})
	if got := judged(judge(j, nil, carried, 3, nobodys)); got != (verdict{events: 3, missing: 2}) {
		t.Errorf("without a loss it was judged %+v", got)
	}
}

// A room that was asked for when the connection broke is not asked for again; one that stands is, and owes all.
func TestRoomsWhenTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	j := told()
	j.joining("order:stands", false)
	j.joined("order:stands", 0, answered{room: "order:stands"})
	j.joining("order:unanswered", false)
	j.joining("order:left", false)
	j.joined("order:left", 0, answered{room: "order:left"})
	j.leaving("order:left")
	j.disconnected()
	if got := j.standing(); len(got) != 1 || got[0] != "order:stands" {
		t.Errorf("comes back to %v", got)
	}
	carried := map[string][]fact{}
	for n, order := range []string{"stands", "unanswered", "left"} {
		carried["order:"+order] = facts("payment:received", order, int64(n+1))
	}
	j.event(0, 2, digest{2})
	if got := judged(judge(j, nil, carried, 3, nobodys)); got != (verdict{events: 1, missing: 1, wrong: 1}) {
		t.Errorf("was judged %+v", got)
	}
}

func TestTheAnswerToAJoinIsCompared(t *testing.T) {
	t.Parallel()
	carried := facts("payment:received", "o", 1, 2, 3, 4)
	for name, tc := range map[string]struct {
		events []receipt
		want   verdict
	}{
		"all":         {[]receipt{{2, digest{2}}, {3, digest{3}}}, verdict{events: 2}},
		"too few":     {[]receipt{{3, digest{3}}}, verdict{events: 2, missing: 1}},
		"another":     {[]receipt{{2, digest{2}}, {3, digest{9}}}, verdict{events: 2, wrong: 1}},
		"one of more": {[]receipt{{1, digest{1}}, {2, digest{2}}, {3, digest{3}}}, verdict{events: 2, wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var got verdict
			judgeHistory(&got, answered{"order:o", interval{1, 3}, tc.events}, carried)
			if judged(got) != tc.want {
				t.Errorf("was judged %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestACheckpointMustNotGoBack(t *testing.T) {
	t.Parallel()
	j := told(1, 2, 3)
	j.told("checkpoint", 2)
	if j.brokenPrev != 1 || j.cursor != 3 {
		t.Errorf("noted %d faults at cursor %d", j.brokenPrev, j.cursor)
	}
}

func TestTheInboxHasAnEntryForAllThatHappened(t *testing.T) {
	t.Parallel()
	entry := func(kind string) fact { return fact{event: "notification:new", subject: subject{Type: kind}} }
	own := []fact{
		entry("order"),
		{event: "order:status:update"},
		entry("order"),
		{event: "payment:received"},
		entry("payment"),
		entry("greeting"),
		{event: located},
		{event: "business:status:update"},
		{event: "order:cancelled"},
	}
	if got := inboxGap(own, 1); got != 1 {
		t.Errorf("lacks %d, want the one of the cancellation", got)
	}
	if got := inboxGap(append(own, entry("order")), 1); got != 0 {
		t.Errorf("lacks %d, want none", got)
	}
}

func TestTheFeedIsReadPageByPage(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	for range 8 { // more than two pages
		s.add(openNews, openData, "all")
	}
	a := newAPI(s.url)
	t.Cleanup(a.close)
	var got []int64
	if err := readFeed(t.Context(), a, someone("admin", "boss"), 1, 6, func(f fact) { got = append(got, f.seq) }); err != nil {
		t.Fatal(err)
	}
	if len(got) != 5 || got[0] != 2 || got[4] != 6 {
		t.Errorf("read %v, want 2 to 6", got)
	}
}
