// Package delivery hands the notification log to clients, whatever they are connected by.
//
// A Hub tails the log once a node and keeps the newest frames in a ring. A Subscription is a cursor over some
// channels; it guarantees that it hands out every notification of its channels after its cursor, once, in rising
// order of seq, or else fails with ErrExpired because retention has dropped some. Whether a frame comes from
// the database, from the ring or live from the tail is hidden, and no moment between them loses or repeats one. Who
// catches up is spared the places of an order that a newer one replaces.
//
// A right that the log takes away ends at once: from the publication of its end on, a subscription hands out nothing
// that only the lost channel carries, and says that it has left it.
//
// Memory is bounded: the ring by frames and bytes, a subscription's queue by frames, what was read for many by bytes. A subscription whose
// consumer is slow loses its queue, not its frames: it reads them again after its cursor.
package delivery

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// Feed is the notification log.
type Feed interface {
	// Tail returns up to limit notifications of any channel with seq > after.
	Tail(ctx context.Context, after int64, limit int) (projections.Page, error)
	// Read returns a page for each reading: up to Limit notifications with seq > After that one of the channels
	// carries. Each names at least those of the channels that carry it. A page is Expired, judged in the snapshot
	// that was read, if retention has dropped notifications after the cursor.
	Read(ctx context.Context, readings []projections.Reading) ([]projections.Page, error)
	// Bounds returns what the log holds now.
	Bounds(ctx context.Context) (projections.Bounds, error)
}

// Config of a Hub. Only Feed is required.
type Config struct {
	Feed Feed
	// Hint says that the feed may have grown; nil means that only polling finds out.
	Hint <-chan struct{}
	// Logger gets faults of the feed. Default: slog.Default().
	Logger *slog.Logger
	// PollInterval is how long the hub waits at most for a hint. Default 1 s.
	PollInterval time.Duration
	// PageSize is how many notifications one reading asks for, and the most that a subscription which catches up
	// holds. Default 500.
	PageSize int
	// RingFrames and RingBytes bound the ring: the first that is reached drops the oldest frames. As many frames
	// are read when the hub starts. Defaults 16,384 frames and 64 MiB.
	RingFrames int
	RingBytes  int
	// QueueFrames bounds what waits for one live subscription. Default 256.
	QueueFrames int
	// Readers is how many readings of the feed for catching up run at once; each is for all who wait by then, within
	// bounds. Default 4.
	Readers int
	// ReadTimeout bounds a subscription's reading of a page, the wait for its turn included. Default 30 s.
	ReadTimeout time.Duration
	// RetryMin and RetryMax are the first and the longest pause after a reading that failed. Defaults 100 ms and 5 s.
	RetryMin, RetryMax time.Duration
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	byDefault(&c.PollInterval, time.Second)
	byDefault(&c.PageSize, 500)
	byDefault(&c.RingFrames, 16384)
	byDefault(&c.RingBytes, 64<<20)
	byDefault(&c.QueueFrames, 256)
	byDefault(&c.Readers, 4)
	byDefault(&c.ReadTimeout, 30*time.Second)
	byDefault(&c.RetryMin, 100*time.Millisecond)
	byDefault(&c.RetryMax, 5*time.Second)
	return c
}

func byDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Hub tails the notification log and serves every subscription of this node. All methods are safe for
// concurrent use; Run is called once.
type Hub struct {
	cfg      Config
	counters counters
	ready    chan struct{} // closed when the ring holds what the log held at the start
	fault    atomic.Pointer[error]
	reads    *readings
	fillers  fillers
	bounds   boundsCache

	// position is the seq up to which everything has been offered to the live subscriptions; -1 before Run has
	// read where to begin. It is stored under mu, after the offers, so that a subscription which is live and has
	// nothing queued is complete up to any value that it loads.
	position atomic.Int64

	// offered are the subscriptions that were offered something since they were woken, each once. It is Run's.
	offered []*Subscription

	mu       sync.Mutex // taken before a subscription's own lock, never after
	ring     ring
	endings  endings
	channels map[string]members
	waiting  map[*Subscription]struct{} // to be woken when position reaches their cursor and goal
}

// New returns a hub. It serves nothing until Run is called.
func New(cfg Config) *Hub {
	cfg = cfg.withDefaults()
	h := &Hub{
		cfg:      cfg,
		ready:    make(chan struct{}),
		fillers:  fillers{cancels: map[*Subscription]context.CancelFunc{}},
		bounds:   newBoundsCache(),
		ring:     ring{maxFrames: cfg.RingFrames, maxBytes: cfg.RingBytes},
		endings:  endings{floor: -1},
		channels: map[string]members{},
		waiting:  map[*Subscription]struct{}{},
	}
	h.reads = newReadings(cfg, h.encode)
	h.position.Store(-1)
	return h
}

// Ready is closed when the hub has read all that the log held when it started.
func (h *Hub) Ready() <-chan struct{} { return h.ready }

