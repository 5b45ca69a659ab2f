package delivery

import (
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
// Take is for one consumer; all other methods are safe for concurrent use. None of them waits for the database.
//
// It is either live, and gets frames from the hub as they are published, or page after page after its cursor is read for
// it until it has reached the hub's position.
type Subscription struct {
	hub    *Hub
	wake   chan struct{} // nil with notify
	notify func()

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
	toWake  bool              // something was offered for which the hub will wake the consumer
	told    bool              // that it has caught up
	left    []string          // channels that ended and are to be told
	joins   map[string]*joins // channels whose joining is not answered yet
	closed  bool
	// generation changes with what is to be read, so that a page read for something else is not taken.
	generation int
	// reading is closed when the reading of the feed that is under way has ended; nil: there is none.
	reading chan struct{}
	expired bool // what comes after the cursor cannot be had
	toFloor bool // the cursor is to be where the log begins
	retry   retry
}

// retry is the pause after a reading that failed.
type retry struct {
	timer *time.Timer
	until time.Time
	pause time.Duration
}

// Wanted is what a subscription is to hand out.
type Wanted struct {
	Channels []string
	// From lets single ones of the channels count from a seq that is later than the cursor: of what only they carry,
	// nothing up to it is handed out. It may be nil.
	From map[string]int64
	// Cursor is the seq after which everything is handed out. It may be ahead of the hub, because another node or a
	// reading may have told it: what is not after it is skipped.
	Cursor int64
	// Goal is the seq before which the subscription does not say that it has caught up: the log may be ahead of the hub.
	Goal int64
	// Checked is the hub's Position, read behind Ready and before the rights to the channels were checked.
	Checked int64
	// Wake gets a value when Take may have something to hand out, and is what Ready returns. Its capacity is 1. Several
	// subscriptions may share it if one consumer asks all of them after each value; what it finds then may be nothing.
	// nil: the subscription has one of its own, unless there is Notify.
	Wake chan struct{}
	// Notify is called instead when Take may have something to hand out that it had not before: ask once after Subscribe
	// without it. It is called with locks held, so it must not wait nor call the subscription. It may be nil.
	Notify func()
}

// Subscribe returns a subscription. Close it when done.
//
// Who is in the channels of a user and a role leaves a channel as soon as the log says that this user lost the right
// to it. ErrEnded if one was ended after Checked: check the rights again.
func (h *Hub) Subscribe(w Wanted) (*Subscription, error) {
	s := &Subscription{
		hub: h, wake: w.Wake, notify: w.Notify, channels: make(channelSet, len(w.Channels)),
		cursor: w.Cursor, goal: max(w.Cursor, w.Goal),
	}
	if s.wake == nil && s.notify == nil {
		s.wake = make(chan struct{}, 1)
	}
	for _, c := range w.Channels {
		s.channels[c] = max(w.Cursor, w.From[c])
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for c := range s.channels {
		if h.endings.since(w.Checked, c, s.channels) {
			return nil, ErrEnded
		}
	}
	for c := range s.channels {
		h.attachLocked(s, c)
	}
	h.counters.subscriptions.Add(1)
	if s.notify == nil {
		s.Signal()
	}
	return s, nil
}

// Ready gets a value when Take may have something to hand out. After a batch that was not empty, Take again
// without waiting for it. With Wanted.Notify it is nil.
func (s *Subscription) Ready() <-chan struct{} { return s.wake }

// Take returns the next batch of at most limit frames, an empty one when there is nothing now. It never waits: where the
// database has to be read that is done meanwhile, and Ready gets a value. A fault of the feed is logged and tried again
// later. Errors: ErrClosed, and ErrExpired, after which Reset or ResetToFloor goes on.
func (s *Subscription) Take(limit int) (Batch, error) {
	for {
		b, done, err := s.take(max(limit, 1))
		if done || err != nil {
			return b, err
		}
		if !s.fill() {
			return Batch{}, nil
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
	if s.expired {
		return Batch{}, true, ErrExpired
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
	s.reset(cursor)
}

func (s *Subscription) reset(cursor int64) {
	s.cursor, s.expired, s.toFloor = cursor, false, false
	s.channels = s.channels.from(cursor)
	s.fallBack()
}

// ResetToFloor goes on where the log begins now, which is read from the database.
func (s *Subscription) ResetToFloor() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired, s.toFloor = false, true
	s.fallBack()
}

// fallBack gives up what is queued and returns to reading after the cursor.
func (s *Subscription) fallBack() {
	s.queue, s.live, s.told = nil, false, false
	s.generation++
	s.Signal()
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
	s.hub.fillers.giveUp(s)
}

// Signal has Ready get a value, or Notify called, so that the consumer looks again.
func (s *Subscription) Signal() {
	if s.notify != nil {
		s.notify()
		return
	}
	select {
	case s.wake <- struct{}{}:
	default: // it is to wake already
	}
}
