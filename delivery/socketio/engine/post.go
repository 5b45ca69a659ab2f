package engine

import (
	"context"
	"net/http"
	"time"
)

// post is a payload of the client that is being received.
type post struct {
	cancel  context.CancelFunc
	done    chan struct{} // closed when all of it was received
	control *http.ResponseController
	header  http.Header // of its answer

	reading     bool // its body is being read
	interrupted bool // while it was being read
}

// push answers a POST: it gives the messages in it to the peer, one after the other.
func (s *Session) push(w http.ResponseWriter, r *http.Request) {
	// A client that goes while its message is worked on has sent it nevertheless.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	p := &post{cancel: cancel, done: make(chan struct{}), control: http.NewResponseController(w), header: w.Header()}
	if why := s.beginPost(p); why != nil {
		s.server.refuse(w, why)
		return
	}
	why := s.receiveBody(ctx, p, r)
	if why != nil {
		s.server.refuse(w, why)
		return
	}
	if err := s.server.answer(w, []byte("ok")); err != nil {
		s.end(lostOf(err))
	}
}

func (s *Session) beginPost(p *post) (why *refusal) {
	s.mu.Lock()
	last := s.watch(time.Now())
	switch {
	case s.ended != "":
		why = errSession
	case s.transport != Polling:
		why = errRequest
	case s.post != nil: // one at a time, or there is no order (Engine.IO protocol 4, "Sending data")
		why, last = errRequest, s.endLocked(ReasonProtocol)
	default:
		s.post = p
	}
	s.mu.Unlock()
	if last {
		s.leave()
	}
	return why
}

func (s *Session) endPost(p *post) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.post = nil
	close(p.done)
}

// receiveBody gives what the request holds to the peer. p has ended when it returns, because the client may send the
// next payload as soon as it has the answer.
func (s *Session) receiveBody(ctx context.Context, p *post, r *http.Request) *refusal {
	panicked := true
	defer func() {
		if panicked {
			s.end(ReasonLost) // nobody knows what of it was received
		}
		s.endPost(p)
	}()
	why := s.receivePackets(ctx, p, r)
	panicked = false
	return why
}

func (s *Session) receivePackets(ctx context.Context, p *post, r *http.Request) *refusal {
	body, tooMuch, err := s.readBody(p, r)
	defer func() { giveBack(body) }()
	switch {
	case tooMuch:
		s.end(ReasonTooLarge)
		return errTooLarge
	case err != nil:
		reason := lostOf(err)
		s.end(reason)
		if reason == ReasonSlow {
			return errTimeout
		}
		return errRequest
	}
	packets, err := newPayload(body)
	if err != nil {
		s.end(ReasonProtocol)
		return errRequest
	}
	for {
		next, ok, err := packets.next()
		if err != nil {
			s.end(ReasonProtocol)
			return errRequest
		}
		if !ok {
			return nil
		}
		if next.kind != packetMessage && !s.mayIdle(next.kind) {
			s.end(ReasonProtocol)
			return errRequest
		}
		switch next.kind {
		case packetMessage:
			if !s.receive(ctx, next.message) {
				return s.whyEnded()
			}
		case packetPong:
			s.ponged()
		case packetClose:
			s.goodbye()
			return nil
		}
	}
}

// goodbye ends the session because the client says so. Its waiting poll is answered, and so is one that is on its way.
func (s *Session) goodbye() {
	s.mu.Lock()
	waiting := s.get != nil
	last := false
	if s.ended == "" {
		last = s.endLocked(ReasonClient)
		if !waiting {
			s.lingering = true
			s.server.linger(s)
			s.timer.Reset(upgradeHold)
		}
	}
	s.mu.Unlock()
	if last {
		s.leave()
	}
}
