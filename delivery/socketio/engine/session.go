package engine

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/socket"
)

// Session is the connection with a client, over all its requests and transports. It is safe for concurrent use.
//
// No goroutine belongs to it while it polls: requests serve themselves, and a timer watches its times.
type Session struct {
	server     *Server
	id         string
	header     http.Header
	remoteAddr string
	opener     string // the Origin of the handshake
	peer       Peer   // set before the session can be found
	wake       chan struct{}

	mu        sync.Mutex
	origin    string // that is bound, see sameOrigin
	transport string
	get       *get   // the poll that is being answered; nil: none
	polled    string // the stamp of the newest poll
	post      *post  // the payload that is being received; nil: none
	upgrade   *conn  // the WebSocket that may become the transport; nil: none
	probed    bool   // and its probe has come
	socket    *conn  // the WebSocket that is the transport
	beat      heartbeat
	idle      socket.Meter // packets that are no message
	timer     *time.Timer  // nil before the beginning

	calls     int // of Receive and Fill that have not returned
	closing   Reason
	closeBy   time.Time
	ended     Reason
	lingering bool // a poll that crossed the client's goodbye is still answered
}

// kept are the fields of the handshake's header that a session keeps.
var kept = []string{"Authorization", "User-Agent", "Origin", "X-Forwarded-For"}

func newSession(server *Server, r *http.Request, transport, origin string) *Session {
	var id [16]byte
	_, _ = rand.Read(id[:]) // it never fails
	header := make(http.Header, len(kept))
	for _, name := range kept {
		if values := r.Header[name]; len(values) > 0 {
			header[name] = values
		}
	}
	return &Session{
		server: server, id: base64.RawURLEncoding.EncodeToString(id[:]), header: header, remoteAddr: r.RemoteAddr,
		opener: origin, origin: origin, transport: transport, wake: make(chan struct{}, 1),
	}
}

// ID is the session's secret id, the sid.
func (s *Session) ID() string { return s.id }

// Wake returns the channel, of capacity 1, by which the peer is made to be asked by Fill again. Whoever sends does so
// without waiting. It is never closed.
func (s *Session) Wake() chan struct{} { return s.wake }

// Transport is Polling or WebSocket.
func (s *Session) Transport() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.transport
}

// Header returns what is kept of the handshake's header: Authorization, User-Agent, Origin and X-Forwarded-For. It
// must not be changed.
func (s *Session) Header() http.Header { return s.header }

// RemoteAddr is the handshake's http.Request.RemoteAddr.
func (s *Session) RemoteAddr() string { return s.remoteAddr }

// Close ends the session in good order: nothing more is received, what Fill still gives is written, and the client is
// told. It does not wait, and it takes CloseTimeout at the longest. The first reason counts.
func (s *Session) Close(reason Reason) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" || s.closing != "" {
		return
	}
	s.closing, s.closeBy = reason, time.Now().Add(s.server.cfg.CloseTimeout)
	s.schedule()
	s.kick()
}

// begin makes a session out of what was accepted.
func (s *Session) begin(peer Peer) {
	s.mu.Lock()
	s.peer = peer
	s.beat.pingAt = time.Now().Add(s.server.cfg.PingInterval)
	s.timer = time.AfterFunc(s.server.cfg.PingInterval, s.tick)
	if s.transport == Polling {
		s.waitForPoll()
	}
	closing, cut := s.server.add(s)
	s.schedule() // it may have been closed already
	s.mu.Unlock()
	switch {
	case cut:
		s.end(ReasonShutdown)
	case closing:
		s.Close(ReasonShutdown)
	}
}

// discard makes a session that was not accepted do nothing, whoever kept it.
func (s *Session) discard() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ended = ReasonLost
}

// end ends the session at once, for the first reason that is given. The peer is told when its last call has returned.
func (s *Session) end(reason Reason) {
	s.mu.Lock()
	last := s.endLocked(reason)
	s.mu.Unlock()
	if last {
		s.leave()
	}
}

