package engine

import (
	"context"
	"errors"
	"net/http"
	"os"
	"strings"
	"time"
)

// upgradeHold is how long a poll that comes during an upgrade waits for something to tell, and how long one may be
// behind the client's goodbye.
const upgradeHold = 100 * time.Millisecond

// get is a poll that is being answered.
type get struct {
	kick   chan struct{} // look at the session again
	cancel context.CancelFunc
	reply  *reply
	done   chan struct{} // closed when it has been answered
	noopBy time.Time     // when it is answered at the latest, because of an upgrade; zero: never
	stamp  string        // that tells the client's polls apart; empty: nothing does

	answering bool // the client may have the answer already
	followed  bool // and the next one waits
}

// poll answers a GET: with what there is to be sent, as soon as there is something. It panics with http.ErrAbortHandler when
// the client goes.
func (s *Session) poll(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	g := &get{kick: make(chan struct{}, 1), cancel: cancel, done: make(chan struct{}), stamp: stampOf(r)}
	g.reply = newReply(w, s.server.cfg.WriteTimeout)
	farewell, before, why := s.beginGet(g)
	for before != nil {
		select {
		case <-before:
		case <-r.Context().Done():
			s.end(ReasonLost)
			panic(http.ErrAbortHandler)
		}
		farewell, before, why = s.beginGet(g)
	}
	switch {
	case why != nil:
		s.server.refuse(w, why)
		return
	case farewell:
		_ = s.server.answer(w, []byte{packetNoop}) // nobody cares any more
		return
	}
	defer s.endGet(g)
	b := &Batch{}
	defer b.free()
	closing, why := s.collect(ctx, r, g, b)
	switch {
	case why != nil:
		s.server.refuse(w, why)
		return
	case r.Context().Err() != nil: // what was gathered is lost with it
		s.end(ReasonLost)
		// Who can be told after all, as who only will not send anything more, must not take an empty answer for one.
		panic(http.ErrAbortHandler)
	}
	s.answers(g)
	if err := g.reply.write(b.payload); err != nil {
		s.end(lostOf(err))
		return
	}
	s.server.sent.Add(b.messages)
	if closing != "" {
		s.end(closing)
	}
}

// stampOf is what tells a client's polls apart: its t, unless that is a number. Then it is a clock, which says the same for
// two polls of one moment: socket.io-client-csharp gives whole seconds, and its second poll comes in the same one as the
// first. What sends a poll of such a client again is not noticed. socket.io-client's own stamps have letters.
func stampOf(r *http.Request) string {
	t := r.URL.Query().Get("t")
	if strings.Trim(t, "0123456789.") == "" {
		return ""
	}
	return t
}

func lostOf(err error) Reason {
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return ReasonSlow
	}
	return ReasonLost
}

// beginGet makes g the session's poll. farewell says that all it gets is the answer to a goodbye. While the poll before
// is being answered, which the client may see sooner than we do, it answers what to wait for.
func (s *Session) beginGet(g *get) (farewell bool, before <-chan struct{}, why *refusal) {
	s.mu.Lock()
	now := time.Now()
	last := s.watch(now)
	switch {
	case s.lingering:
		s.lingering = false
		s.server.forget(s)
		farewell = true
	case s.ended != "":
		why = errSession
	case s.transport != Polling:
		why = errRequest
	case s.get == nil && g.stamp != "" && g.stamp == s.polled:
		// What sends the client's requests has sent one again, because the connection was lost before an answer came. That
		// answer is gone, and the client does not know: it has to come back and be told again.
		why, last = errSession, s.endLocked(ReasonLost)
	case s.get != nil && s.get.answering && !s.get.followed:
		s.get.followed = true
		before = s.get.done
	case s.get != nil: // one at a time, or there is no order (Engine.IO protocol 4, "Receiving data")
		why, last = errRequest, s.endLocked(ReasonProtocol)
	default:
		s.get, s.polled, s.beat.pollBy = g, g.stamp, time.Time{}
		if s.probed {
			g.noopBy = now.Add(upgradeHold)
		}
	}
	s.mu.Unlock()
	if last {
		s.leave()
	}
	return farewell, before, why
}

// answers says that g is being answered.
func (s *Session) answers(g *get) {
	s.mu.Lock()
	defer s.mu.Unlock()
	g.answering = true
}

func (s *Session) endGet(g *get) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.get = nil
	if s.transport == Polling {
		s.waitForPoll()
	}
	close(g.done)
}

// collect waits until there is something to answer, and puts it into b. The end of the session is told alone, by the next
// poll if need be. closing says that the session ends with it.
// When the client goes, b may be empty. ctx ends with the session or the request.
func (s *Session) collect(ctx context.Context, r *http.Request, g *get, b *Batch) (closing Reason, why *refusal) {
	client := r.Context()
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		f := s.fill(ctx, Polling, b)
		noopBy, ended := s.state(g)
		switch {
		case f.moved:
			return "", errRequest
		case client.Err() != nil:
			return "", nil
		case b.size() > 0: // before all that ends something: clients hand nothing on that came with a close packet
			return "", nil
		case ended == ReasonClient:
			b.packet(packetNoop, "")
			return "", nil
		case ended != "":
			b.packet(packetClose, "")
			return "", nil
		case f.closing != "" && !f.again:
			b.packet(packetClose, "")
			return f.closing, nil
		case f.again:
			continue
		case !noopBy.IsZero() && !time.Now().Before(noopBy):
			b.packet(packetNoop, "")
			return "", nil
		}
		if !noopBy.IsZero() && (f.next.IsZero() || noopBy.Before(f.next)) {
			f.next = noopBy
		}
		wait := time.Hour
		if !f.next.IsZero() {
			wait = time.Until(f.next)
		}
		timer.Reset(wait)
		select {
		case <-s.wake:
		case <-g.kick:
		case <-timer.C:
		case <-client.Done():
		}
	}
}

func (s *Session) state(g *get) (noopBy time.Time, ended Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.noopBy, s.ended
}
