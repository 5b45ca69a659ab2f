package check

import (
	"net/http"
	"slices"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// inFlight is how long the end of a right may be on its way to who is in the room.
const inFlight = 10 * time.Second

// watcher goes over what one client was told, over all its connections.
type watcher struct {
	c        *history.Client
	t        *toldRule
	answered answers
	f        *findings

	base [3]string // the channels that it is in by its token
	next [3]int    // in the seqs of each: the first one that may lie behind known

	// known is the seq up to which the client knows everything; -1: it was told nothing yet.
	known int64
	// newest is the seq of the last event that it was told of.
	newest int64
	missed map[int64]miss // of the base channels, that may still come too late

	// Of the connection:
	asked      int64 // lastSeq; -1: none
	openedAt   time.Duration
	start      int64 // where it began
	live       int64 // how far the log was when it was registered
	prev       int64 // the last seq it was told of; -1: not known
	rooms      map[string]*stay
	leaving    map[string]*stay // rooms that it has asked to leave: they may go on until that is answered
	skipped    map[string]skip  // places that were left out, by the order: a newer one has to come
	asking     map[string]bool  // rooms that it has asked to join: their events may come before that is answered
	early      []early          // events of rooms that are not joined yet
	roomMissed []roomMiss       // events that should have come
	caughtUp   bool             // or it was said that it cannot

	held   map[string]int64 // the rooms that it has, and from where, over all its connections
	answer *joinAnswer      // the answer to a join whose past is being told; nil: none
}

func judgeClient(c *history.Client, t *toldRule, answered answers, last int64, f *findings) {
	w := &watcher{
		c: c, t: t, answered: answered, f: f, known: -1, base: [3]string{"all", "role:" + c.Role, "user:" + c.User},
		missed: map[int64]miss{}, rooms: map[string]*stay{}, leaving: map[string]*stay{}, asking: map[string]bool{},
		skipped: map[string]skip{}, held: map[string]int64{},
	}
	for i := range c.Log {
		w.entry(&c.Log[i])
	}
	w.closed()
	w.end(last)
}

func (w *watcher) add(rule, format string, args ...any) {
	w.f.add(rule, "%s (%s %s, %s): "+format, append([]any{w.c.Name, w.c.Role, w.c.User, w.c.Transport}, args...)...)
}

func (w *watcher) entry(e *history.Entry) {
	if e.Kind != history.Event || !e.Flag {
		w.pastEnds()
	}
	switch e.Kind {
	case history.Opened:
		w.opened(e)
	case history.Registered:
		w.registered(e)
	case history.Event:
		switch {
		case e.Flag:
			w.content(e)
			w.ofPast(e)
		case e.Name == "order:status:changed": // the twin of order:status:update, for admins over Socket.IO
			w.content(&history.Entry{At: e.At, Seq: e.Seq, Name: "order:status:update", Digest: e.Digest})
		default:
			w.event(e)
		}
	case history.Checkpoint, history.CaughtUp:
		w.position(e)
	case history.Resync:
		w.f.look(ruleResync)
		w.add(ruleResync, "was told at %s that what comes after %d cannot be had (%s), which nothing in this run can be the reason of", e.At, w.known, e.Name)
		w.known, w.prev, w.start, w.caughtUp = e.Seq, e.Seq, e.Seq, true
	case history.Joined:
		w.joined(e)
	case history.Left:
		w.left(e)
	case history.Asked:
		w.asking[e.Name] = true
	case history.Denied:
		w.denied(e)
	case history.Closed:
		w.closed()
		if e.Seq == http.StatusInternalServerError {
			w.add(ruleAnswers, "was answered %d (%s) at %s", e.Seq, e.Name, e.At)
		}
	case history.Faulty:
		w.add(ruleLast, "at %s: %s", e.At, e.Name)
	case history.Reconnect:
	}
}

func (w *watcher) opened(e *history.Entry) {
	w.closed()
	w.asked, w.openedAt, w.prev, w.caughtUp = e.Seq, e.At, e.Seq, false
	if e.Seq < 0 {
		if w.known >= 0 {
			w.add(ruleLast, "the client came back at %s without a cursor, and knew %d: the suite is wrong", e.At, w.known)
		}
		return
	}
	if w.known >= 0 && (e.Seq > w.known || e.Seq < w.newest) {
		w.add(ruleLast, "the client came back at %s with %d, knew %d and was told of %d: the suite is wrong", e.At, e.Seq, w.known, w.newest)
	}
	w.seek(e.Seq)
}

// seek sets where the client goes on from.
func (w *watcher) seek(seq int64) {
	if seq < w.known {
		w.next = [3]int{}
	}
	w.known, w.start = seq, seq
}

func (w *watcher) registered(e *history.Entry) {
	w.f.look(ruleResync)
	w.live = e.Seq
	switch {
	case w.asked >= 0 && e.Flag:
		w.prev = w.asked
	case w.asked >= 0:
		w.add(ruleResync, "was not recovered at %s from %d, which nothing in this run can be the reason of", e.At, w.asked)
		fallthrough
	case e.Seq >= 0:
		w.prev = e.Seq
		w.seek(e.Seq)
	}
}

// content holds what came against what happened.
func (w *watcher) content(e *history.Entry) (told, bool) {
	w.f.look(ruleContent)
	t, ok := w.t.events[e.Seq]
	switch {
	case !ok:
		w.add(ruleForeign, "was told of %s with seq %d at %s, of which nobody is to be told", e.Name, e.Seq, e.At)
	case t.name != e.Name:
		w.add(ruleContent, "was told of seq %d as %s at %s, which is %s", e.Seq, e.Name, e.At, t.name)
	case t.digest != 0 && t.digest != e.Digest:
		w.add(ruleContent, "was told of seq %d (%s) at %s with other data than the notification log has", e.Seq, e.Name, e.At)
	}
	return t, ok
}

func (w *watcher) event(e *history.Entry) {
	t, ok := w.content(e)
	if e.Prev >= 0 && w.prev >= 0 {
		w.f.look(ruleChain)
		if e.Prev != w.prev {
			w.add(ruleChain, "seq %d came at %s with prev %d behind %d", e.Seq, e.At, e.Prev, w.prev)
		}
	}
	w.prev = max(w.prev, e.Seq)
	if !ok {
		return
	}
	w.f.look(ruleRepeated)
	if w.known >= 0 && e.Seq <= w.known {
		w.again(e)
		return
	}
	w.carried(e, t)
	w.advance(e.Seq, e.At, false)
	w.newest = e.Seq
	if t.order != "" {
		delete(w.skipped, t.order)
	}
}

// carried finds the channel for whose sake an event came.
func (w *watcher) carried(e *history.Entry, t told) {
	w.f.look(ruleForeign)
	for _, c := range w.base {
		if slices.Contains(t.channels, c) {
			return
		}
	}
	entitled, in := false, false
	for _, c := range t.channels {
		if w.mayBeGiven(c, e.Seq) { // the answer to its join may come yet, and there may never be one
			w.early = append(w.early, early{e.Seq, e.At, true})
			return
		}
		if !w.t.rights.has(c, w.c.User, w.c.Role, e.Seq) && !w.past(c, e.Seq) {
			if w.stays(c) != nil {
				in = true
			}
			continue
		}
		entitled = true
		if w.stays(c) != nil {
			w.f.look(ruleRights)
			return
		}
	}
	switch {
	case entitled: // the answer to a join may tell that it was in the room by then
		w.early = append(w.early, early{e.Seq, e.At, false})
	case in:
		w.f.look(ruleRights)
		w.add(ruleRights, "was told at %s of seq %d (%s), and had lost the right to it", e.At, e.Seq, t)
	default:
		w.add(ruleForeign, "was told at %s of seq %d (%s), which is not for it", e.At, e.Seq, t)
	}
}

func (w *watcher) position(e *history.Entry) {
	w.f.look(ruleCheckpoint)
	if w.known > e.Seq {
		w.add(ruleCheckpoint, "was told at %s that there was nothing up to %d, and knew %d", e.At, e.Seq, w.known)
		return
	}
	w.advance(e.Seq, e.At, true)
	w.prev = e.Seq
	w.places(e.At)
	// While it catches up it may be told how far it has come.
	if e.Kind == history.Checkpoint && w.asked >= 0 && !w.caughtUp && e.Seq >= w.live && w.c.Transport != history.Feed {
		w.add(ruleCaughtUp, "was told at %s that there was nothing up to %d, and never that it had caught up with what came after %d", e.At, e.Seq, w.asked)
	}
	if w.caughtUp = w.caughtUp || e.Kind == history.CaughtUp || e.Seq >= w.live; e.Kind == history.CaughtUp && w.asked >= 0 {
		w.f.look(ruleCaughtUp)
		if answered := w.answered.before(w.openedAt); answered > e.Seq {
			w.add(ruleCaughtUp, "had caught up with %d at %s, and seq %d was answered before it came back at %s", e.Seq, e.At, answered, w.openedAt)
		}
	}
}
