package delivery

import (
	"context"
	"errors"
	"sync"
	"time"
)

// ErrClosed says that a subscription has been closed.
var ErrClosed = errors.New("the subscription is closed")

// Batch is what a subscription hands out.
type Batch struct {
	// Left are the channels whose right was ended since the last batch. Such a batch has no frames, and no later one
	// has a frame that only these channels carry.
	Left []string

	Frames []*Frame // in rising order of seq; the caller keeps the slice
	// Position is the seq up to which the client knows everything once it has the frames.
	Position int64
	// CaughtUp says that the subscription has just become live, at Position. Such a batch has no frames.
	// It comes once, and once more whenever the subscription had fallen back to catching up.
	CaughtUp bool
}

// Empty says that there is nothing to hand out now.
func (b Batch) Empty() bool { return len(b.Frames) == 0 && len(b.Left) == 0 && !b.CaughtUp }

// Subscription hands out the frames of its channels after its cursor, as the package comment promises.
// Poll and Next are for one consumer; all other methods are safe for concurrent use.
//
// It is either live, and gets frames from the hub as they are published, or it reads page after page after its
// cursor until it has reached the hub's position.
type Subscription struct {
	hub  *Hub
	wake chan struct{}

	mu       sync.Mutex
	channels channelSet // replaced, never changed
	// cursor is the seq up to which everything has been handed out.
	cursor int64
	// queue is what comes next. While not live it is what was read after the cursor, complete up to end.
	queue []*Frame
	end   int64
	live  bool
	// goal is the seq that has to be reached before the subscription says that it has caught up.
	goal int64
	// offered is the newest seq that was queued live, so that a frame of several channels is queued once.
	offered int64
	told    bool              // that it has caught up
	left    []string          // channels that ended and are to be told
	joins   map[string]*joins // channels whose joining is not answered yet
	closed  bool
	// generation changes with what is to be read, so that a page read for something else is not taken.
	generation int
	retry      retry
}

// retry is the pause after a reading that failed.
type retry struct {
	timer *time.Timer
	until time.Time
	pause time.Duration
}

// Subscribe returns a subscription to the channels after the cursor, which does not say that it has caught up
// before it is at goal: the log may be ahead of the hub. So may the cursor, because another node or a reading
// may have told it: what is not after it is skipped. Close it when done.
//
// Who is in the channels of a user and a role leaves a channel as soon as the log says that this user lost the right
// to it. The rights must have been checked after checked was read from Position, behind Ready: ErrEnded if one was ended
// since.
func (h *Hub) Subscribe(channels []string, cursor, goal, checked int64) (*Subscription, error) {
	s := &Subscription{
		hub: h, wake: make(chan struct{}, 1), channels: make(channelSet, len(channels)),
		cursor: cursor, goal: max(cursor, goal),
	}
	for _, c := range channels {
		s.channels[c] = cursor
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range s.channels {
		if h.endings.since(checked, c, s.channels) {
			return nil, ErrEnded
		}
	}
	for c := range s.channels {
		h.attachLocked(s, c)
	}
	h.counters.subscriptions.Add(1)
	s.signal()
	return s, nil
}

// Ready gets a value when Poll may have something to hand out. After a batch that was not empty, Poll again
// without waiting for it.
func (s *Subscription) Ready() <-chan struct{} { return s.wake }

// Next waits for the next batch of at most limit frames. Errors: ErrClosed, ErrExpired, and the context's.
func (s *Subscription) Next(ctx context.Context, limit int) (Batch, error) {
	for {
		b, err := s.Poll(ctx, limit)
		if err != nil || !b.Empty() {
			return b, err
		}
		select {
		case <-ctx.Done():
			return Batch{}, ctx.Err()
		case <-s.wake:
		}
	}
}

// Poll returns the next batch of at most limit frames, an empty one when there is nothing now. It waits only
// while it reads the feed. A fault of the feed is logged and tried again later. Errors: ErrClosed, ErrExpired
// (Reset goes on after it), and the context's.
func (s *Subscription) Poll(ctx context.Context, limit int) (Batch, error) {
	for {
		b, done, err := s.take(max(limit, 1))
		if done || err != nil {
			return b, err
		}
		if progress, err := s.fill(ctx); err != nil || !progress {
			return Batch{}, err
		}
	}
}

// take hands out what is queued. It is done when there is something, or nothing can be had by reading.
func (s *Subscription) take(limit int) (_ Batch, done bool, _ error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return Batch{}, true, ErrClosed
	}
	if left := s.left; len(left) > 0 {
		s.left = nil
		return Batch{Left: left, Position: s.cursor}, true, nil
	}
	if n := min(limit, len(s.queue)); n > 0 {
		frames := s.queue[:n:n]
		s.queue = s.queue[n:]
		s.cursor = frames[n-1].Seq
		if len(s.queue) == 0 {
			s.queue = nil // the caller has the array now
			if !s.live {
				s.cursor = s.end
			}
		}
		s.hub.counters.handOut(frames)
		return Batch{Frames: frames, Position: s.cursor}, true, nil
	}
	if !s.live {
		return Batch{}, false, nil
	}
	position := s.hub.Position()
	if s.told || position < max(s.cursor, s.goal) {
		return Batch{}, true, nil
	}
	s.told = true
	s.cursor = position // nothing is queued, so everything up to it has been handed out
	return Batch{Position: position, CaughtUp: true}, true, nil
}

// Position is the seq up to which the client knows everything, once it has what was handed out: never ahead of
// what is still to come.
func (s *Subscription) Position() int64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.settle()
}

// settle moves the cursor of an idle live subscription to the hub's position, which it is complete up to.
func (s *Subscription) settle() int64 {
	if s.live && len(s.queue) == 0 {
		s.cursor = max(s.cursor, s.hub.Position())
	}
	return s.cursor
}

// Reset goes on after another cursor, with the same channels.
func (s *Subscription) Reset(cursor int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursor = cursor
	s.channels = s.channels.from(cursor)
	s.fallBack()
}

// fallBack gives up what is queued and returns to reading after the cursor.
func (s *Subscription) fallBack() {
	s.queue, s.live, s.told = nil, false, false
	s.generation++
	s.signal()
}

// Close ends the subscription. It is safe to call it again.
func (s *Subscription) Close() {
	s.hub.mu.Lock()
	defer s.hub.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return
	}
	s.closed = true
	for c := range s.channels {
		s.hub.detachLocked(s, c)
	}
	delete(s.hub.waiting, s)
	s.fallBack()
	if s.retry.timer != nil {
		s.retry.timer.Stop()
	}
	s.hub.counters.subscriptions.Add(-1)
}

func (s *Subscription) signal() {
	select {
	case s.wake <- struct{}{}:
	default: // it is to wake already
	}
}
