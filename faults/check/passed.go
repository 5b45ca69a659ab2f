package check

import (
	"maps"
	"slices"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// miss is an event that was passed over.
type miss struct {
	at         time.Duration
	by         int64 // the seq that passed it
	checkpoint bool  // by checkpoint or caught_up
}

// skip is a place that was left out.
type skip struct {
	seq  int64
	room string // for the sake of which it should have come; empty: of a channel that the client has by its token
}

// again is an event that comes after a later one, or a second time.
func (w *watcher) again(e *history.Entry) {
	m, late := w.missed[e.Seq]
	delete(w.missed, e.Seq)
	switch {
	case late && m.checkpoint:
		w.add(ruleCheckpoint, "seq %d came at %s, and at %s it was said that there was nothing up to %d", e.Seq, e.At, m.at, m.by)
	case late:
		w.add(ruleRepeated, "seq %d came at %s, behind %d", e.Seq, e.At, m.by)
	default:
		w.add(ruleRepeated, "seq %d came at %s, and the client knew all up to %d", e.Seq, e.At, w.known)
	}
}

// advance moves known to a seq, and finds what was passed over. The seq itself has come, unless nothing but a
// checkpoint says so.
func (w *watcher) advance(to int64, at time.Duration, checkpoint bool) {
	w.f.look(ruleMissing)
	if w.known >= 0 {
		end := to
		if checkpoint {
			end = to + 1
		}
		for i, channel := range w.base {
			w.passBase(i, w.t.channels[channel], end, miss{at, to, checkpoint})
		}
		for room, s := range w.rooms {
			w.passRoom(room, s, end, at)
		}
	}
	w.known = to
}

func (w *watcher) passBase(i int, seqs []int64, end int64, m miss) {
	n := w.next[i]
	for n < len(seqs) && seqs[n] <= w.known {
		n++
	}
	for ; n < len(seqs) && seqs[n] < end; n++ {
		if t := w.t.events[seqs[n]]; t.order != "" {
			w.skipped[t.order] = skip{seq: seqs[n]}
			continue
		}
		w.missed[seqs[n]] = m
	}
	w.next[i] = n
}

// between are the seqs behind one and before another.
func between(seqs []int64, after, end int64) []int64 {
	i, found := slices.BinarySearch(seqs, after)
	if found {
		i++
	}
	k, _ := slices.BinarySearch(seqs, end)
	return seqs[i:max(i, k)]
}

// places: of what was left out a newer one has come by now.
func (w *watcher) places(at time.Duration) {
	for order, s := range w.skipped {
		w.add(ruleMissing, "the place of order %s with seq %d was left out, and by %s no newer one had come", order, s.seq, at)
	}
	clear(w.skipped)
}

// forget drops the places that only rooms carry which the client is not in any more.
func (w *watcher) forget(gone func(room string) bool) {
	maps.DeleteFunc(w.skipped, func(_ string, s skip) bool { return s.room != "" && gone(s.room) })
}

func (w *watcher) end(last int64) {
	w.f.look(ruleLast)
	if w.known < last {
		w.add(ruleLast, "got to %d and not to the last seq, %d", w.known, last)
	}
	for _, seq := range slices.Sorted(maps.Keys(w.missed)) {
		w.add(ruleMissing, "was never told of seq %d (%s); at %s it was told of %d", seq, w.t.events[seq], w.missed[seq].at, w.missed[seq].by)
	}
	w.places(w.openedAt)
}
