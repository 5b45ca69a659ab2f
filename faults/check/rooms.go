package check

import (
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// stay is a time in a room.
type stay struct {
	from int64
	late time.Duration // when the client was first told of something behind the end of its right; 0: it was not
}

type early struct {
	seq int64
	at  time.Duration
	// asked says that the client had asked for one of its rooms, and had no answer: then there may never be one.
	asked bool
}

type roomMiss struct {
	room string
	seq  int64
	at   time.Duration
}

// past says that an event is of the past of an order's room, which whoever may join it may see: from before it had the
// right by which it was let in, when it was registered or joined. Rights are judged by the log, of which what clients are
// told may be far behind.
func (w *watcher) past(room string, seq int64) bool {
	r, s := w.t.rights, w.stays(room)
	granted := r.grantedAfter(room, w.c.User, seq)
	if !strings.HasPrefix(room, "order:") || granted == 0 || s == nil {
		return false
	}
	letIn := !r.has(room, w.c.User, w.c.Role, s.from) && granted == r.grantedAfter(room, w.c.User, s.from)
	return granted <= w.live || letIn
}

// stays is the client's time in a room, which goes on until its wish to leave is answered; nil: it is not in there.
func (w *watcher) stays(room string) *stay {
	if s := w.rooms[room]; s != nil {
		return s
	}
	return w.leaving[room]
}

// mayBeGiven says that the client has asked to join a room whose event it may be told of: because it has the right to it
// by then or, to an order's past, later.
func (w *watcher) mayBeGiven(room string, seq int64) bool {
	r := w.t.rights
	return w.asking[room] && (r.has(room, w.c.User, w.c.Role, seq) ||
		strings.HasPrefix(room, "order:") && r.grantedAfter(room, w.c.User, seq) > 0)
}

func (w *watcher) passRoom(room string, s *stay, end int64, at time.Duration) {
	if lost := w.t.rights.endsAfter(room, w.c.User, s.from); lost > 0 && w.c.Role != "admin" && room != "delivery:"+w.c.User {
		if lost < end && s.late == 0 {
			s.late = at
		}
		if s.late > 0 && at > s.late+inFlight {
			w.add(ruleRights, "lost the right to %s at seq %d and was not told to have left it by %s", room, lost, at)
			delete(w.rooms, room)
			return
		}
		end = min(end, lost)
	}
	for _, seq := range between(w.t.channels[room], max(w.known, s.from), end) {
		t := w.t.events[seq]
		switch {
		case slices.ContainsFunc(w.base[:], func(c string) bool { return slices.Contains(t.channels, c) }): // is looked at there
		case t.order != "":
			w.skipped[t.order] = skip{seq, room}
		default:
			w.roomMissed = append(w.roomMissed, roomMiss{room, seq, at})
		}
	}
}

func (w *watcher) joined(e *history.Entry) {
	delete(w.leaving, e.Name)
	delete(w.asking, e.Name)
	again := w.rooms[e.Name] != nil // what it asked for twice, having waited long
	if !again {
		w.rooms[e.Name] = &stay{from: e.Seq}
	}
	if _, known := w.held[e.Name]; !known {
		w.held[e.Name] = e.Seq
	}
	w.answer = w.answerTo(e)
	came := map[int64]bool{}
	w.early = slices.DeleteFunc(w.early, func(x early) bool {
		came[x.seq] = true
		return slices.Contains(w.t.events[x.seq].channels, e.Name)
	})
	if again {
		return
	}
	// What came in the stream before the answer lies behind what the answer says, and all of it has to have come.
	before := *w
	before.known, before.roomMissed = max(e.Seq, w.start), nil
	before.passRoom(e.Name, w.rooms[e.Name], w.known+1, e.At)
	for _, m := range before.roomMissed {
		if !came[m.seq] {
			w.roomMissed = append(w.roomMissed, m)
		}
	}
}

// left is told by the server, or is what the client wants: then there is one entry when it asks and one when it is
// answered.
func (w *watcher) left(e *history.Entry) {
	before := w.rooms[e.Name]
	if from, in := w.held[e.Name]; in && !e.Flag {
		w.lost(e, from, "was put out of")
	}
	delete(w.held, e.Name)
	w.forget(func(room string) bool { return room == e.Name })
	delete(w.rooms, e.Name)
	delete(w.leaving, e.Name)
	if e.Flag && before != nil {
		w.leaving[e.Name] = before
	}
}

// lost is that a room was taken away, or is not given: for that the right to it has to end, or not to be there.
func (w *watcher) lost(e *history.Entry, from int64, how string) {
	w.f.look(ruleRights)
	r := w.t.rights
	due := r.has(e.Name, w.c.User, w.c.Role, from) || r.grantedAfter(e.Name, w.c.User, from) > 0
	if due && r.endsAfter(e.Name, w.c.User, from) == 0 {
		w.add(ruleRights, "%s %s at %s, and has the right to it to the end", how, e.Name, e.At)
	}
}

// denied is a room that was asked for and is not given. Of the reasons only the right can be judged: it was in the log
// when the client was told of something as late.
func (w *watcher) denied(e *history.Entry) {
	delete(w.asking, e.Name)
	delete(w.held, e.Name)
	if e.Subject == "forbidden" && w.known >= 0 && w.t.rights.has(e.Name, w.c.User, w.c.Role, w.known) {
		w.lost(e, w.known, "was refused")
	}
}

// joinAnswer is what the answer to a join has to bring.
type joinAnswer struct {
	room string
	at   time.Duration
	want map[int64]bool   // the seqs that have not been told
	last map[string]int64 // the newest place of each order that was told
}

// answerTo is what has to come with a room: all that it carried behind the lastSeq of the join, up to where the stream
// carries it.
func (w *watcher) answerTo(e *history.Entry) *joinAnswer {
	a := &joinAnswer{room: e.Name, at: e.At, want: map[int64]bool{}, last: map[string]int64{}}
	if e.Prev >= 0 {
		for _, seq := range between(w.t.channels[e.Name], e.Prev, e.Seq+1) {
			a.want[seq] = true
		}
	}
	return a
}

// ofPast holds an event in the answer to a join against what has to be there.
func (w *watcher) ofPast(e *history.Entry) {
	w.f.look(ruleForeign)
	a, t := w.answer, w.t.events[e.Seq]
	switch {
	case a == nil:
		w.add(ruleForeign, "was told of seq %d at %s as of the past of a room, and had joined none", e.Seq, e.At)
	case !a.want[e.Seq]:
		w.add(ruleForeign, "was told of seq %d (%s) at %s as of the past of %s, which it is not", e.Seq, t, e.At, a.room)
	default:
		delete(a.want, e.Seq)
		a.last[t.order] = e.Seq
	}
}

// pastEnds is that nothing more comes of the answer to a join. Only a place may be left out, that a newer one of its
// order replaces.
func (w *watcher) pastEnds() {
	if w.answer == nil {
		return
	}
	w.f.look(ruleMissing)
	for seq := range w.answer.want {
		if t := w.t.events[seq]; t.order == "" || w.answer.last[t.order] < seq {
			w.add(ruleMissing, "the past of %s, joined at %s, lacks seq %d (%s)", w.answer.room, w.answer.at, seq, t)
		}
	}
	w.answer = nil
}

// closed ends a connection. What its stream passed over does not come any more.
func (w *watcher) closed() {
	w.pastEnds()
	for _, m := range w.roomMissed {
		w.add(ruleMissing, "seq %d (%s) of %s did not come before what came at %s", m.seq, w.t.events[m.seq], m.room, m.at)
	}
	for _, x := range w.early {
		if !x.asked {
			w.add(ruleForeign, "was told of seq %d (%s) at %s, and is in none of its rooms", x.seq, w.t.events[x.seq], x.at)
		}
	}
	w.forget(func(string) bool { return true })
	w.roomMissed, w.early = nil, nil
	clear(w.rooms)
	clear(w.leaving)
	clear(w.asking)
}