// endLocked is end under the lock. When it answers true the caller has to call leave once the lock is given back.
func (s *Session) endLocked(reason Reason) (last bool) {
	if s.ended != "" {
		return false
	}
	s.ended = reason
	s.timer.Stop()
	s.server.forget(s)
	s.kick()
	if s.get != nil {
		s.get.cancel()
		s.get.reply.cut(s.lastWordBy())
	}
	if s.post != nil {
		s.post.cancel()
		s.post.interrupt()
	}
	if s.upgrade != nil {
		s.upgrade.cancel()
		s.upgrade.interrupt()
	}
	if s.socket != nil {
		s.socket.cancel()
	}
	return s.calls == 0
}

// lastWordBy is when the answer to a poll has to be written, now that the session has ended. It is called under the lock.
func (s *Session) lastWordBy() time.Time {
	now := time.Now()
	if s.closing == "" {
		return now.Add(s.server.cfg.CloseTimeout)
	}
	if by := now.Add(lastMoment); by.After(s.closeBy) {
		return by
	}
	return s.closeBy
}

// leave tells the peer. Only who was told by endLocked or release does so, which is once.
func (s *Session) leave() {
	s.peer.Close(s.ended) // written before the last call was counted
	s.server.left(s)
}

// release ends a call of the peer.
func (s *Session) release() {
	s.mu.Lock()
	s.calls--
	last := s.calls == 0 && s.ended != ""
	s.mu.Unlock()
	if last {
		s.leave()
	}
}

// kick makes those who wait for this session look at it again.
func (s *Session) kick() {
	if s.get != nil {
		wake(s.get.kick)
	}
	if s.socket != nil {
		wake(s.socket.kick)
	}
}

func wake(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// fillPatience is how long Fill may wait for more.
const fillPatience = 5 * time.Second

// filled says how the peer's being asked went.
type filled struct {
	ended   Reason // it was not asked: the session has ended
	moved   bool   // it was not asked: another transport serves the session
	closing Reason // the session was to be closed before it was asked, so there is an end to what it gives
	again   bool
	next    time.Time
}

// fill asks the peer for what is to be sent over a transport, behind a ping that is owed.
func (s *Session) fill(ctx context.Context, transport string, b *Batch) filled {
	s.mu.Lock()
	if s.ended != "" || s.transport != transport {
		defer s.mu.Unlock()
		return filled{ended: s.ended, moved: s.ended == ""}
	}
	now := time.Now()
	f := filled{closing: s.closing}
	until := now.Add(fillPatience)
	if due := s.due(); !due.IsZero() && due.Before(until) {
		until = due
	}
	if s.beat.owed {
		s.beat.owed = false
		b.packet(packetPing, "")
	}
	s.calls++
	s.mu.Unlock()
	defer s.release()
	ctx, cancel := context.WithDeadline(ctx, until)
	defer cancel()
	f.next, f.again = s.peer.Fill(ctx, b)
	return f
}

// receive gives a message to the peer. It answers false when the session has ended, by this perhaps.
func (s *Session) receive(ctx context.Context, m Message) bool {
	s.mu.Lock()
	if s.ended != "" || s.closing != "" {
		defer s.mu.Unlock()
		return s.ended == ""
	}
	s.beat.hold(time.Now())
	s.calls++
	s.mu.Unlock()
	defer s.release()
	s.server.received.Add(1)
	defer s.goOn()
	if err := s.peer.Receive(ctx, m); err != nil {
		s.end(ReasonProtocol)
		return false
	}
	return true
}

// whyEnded is how a request is refused of a session that has ended: the client is told of a fault only if it made one.
func (s *Session) whyEnded() *refusal {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended == ReasonProtocol {
		return errRequest
	}
	return errSession
}

// goOn lets the client's time run again.
func (s *Session) goOn() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.beat.goOn(time.Now())
	if !s.beat.pongBy.IsZero() {
		s.schedule() // the timer may have passed
	}
}