// Position is the seq up to which the hub has read the log; -1 before it is known.
func (h *Hub) Position() int64 { return h.position.Load() }

// Err is the fault of the last reading of the tail, nil when it went well. While there is one, nothing new is
// delivered, and nothing is skipped.
func (h *Hub) Err() error {
	if p := h.fault.Load(); p != nil {
		return *p
	}
	return nil
}

// Run tails the log until ctx ends, then returns nil. It survives faults of the feed: it logs them, waits and
// reads on from the same place. Subscriptions that catch up are read for until then too.
func (h *Hub) Run(ctx context.Context) error {
	defer h.reads.end()
	defer h.fillers.end()
	poll := time.NewTicker(h.cfg.PollInterval)
	defer poll.Stop()
	pause := h.cfg.RetryMin
	for {
		more, err := h.step(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			h.fault.Store(&err)
			h.counters.faults.Add(1)
			h.cfg.Logger.ErrorContext(ctx, "the notification log could not be tailed", "position", h.Position(), "retry_in", pause, "error", err)
			if !wait(ctx, pause) {
				return nil
			}
			pause = min(2*pause, h.cfg.RetryMax)
			continue
		case h.fault.Swap(nil) != nil:
			h.cfg.Logger.InfoContext(ctx, "the notification log is tailed again", "position", h.Position())
		}
		pause = h.cfg.RetryMin
		if more {
			continue
		}
		select {
		case <-h.ready:
		default:
			close(h.ready)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-h.cfg.Hint:
		case <-poll.C:
		}
	}
}

// step reads and publishes one page, and says whether there is more to read at once.
func (h *Hub) step(ctx context.Context) (more bool, err error) {
	if h.Position() < 0 {
		b, err := h.cfg.Feed.Bounds(ctx)
		if err != nil {
			return false, fmt.Errorf("read where the notification log ends: %w", err)
		}
		// Begin early enough to fill the ring, so that clients which return after a restart find it warm.
		h.begin(max(b.Floor, b.Position-int64(h.cfg.RingFrames), 0))
	}
	after := h.Position()
	page, err := h.cfg.Feed.Tail(ctx, after, h.cfg.PageSize)
	if err != nil {
		return false, fmt.Errorf("read the notification log after %d: %w", after, err)
	}
	// The whole page is judged before any of it goes out.
	if err := checkPage(page, after); err != nil {
		return false, err
	}
	frames, err := h.encode(page.Items)
	if err != nil {
		return false, err
	}
	for some := range slices.Chunk(frames, framesAWake) {
		h.publish(some...)
	}
	h.advance(page.Position)
	return page.More, nil
}

// checkPage makes sure that a page can follow a cursor: its position did not go back, its seqs rise within bounds.
func checkPage(page projections.Page, after int64) error {
	if page.Position < after {
		return fmt.Errorf("the notification log ends at %d, which is before %d, where it was read to", page.Position, after)
	}
	if page.More && len(page.Items) == 0 {
		return fmt.Errorf("the notification log says that there is more after %d, but gives nothing", after)
	}
	last := after
	for _, n := range page.Items {
		if n.Seq <= last || n.Seq > page.Position {
			return fmt.Errorf("the notification log is out of order: %d after %d in a page up to %d", n.Seq, last, page.Position)
		}
		last = n.Seq
	}
	return nil
}

func (h *Hub) begin(position int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring.floor, h.endings.floor = position, position
	h.position.Store(position)
	for s := range h.waiting { // they could not know what to do before
		delete(h.waiting, s)
		s.Signal()
	}
}

// framesAWake is how many frames are published before those are woken that they are for: whoever is told of many events
// writes them together, also where so many are woken that the hub seldom gets to run.
const framesAWake = 64

// publish offers frames to the live subscriptions of their channels, and then wakes those that were offered something. It is
// for Run's goroutine.
func (h *Hub) publish(frames ...*Frame) {
	for _, f := range frames {
		h.offer(f)
	}
	for i, s := range h.offered {
		h.offered[i] = nil
		s.wakeOffered()
	}
	h.offered = h.offered[:0]
}

// offer holds the lock for one frame only, so that a long page does not keep others out.
func (h *Hub) offer(f *Frame) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.ring.push(f)
	if len(f.Endings) > 0 {
		h.endLocked(f)
	}
	before := h.position.Load()
	for _, channel := range f.Channels {
		for s := range h.channels[channel].all {
			s.offer(f, channel, before)
		}
	}
	h.counters.published.Add(1)
	h.advanceLocked(f.Seq)
}

func (h *Hub) advance(position int64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.advanceLocked(position)
}

func (h *Hub) advanceLocked(position int64) {
	h.position.Store(position)
	for s := range h.waiting {
		if s.reached(position) {
			delete(h.waiting, s)
			s.Signal()
		}
	}
}

// wait answers false when ctx ended first.
func wait(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
