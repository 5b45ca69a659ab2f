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
	holdBy time.Time // with a ping out: the latest that pongBy may become because of that
	pollBy time.Time // a client that polls has to come by then; zero: a poll waits, or the transport is another
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
	if h.pongBy.IsZero() {
		return
	}
	if h.pongBy = h.pongBy.Add(now.Sub(from)); h.pongBy.After(h.holdBy) {
		h.pongBy = h.holdBy
	}
}

// waitsFor is how long the pong is waited for; zero: none is.
func (h *heartbeat) waitsFor() time.Time {
	if !h.pongBy.IsZero() && !h.heldAt.IsZero() {
		return h.holdBy
	}
	return h.pongBy
}

// late says that the pong or the poll did not come in time.
func (h *heartbeat) late(now time.Time) bool {
	return passed(h.waitsFor(), now) || passed(h.pollBy, now)
}

func passed(at, now time.Time) bool { return !at.IsZero() && !now.Before(at) }

// earlier is the earlier one of those that are not zero.
func earlier(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// patience is how long a client may not be there: by polling not come, and not pong because we do not read it.
func (c *Config) patience() time.Duration { return c.PingInterval + c.PingTimeout }

// due is when tick has something to do; zero: never. It is called under the lock.
func (s *Session) due() time.Time {
	ping := earlier(s.beat.pingAt, s.beat.waitsFor()) // one of them is zero
	return earlier(ping, earlier(s.beat.pollBy, s.closeBy))
}

// schedule sets the timer. It is called under the lock.
func (s *Session) schedule() {
	if s.ended != "" || s.timer == nil {
		return
	}
	if due := s.due(); !due.IsZero() {
		s.timer.Reset(time.Until(due))
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
	if at := s.beat.pingAt; passed(at, now) {
		s.beat.sentAt = at
		s.waitForPong(at)
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

// waitForPong gives the client the time for its pong. It is called under the lock.
func (s *Session) waitForPong(from time.Time) {
	s.beat.pongBy = from.Add(s.server.cfg.PingTimeout)
	s.beat.holdBy = s.beat.pongBy.Add(s.server.cfg.patience())
}

// waitForPoll gives a client that polls the time to come. It is called under the lock.
func (s *Session) waitForPoll() {
	s.beat.pollBy = time.Now().Add(s.server.cfg.patience())
	s.schedule()
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
		s.waitForPong(time.Now())
	}
}
