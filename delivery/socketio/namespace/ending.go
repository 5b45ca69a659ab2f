package namespace

import (
	"slices"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// Close ends all connections of the session.
func (p *peer) Close(reason engine.Reason) {
	p.mu.Lock()
	p.closed = true
	p.lonely.Stop()
	p.queue = nil
	sockets := slices.Clone(p.sockets)
	p.mu.Unlock()
	for _, s := range sockets {
		p.end(s, reason)
	}
}

// end ends a connection. Its application is closed when it is doing nothing anymore.
func (p *peer) end(s *Socket, reason engine.Reason) {
	p.mu.Lock()
	p.endLocked(s, reason)
	closes := s.closesLocked()
	p.mu.Unlock()
	if closes {
		s.app.Close(s.reason)
	}
}

func (p *peer) endLocked(s *Socket, reason engine.Reason) {
	if s.state == ended {
		return
	}
	if s.state == open {
		p.deadline = time.Now().Add(p.cfg.ConnectTimeout)
	}
	s.state, s.reason, s.held = ended, reason, nil
	close(s.done)
	if reason == Left { // what waits is for a connection that the client has forgotten
		p.dropLocked(s)
	}
	p.sockets = slices.DeleteFunc(p.sockets, func(other *Socket) bool { return other == s })
	if len(p.sockets) == 0 && !p.closed {
		p.lonely.Reset(time.Until(p.deadline))
	}
}

// disconnect ends a connection on this side. The client is told, behind what is waiting.
func (p *peer) disconnect(s *Socket) {
	p.mu.Lock()
	switch s.state {
	case connecting:
		s.leaving = true // accept comes back to it
	case open:
		// It takes no slot, because it does not wait. There is at most one for each CONNECT.
		p.queue = append(p.queue, outgoing{text: packet.Append(nil, packet.Packet{Type: packet.Disconnect, Namespace: s.namespace})})
		if p.dismissed = append(p.dismissed, s.namespace); len(p.dismissed) > p.cfg.MaxSockets {
			p.dismissed = slices.Delete(p.dismissed, 0, 1)
		}
		p.endLocked(s, Ended)
	}
	closes := s.closesLocked()
	p.mu.Unlock()
	p.wake()
	if closes {
		s.app.Close(s.reason)
	}
}

// enter begins a call of the application. It fails when the connection has ended.
func (s *Socket) enter() bool {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	if s.state == ended {
		return false
	}
	s.busy++
	return true
}

// leave ends a call of the application. The last one of an ended connection closes the application.
func (s *Socket) leave() {
	s.peer.mu.Lock()
	s.busy--
	closes := s.closesLocked()
	s.peer.mu.Unlock()
	if closes {
		s.app.Close(s.reason)
	}
}

// closesLocked says that the caller is to close the application now. It says so once.
func (s *Socket) closesLocked() bool {
	if s.state != ended || s.busy > 0 || s.app == nil || s.closed {
		return false
	}
	s.closed = true
	return true
}
