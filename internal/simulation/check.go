package simulation

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"sort"
	"strconv"
	"strings"
)

// fact is an event as the feed has it: what is true, whatever a socket said.
type fact struct {
	seq    int64
	digest digest
	event  string
	subject
}

// readFeed reads a user's own notifications after a seq, up to another, over REST.
func readFeed(ctx context.Context, a *api, as *user, after, upTo int64, each func(fact)) error {
	for after < upTo {
		var page struct {
			Items []frame `json:"items"`
			Seq   int64   `json:"seq"`
		}
		query := url.Values{"lastSeq": {strconv.FormatInt(after, 10)}, "limit": {"200"}}
		if _, err := a.get(ctx, as, "/feed?"+query.Encode(), &page); err != nil {
			return fmt.Errorf("the feed of %s cannot be read after seq %d: %w", as.id, after, err)
		}
		prev := after
		for _, item := range page.Items {
			if item.Seq == nil || item.Prev == nil || *item.Prev != prev || *item.Seq <= prev {
				return fmt.Errorf("the feed of %s is broken after seq %d", as.id, prev)
			}
			prev = *item.Seq
			if prev > upTo {
				return nil
			}
			d, err := digestOf(item)
			if err != nil {
				return err
			}
			each(fact{prev, d, item.Event, subjectOf(item.Data)})
		}
		switch {
		case page.Seq > after:
			after = page.Seq
		case !pause(ctx, patience/1000): // the feed is not there yet
			return ctx.Err()
		}
	}
	return nil
}

// roomsOf are the rooms that carry an event, as far as its data tells.
func roomsOf(f fact) []string {
	switch f.event {
	case "order:status:update", "order:assigned", "order:cancelled", "payment:received", "payment:failed", "payment:refunded":
		return []string{"order:" + f.Order}
	case "delivery:location:update":
		return []string{"order:" + f.Order, "delivery:" + f.Agent}
	case "delivery:status:update":
		return []string{"delivery:" + f.Agent}
	}
	return nil
}

// verdict is what came of comparing what a client was told with what is true.
type verdict struct {
	events     int // that were to come
	missing    int
	repeated   int
	outOfOrder int
	brokenPrev int
	wrong      int // of other content, or not for this client
	superseded int // locations that catching up left out, as it may
	resynced   int // lost to retention, and the client was told so

	first string // what was wrong first, for people
}

func (v *verdict) add(w verdict) {
	v.events += w.events
	v.missing += w.missing
	v.repeated += w.repeated
	v.outOfOrder += w.outOfOrder
	v.brokenPrev += w.brokenPrev
	v.wrong += w.wrong
	v.superseded += w.superseded
	v.resynced += w.resynced
}

func (v *verdict) bad() bool {
	return v.missing+v.repeated+v.outOfOrder+v.brokenPrev+v.wrong > 0
}

func (v *verdict) say(format string, args ...any) {
	if v.first == "" {
		v.first = fmt.Sprintf(format, args...)
	}
}

// entitled is an event that a client may get. must says that it has to.
type entitled struct {
	fact
	must bool
}

