// Package deliverytest has a notification log in memory, and rights to go with it, for tests of what reads one.
package deliverytest

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/projections"
)

// Feed is a notification log in memory. It is safe for concurrent use.
type Feed struct {
	// ID is the log's.
	ID uuid.UUID
	// Hint gets a value when the log has grown.
	Hint chan struct{}

	mu             sync.Mutex
	items          []projections.Notification
	floor, head    int64
	behind         int64
	reads, bounds  int
	onTail, onRead func() error
	onBounds       func()
}

// NewFeed returns an empty log.
func NewFeed() *Feed { return &Feed{ID: uuid.New(), Hint: make(chan struct{}, 1)} }

// Add appends an event named "e" whose data has its seq as "n", and returns the seq. One without channels notifies
// nobody, but takes a seq.
func (f *Feed) Add(channels ...string) int64 { return f.AddSized(0, channels...) }

// AddSized is Add for an event whose data is larger by some bytes.
func (f *Feed) AddSized(size int, channels ...string) int64 {
	return f.append(projections.Notification{Event: "e", Channels: channels}, size)
}

// Append appends a notification, with the next seq and data of its own.
func (f *Feed) Append(n projections.Notification) int64 { return f.append(n, 0) }

func (f *Feed) append(n projections.Notification, size int) int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.head++
	if len(n.Channels) > 0 {
		n.Seq, n.At = f.head, time.Unix(f.head, 0)
		n.Data = json.RawMessage(fmt.Sprintf(`{"n": %d, "pad": %q}`, f.head, strings.Repeat("x", size)))
		f.items = append(f.items, n)
	}
	f.grown()
	return f.head
}

func (f *Feed) grown() {
	select {
	case f.Hint <- struct{}{}:
	default:
	}
}

// Drop lets retention take all up to a seq.
func (f *Feed) Drop(upTo int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.floor = upTo
}

// HoldBack keeps the notification log that many events behind the log.
func (f *Feed) HoldBack(events int64) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.behind = events
	f.grown()
}

// Forget empties the log, as a restore from a backup does.
func (f *Feed) Forget() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.items, f.head = nil, 0
	f.grown()
}

// Items returns all notifications there ever were. They are not to be changed.
func (f *Feed) Items() []projections.Notification {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clip(f.items) // it is only ever appended to
}

// Head is the seq of the newest event.
func (f *Feed) Head() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.head
}

// Reads is how often channels were read, for however many readings.
func (f *Feed) Reads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.reads
}

// BoundsReads is how often the bounds were read.
func (f *Feed) BoundsReads() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.bounds
}

// OnTail has a function called by each Tail; its error is Tail's.
func (f *Feed) OnTail(call func() error) { f.mu.Lock(); defer f.mu.Unlock(); f.onTail = call }

// OnRead has a function called by each Read, which has its pages already; its error is that of Read.
func (f *Feed) OnRead(call func() error) { f.mu.Lock(); defer f.mu.Unlock(); f.onRead = call }

// OnBounds has a function called by each Bounds, before it looks.
func (f *Feed) OnBounds(call func()) { f.mu.Lock(); defer f.mu.Unlock(); f.onBounds = call }

// Tail implements delivery.Feed.
func (f *Feed) Tail(_ context.Context, after int64, limit int) (projections.Page, error) {
	f.mu.Lock()
	call := f.onTail
	f.mu.Unlock()
	if call != nil {
		if err := call(); err != nil {
			return projections.Page{}, err
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.page(after, limit, func(projections.Notification) bool { return true }), nil
}

// Read implements delivery.Feed.
func (f *Feed) Read(_ context.Context, readings []projections.Reading) ([]projections.Page, error) {
	f.mu.Lock()
	f.reads++
	call := f.onRead
	pages := make([]projections.Page, len(readings))
	for i, r := range readings {
		if r.After < f.floor {
			pages[i].Expired = true
			continue
		}
		pages[i] = f.page(r.After, r.Limit, func(n projections.Notification) bool {
			return slices.ContainsFunc(n.Channels, func(c string) bool { return slices.Contains(r.Channels, c) })
		})
	}
	f.mu.Unlock()
	if call != nil {
		if err := call(); err != nil {
			return nil, err
		}
	}
	return pages, nil
}

// Bounds implements delivery.Feed.
func (f *Feed) Bounds(context.Context) (projections.Bounds, error) {
	f.mu.Lock()
	call := f.onBounds
	f.mu.Unlock()
	if call != nil {
		call()
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.bounds++
	return projections.Bounds{LogID: f.ID, Floor: f.floor, Position: f.head - f.behind, Head: f.head}, nil
}

// page is what the log holds, under its lock.
func (f *Feed) page(after int64, limit int, want func(projections.Notification) bool) projections.Page {
	p := projections.Page{Position: f.head - f.behind}
	first, _ := slices.BinarySearchFunc(f.items, max(after, f.floor)+1, func(n projections.Notification, seq int64) int {
		return cmp.Compare(n.Seq, seq)
	})
	for _, n := range f.items[first:] {
		if n.Seq > p.Position {
			break
		}
		if !want(n) {
			continue
		}
		if len(p.Items) == limit {
			p.More, p.Position = true, p.Items[limit-1].Seq
			break
		}
		p.Items = append(p.Items, n)
	}
	return p
}
