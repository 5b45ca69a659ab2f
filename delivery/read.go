package delivery

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
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
	page, err := h.readFeed(ctx, set.names(), after, limit)
	if err != nil {
		return Page{}, false, err
	}
	// The page may be shared with others, and a channel may count from a later seq than the cursor.
	kept := make([]*Frame, 0, len(page.Frames))
	for _, f := range page.Frames {
		if set.wants(f) {
			kept = append(kept, f)
		}
	}
	page.Frames = kept
	return page, false, nil
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
		for _, f := range chunk[:n] {
			page.Position = f.Seq
			if !set.wants(f) {
				continue
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

// readings bounds the readings of the feed and shares those that are the same.
type readings struct {
	slots chan struct{}

	mu      *sync.Mutex
	flights map[string]*flight
}

type flight struct {
	done chan struct{}
	page Page
	err  error
}

func newReadings(slots int) readings {
	return readings{slots: make(chan struct{}, slots), mu: new(sync.Mutex), flights: map[string]*flight{}}
}

// readFeed reads a page of the feed, or waits for one that is being read for another with the same cursor and
// channels. The frames are shared, and so is the slice.
func (h *Hub) readFeed(ctx context.Context, channels []string, after int64, limit int) (Page, error) {
	key := strconv.FormatInt(after, 10) + "\x00" + strconv.Itoa(limit) + "\x00" + strings.Join(channels, "\x00")
	for {
		h.reads.mu.Lock()
		f, shared := h.reads.flights[key]
		if !shared {
			f = &flight{done: make(chan struct{}), err: errReadAbandoned}
			h.reads.flights[key] = f
		}
		h.reads.mu.Unlock()
		if !shared {
			h.fly(ctx, key, f, channels, after, limit)
			return f.page, f.err
		}
		select {
		case <-ctx.Done():
			return Page{}, ctx.Err()
		case <-f.done:
		}
		if errors.Is(f.err, errReadAbandoned) {
			continue // the one who read went away; we did not
		}
		h.counters.shared.Add(1)
		return f.page, f.err
	}
}

var errReadAbandoned = errors.New("the reading was given up")

// fly reads for itself and for all who wait.
func (h *Hub) fly(ctx context.Context, key string, f *flight, channels []string, after int64, limit int) {
	defer func() {
		h.reads.mu.Lock()
		delete(h.reads.flights, key)
		h.reads.mu.Unlock()
		close(f.done)
	}()
	select {
	case <-ctx.Done():
		f.err = fmt.Errorf("%w: %w", errReadAbandoned, ctx.Err())
		return
	case h.reads.slots <- struct{}{}:
		defer func() { <-h.reads.slots }()
	}
	f.page, f.err = h.readPage(ctx, channels, after, limit)
	if f.err != nil && ctx.Err() != nil {
		f.err = fmt.Errorf("%w: %w", errReadAbandoned, ctx.Err())
	}
}

func (h *Hub) readPage(ctx context.Context, channels []string, after int64, limit int) (Page, error) {
	page, err := h.cfg.Feed.ReadChannels(ctx, channels, after, limit)
	if err != nil {
		return Page{}, fmt.Errorf("read the notification log of %d channels after %d: %w", len(channels), after, err)
	}
	if err := checkPage(page, after); err != nil {
		return Page{}, err
	}
	frames, err := h.encode(page.Items)
	if err != nil {
		return Page{}, err
	}
	return Page{Frames: frames, Position: page.Position, More: page.More}, nil
}