// judge compares the record of a client with what is true, up to a seq. own is what the feed says is for the client
// itself, by seq; inRoom what rooms carried; theirs says whether an event is of other people's business.
func judge(j *journal, own []fact, inRoom map[string][]fact, upTo int64, theirs func(fact) bool) verdict {
	v := verdict{repeated: j.repeated, outOfOrder: j.outOfOrder, brokenPrev: j.brokenPrev, first: j.firstFault}
	expected := entitlements(j, own, inRoom, upTo)
	got := make(map[int64]digest, len(j.got)+len(j.late))
	for _, r := range j.got {
		got[r.seq] = r.digest
	}
	for seq, d := range j.late { // it came, if too late: that is counted already
		got[seq] = d
	}
	newest := newestLocations(j, expected)
	for seq, e := range expected {
		d, came := got[seq]
		if e.must {
			v.events++
		}
		switch {
		case came && d != e.digest:
			v.wrong++
			v.say("seq %d (%s) says something else than the feed", seq, e.event)
		case came && theirs(e.fact):
			v.wrong++
			v.say("seq %d (%s) is of somebody else's order %s", seq, e.event, e.Order)
		case came || !e.must:
		case inAny(j.resyncs, seq):
			v.resynced++
		case e.event == "delivery:location:update" && inAny(j.replays, seq) && newest[e.Order] > seq:
			v.superseded++
		default:
			v.missing++
			v.say("seq %d (%s) never came", seq, e.event)
		}
	}
	for seq := range got {
		if _, ok := expected[seq]; !ok && seq <= upTo {
			v.wrong++
			v.say("seq %d came and is not for this client", seq)
		}
	}
	for _, h := range j.history {
		judgeHistory(&v, h, inRoom[h.room])
	}
	return v
}

// entitlements are the events that a client may or must get, by seq.
func entitlements(j *journal, own []fact, inRoom map[string][]fact, upTo int64) map[int64]entitled {
	expected := make(map[int64]entitled, len(own))
	within := interval{j.start, upTo}
	for _, f := range own {
		if within.holds(f.seq) {
			expected[f.seq] = entitled{f, true}
		}
	}
	for room, stays := range j.rooms {
		for _, s := range stays {
			for _, f := range part(inRoom[room], interval{max(s.may.from, j.start), min(s.may.to, upTo)}) {
				e := expected[f.seq]
				expected[f.seq] = entitled{f, e.must || s.must.holds(f.seq)}
			}
		}
	}
	return expected
}

// part is what of facts in order of seq lies within an interval.
func part(facts []fact, i interval) []fact {
	from := sort.Search(len(facts), func(n int) bool { return facts[n].seq > i.from })
	to := sort.Search(len(facts), func(n int) bool { return facts[n].seq > i.to })
	if from >= to {
		return nil
	}
	return facts[from:to]
}

// newestLocations are the seqs of the newest location that the client got of each order.
func newestLocations(j *journal, expected map[int64]entitled) map[string]int64 {
	newest := map[string]int64{}
	for _, r := range j.got {
		if e, ok := expected[r.seq]; ok && e.event == "delivery:location:update" {
			newest[e.Order] = r.seq
		}
	}
	return newest
}

func inAny(intervals []interval, seq int64) bool {
	return slices.ContainsFunc(intervals, func(i interval) bool { return i.holds(seq) })
}

// judgeHistory compares the answer to a join with what the room carried.
func judgeHistory(v *verdict, h answered, carried []fact) {
	want := part(carried, h.within)
	for _, f := range want {
		v.events++
		if !slices.ContainsFunc(h.events, func(r receipt) bool { return r.seq == f.seq }) {
			v.missing++
			v.say("seq %d (%s) is not in the answer to the join of %s", f.seq, f.event, h.room)
		}
	}
	for _, r := range h.events {
		switch n := slices.IndexFunc(want, func(f fact) bool { return f.seq == r.seq }); {
		case n < 0:
			v.wrong++
			v.say("seq %d is in the answer to the join of %s and not of that room", r.seq, h.room)
		case want[n].digest != r.digest:
			v.wrong++
			v.say("seq %d in the answer to the join of %s says something else than the feed", r.seq, h.room)
		}
	}
}

// inboxGap is how many entries the inbox of a customer lacks, or has too many: an order that was placed, and each
// thing that became of it, makes one.
func inboxGap(own []fact, placed int) int {
	caused, entries := placed, 0
	for _, f := range own {
		switch {
		case f.event == "notification:new":
			if f.Type == "order" || f.Type == "payment" {
				entries++
			}
		case f.event == "order:status:update", f.event == "order:assigned", f.event == "order:cancelled",
			strings.HasPrefix(f.event, "payment:"):
			caused++
		}
	}
	return caused - entries
}
