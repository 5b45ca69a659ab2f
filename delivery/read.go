package delivery

import (
	"context"
	"math"
	"sync"

	"github.com/orderlog/orderlog/projections"
)

// ErrExpired says that retention has dropped notifications after the cursor: what came after it cannot be
// given without a loss, so the client must be told to read the state anew.
var ErrExpired = projections.ErrExpired

// Page is a part of the log for some channels.
type Page struct {
	Frames []*Frame // in rising order of seq
	// Position is the seq up to which Frames is complete; at least the last frame's.
	Position int64
	// More says that frames may follow which are there already.
	More bool
}

// Read returns up to limit frames with seq > after that one of the channels carries. Errors: ErrExpired, the
// context's, and the feed's.
func (h *Hub) Read(ctx context.Context, channels []string, after int64, limit int) (Page, error) {
	set := make(channelSet, len(channels))
	for _, c := range channels {
		set[c] = after
	}
	page, _, err := h.read(ctx, set, after, limit)
	return page, err
}

// read prefers the ring and says whether the page came from it.
func (h *Hub) read(ctx context.Context, set channelSet, after int64, limit int) (_ Page, fromRing bool, _ error) {
	if page, ok := h.readRing(set, after, limit); ok {
		return page, true, nil
	}
	found, saved, err := h.reads.read(ctx, set.names(), after, h.Position(), limit)
	if err != nil {
		return Page{}, false, err
	}
	if saved {
		h.counters.shared.Add(1)
	}
	return merge(found, set, after, limit), false, nil
}

// merge makes a page of several, which begin after the same seq. It is complete as far as each of them is. Channels may
// count from a later seq, so not all that was found is wanted.
func merge(found []Page, set channelSet, after int64, limit int) Page {
	page := Page{Position: math.MaxInt64}
	size := 0
	for _, p := range found {
		page.More = page.More || p.More || p.Position != found[0].Position
		page.Position = min(page.Position, p.Position)
		size += len(p.Frames)
	}
	later := false
	for _, from := range set {
		later = later || from > after
	}
	page.Frames = make([]*Frame, 0, min(size, limit))
	for {
		var next *Frame
		for _, p := range found {
			if len(p.Frames) > 0 && (next == nil || p.Frames[0].Seq < next.Seq) {
				next = p.Frames[0]
			}
		}
		if next == nil || next.Seq > page.Position {
			return page
		}
		for i, p := range found { // a frame may be in several
			if len(p.Frames) > 0 && p.Frames[0].Seq == next.Seq {
				found[i].Frames = p.Frames[1:]
			}
		}
		if later && !set.wants(next) {
			continue
		}
		page.Frames = append(page.Frames, next)
		if len(page.Frames) == limit {
			page.Position, page.More = next.Seq, true
			return page
		}
	}
}

// readRing answers false when the ring does not reach back to after, or not up to it: a cursor may be ahead.
func (h *Hub) readRing(set channelSet, after int64, limit int) (Page, bool) {
	// Pointers are copied under the lock and looked at without it.
	chunk := chunks.Get().(*[chunkFrames]*Frame)
	defer func() {
		clear(chunk[:])
		chunks.Put(chunk)
	}()
	page := Page{Position: after}
	for first := true; ; first = false {
		h.mu.Lock()
		position := h.position.Load()
		n, complete := h.ring.copyAfter(page.Position, chunk[:])
		h.mu.Unlock()
		if position < page.Position || !complete {
			// What is there already is good: it stays complete up to its position.
			page.More = true
			return page, !first
		}
		for i, f := range chunk[:n] {
			page.Position = f.Seq
			if !set.wants(f) {
				continue
			}
			if page.Frames == nil { // who wants one often wants those that follow
				page.Frames = make([]*Frame, 0, min(limit, n-i, 128))
			}
			page.Frames = append(page.Frames, f)
			if len(page.Frames) == limit {
				page.More = true
				return page, true
			}
		}
		if n < len(chunk) {
			page.Position = position
			return page, true
		}
	}
}

const chunkFrames = 512

var chunks = sync.Pool{New: func() any { return new([chunkFrames]*Frame) }}
