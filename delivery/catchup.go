package delivery

import (
	"context"
	"errors"
	"time"
)

// fill takes the next page after the cursor out of the ring, has it read from the feed, or makes the subscription live when
// nothing is left to read. It answers false when there is nothing to do but to wait for a signal.
func (s *Subscription) fill() (progress bool) {
	s.mu.Lock()
	cursor, channels, generation := s.cursor, s.channels, s.generation
	busy := s.reading != nil || (!s.retry.until.IsZero() && time.Now().Before(s.retry.until))
	toFloor := s.toFloor
	s.mu.Unlock()
	if busy {
		return false
	}
	if toFloor {
		return s.readAside(generation, func(ctx context.Context) error { return s.findFloor(ctx, generation) })
	}
	switch s.goLive(cursor, generation) {
	case wentLive:
		return true
	case mustWait:
		return false
	}
	if page, ok := s.hub.readRing(channels, cursor, s.hub.cfg.PageSize); ok {
		s.accept(page, true, generation)
		return true
	}
	return s.readAside(generation, func(ctx context.Context) error {
		page, _, err := s.hub.read(ctx, channels, cursor, s.hub.cfg.PageSize)
		if err != nil {
			return err
		}
		if page.Position <= cursor { // the feed answered from before the hub's position: it will get there
			return errBehind
		}
		s.accept(page, false, generation)
		return nil
	})
}

var errBehind = errors.New("the notification log is not as far yet")

// readAside has the feed read in a goroutine of its own, which wakes the consumer when it has ended. It answers true when
// what is to be read has changed meanwhile.
func (s *Subscription) readAside(generation int, read func(context.Context) error) (changed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed || s.generation != generation {
		return true
	}
	ended := make(chan struct{})
	begun := s.hub.fillers.begin(s, s.hub.cfg.ReadTimeout, func(ctx context.Context) {
		err := read(ctx)
		s.mu.Lock()
		defer s.mu.Unlock()
		s.reading = nil
		close(ended)
		s.settleReading(ctx, err, generation)
	})
	if begun {
		s.reading = ended
	}
	return false
}

// settleReading does what follows from the end of a reading.
func (s *Subscription) settleReading(ctx context.Context, err error, generation int) {
	switch {
	case s.closed:
		return
	case s.generation != generation, err == nil: // look again
	case errors.Is(err, ErrExpired):
		s.expired = true
	default:
		if !errors.Is(err, errBehind) {
			s.hub.cfg.Logger.WarnContext(ctx, "a subscription could not catch up, it tries again", "cursor", s.cursor, "error", err)
		}
		s.retryLater()
		return
	}
	s.Signal()
}

// findFloor moves the cursor to where the log begins.
func (s *Subscription) findFloor(ctx context.Context, generation int) error {
	b, err := s.hub.Bounds(ctx)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.generation == generation {
		s.reset(b.Floor)
	}
	return nil
}

type seam int

const (
	mustRead seam = iota
	mustWait
	wentLive
)

// goLive closes the seam between catching up and live. Under the hub's lock nothing is published, so a
// subscription that has read up to the hub's position, or is ahead of it, misses nothing and gets nothing again
// when everything published from now on is offered to it. In any other case there is more to read first.
func (s *Subscription) goLive(cursor int64, generation int) seam {
	h := s.hub
	h.mu.Lock()
	defer h.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	position := h.Position()
	switch {
	case s.closed || s.generation != generation:
		return wentLive // what was to be done has changed: look again
	case position < 0:
		h.waiting[s] = struct{}{}
		return mustWait
	case cursor < position:
		return mustRead
	}
	s.live, s.offered = true, cursor
	if max(cursor, s.goal) > position {
		h.waiting[s] = struct{}{} // to be told when it has caught up
	}
	return wentLive
}

// accept queues a page, unless it was read for something else than what is wanted now.
func (s *Subscription) accept(page Page, fromRing bool, generation int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.retry.pause, s.retry.until = 0, time.Time{}
	if s.generation != generation {
		return
	}
	page.Frames = dropSuperseded(page.Frames, s.channels)
	if len(page.Frames) == 0 {
		s.cursor = page.Position
		return
	}
	s.queue, s.end = page.Frames, page.Position
	if fromRing {
		s.hub.counters.ring.Add(int64(len(page.Frames)))
	} else {
		s.hub.counters.feed.Add(int64(len(page.Frames)))
	}
}

// retryLater has nothing read for a pause that grows, and wakes the consumer after it. A reading that goes well ends the
// pauses.
func (s *Subscription) retryLater() {
	cfg := s.hub.cfg
	s.retry.pause = min(max(2*s.retry.pause, cfg.RetryMin), cfg.RetryMax)
	s.retry.until = time.Now().Add(s.retry.pause)
	if s.retry.timer == nil {
		s.retry.timer = time.AfterFunc(s.retry.pause, s.Signal)
		return
	}
	s.retry.timer.Reset(s.retry.pause)
}

// offer queues a frame that one of the subscription's channels carries. The hub's lock is held; before is its
// position up to now. A queue that is full is thrown away: the consumer is slow and reads again what was in it.
func (s *Subscription) offer(f *Frame, channel string, before int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.live || f.Seq <= s.offered || f.Seq <= s.channels[channel] {
		return
	}
	if len(s.queue) == 0 {
		s.cursor = max(s.cursor, before) // so that catching up begins no earlier than it must
	}
	s.offered = f.Seq
	if len(s.queue) >= s.hub.cfg.QueueFrames {
		s.hub.counters.overflows.Add(1)
		s.fallBack()
		return
	}
	s.queue = append(s.queue, f)
	if !s.toWake {
		s.toWake = true
		s.hub.offered = append(s.hub.offered, s)
	}
}

// wakeOffered has the consumer look for what was offered.
func (s *Subscription) wakeOffered() {
	s.mu.Lock()
	s.toWake = false
	s.mu.Unlock()
	s.Signal()
}

// reached says that a position is not before what the subscription waits for.
func (s *Subscription) reached(position int64) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return position >= max(s.cursor, s.goal)
}
