package engine

import "time"

// heartbeat is what a session knows of its pings (Engine.IO protocol 4, "Heartbeat"): the server's, one each interval
// after the last pong.
type heartbeat struct {
	pingAt time.Time // the next one is due; zero: one is out
	sentAt time.Time // the one that is out was due
	pongBy time.Time // the client has to answer it; zero: none is out
	owed   bool      // it is due, and nothing was there to write it to
	heldAt time.Time // since then the client is not read, because of us; zero: it is
}

// hold stops the client's time: a pong may be waiting behind what is being received.
func (h *heartbeat) hold(now time.Time) { h.heldAt = now }

// goOn gives the client the time that was ours.
func (h *heartbeat) goOn(now time.Time) {
	from := h.heldAt
	if from.Before(h.sentAt) {
		from = h.sentAt
	}
	h.heldAt = time.Time{}
	if !h.pongBy.IsZero() {
		h.pongBy = h.pongBy.Add(now.Sub(from))
	}
}

// late says that the pong did not come in time.
func (h *heartbeat) late(now time.Time) bool {
	return h.heldAt.IsZero() && !h.pongBy.IsZero() && !now.Before(h.pongBy)
}

// due is when tick has something to do; zero: never. It is called under the lock.
func (s *Session) due(now time.Time) time.Time {
	next := s.beat.pingAt
	if next.IsZero() {
		next = s.beat.pongBy
		if !s.beat.heldAt.IsZero() && !now.Before(next) {
			next = time.Time{} // when it goes on
		}
	}
	if !s.closeBy.IsZero() && (next.IsZero() || s.closeBy.Before(next)) {
		next = s.closeBy
	}
	return next
}

// schedule sets the timer. It is called under the lock.
func (s *Session) schedule() {
	if s.ended != "" || s.timer == nil {
		return
	}
	now := time.Now()
	if due := s.due(now); !due.IsZero() {
		s.timer.Reset(due.Sub(now))
	}
}

// tick does what is due.
func (s *Session) tick() {
	s.mu.Lock()
	if s.lingering {
		s.lingering = false
		s.server.forget(s)
	}
	last := s.watch(time.Now())
	s.schedule()
	s.mu.Unlock()
	if last {
		s.leave()
	}
}

// watch ends a session that is late and makes a ping due. It is called under the lock, and answers as endLocked.
func (s *Session) watch(now time.Time) (last bool) {
	if s.ended != "" {
		return false
	}
	if at := s.beat.pingAt; !at.IsZero() && !now.Before(at) {
		s.beat.sentAt, s.beat.pongBy = at, at.Add(s.server.cfg.PingTimeout)
		s.beat.pingAt, s.beat.owed = time.Time{}, true
		s.kick()
	}
	switch {
	case s.closing != "" && !now.Before(s.closeBy):
		return s.endLocked(s.closing)
	case s.beat.late(now):
		return s.endLocked(ReasonPingTimeout)
	}
	return false
}

// ponged takes the client's pong. One that nobody asked for changes nothing.
func (s *Session) ponged() {
	s.mu.Lock()
	now := time.Now()
	last := s.watch(now)
	if s.ended == "" && !s.beat.pongBy.IsZero() {
		s.beat.pongBy, s.beat.owed = time.Time{}, false
		s.beat.pingAt = now.Add(s.server.cfg.PingInterval)
		s.schedule()
	}
	s.mu.Unlock()
	if last {
		s.leave()
	}
}

// reads says that the client reads what is written, however slowly. The ping may be stuck behind it.
func (s *Session) reads() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.beat.pongBy.IsZero() {
		s.beat.pongBy = time.Now().Add(s.server.cfg.PingTimeout)
	}
}
