package engine

import (
	"context"
	"errors"
	"net"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socket"
)

// openUpgrade serves a WebSocket that wants to become the transport of a session (Engine.IO protocol 4, "Upgrade").
func (s *Server) openUpgrade(w http.ResponseWriter, r *http.Request, session *Session) *refusal {
	if !s.addConn() {
		return errOverload
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	c := newConn(session, cancel)
	second, why := session.reserve(c)
	if why != nil {
		cancel()
		s.removeConn(c)
		return why
	}
	ws, ok := s.accept(w, r)
	if !ok {
		cancel()
		session.fail(c)
		s.removeConn(c)
		return nil
	}
	session.begun(c, ws)
	s.opened(c)
	go func() {
		defer s.removeConn(c)
		defer cancel()
		if second {
			c.dismiss(ctx, websocket.ClosePolicyViolation, "the session has a WebSocket")
			return
		}
		c.upgrade(ctx)
	}()
	return nil
}

// reserve makes c the WebSocket that may become the transport, unless it is the second one.
func (s *Session) reserve(c *conn) (second bool, why *refusal) {
	s.mu.Lock()
	last := s.watch(time.Now())
	switch {
	case s.ended != "":
		why = errSession
	case s.transport == WebSocket || s.upgrade != nil:
		second = true
	default:
		s.upgrade = c
	}
	s.mu.Unlock()
	if last {
		s.leave()
	}
	return second, why
}

// begun says that the WebSocket is open.
func (s *Session) begun(c *conn, ws *socket.Conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.take(ws)
	_ = ws.SetReadDeadline(time.Now().Add(s.server.cfg.UpgradeTimeout))
	if s.ended != "" {
		c.interrupt()
	}
}

// interrupt makes the reader of an upgrade see that the session has ended. It is called under the session's lock.
func (c *conn) interrupt() {
	if c.ws != nil {
		_ = c.ws.SetReadDeadline(longAgo)
	}
}

// fail says that c does not become the transport.
func (s *Session) fail(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade == c {
		s.upgrade, s.probed = nil, false
	}
}

// errUpgrade is an upgrade that went another way than the protocol's.
var errUpgrade = errors.New("engine: the upgrade was not as it should be")

// upgrade does the upgrade and serves the session. When that fails the session goes on without it.
func (c *conn) upgrade(ctx context.Context) {
	sent, received, err := c.handover(ctx)
	if err == nil {
		c.serve(ctx, sent, received, nil)
		return
	}
	s := c.session
	s.fail(c)
	var late net.Error
	switch reason := s.reason(); {
	case errors.Is(err, errUpgrade), socket.IsProtocolError(err):
		c.dismiss(ctx, websocket.CloseProtocolError, "the upgrade failed")
	case reason != "":
		c.dismiss(ctx, closeCode(reason), string(reason))
	case errors.As(err, &late) && late.Timeout():
		c.dismiss(ctx, websocket.ClosePolicyViolation, "the upgrade took too long")
	default:
		_ = c.ws.Close()
	}
}

// dismiss closes a WebSocket that has not become the transport.
func (c *conn) dismiss(ctx context.Context, code int, why string) {
	wire := socket.NewWire(false)
	c.say(ctx, &wire, code, why)
	c.ws.Drain()
	_ = c.ws.Close()
}

// handover waits for the probe, answers it, and waits for the client's word that it polls no more.
func (c *conn) handover(ctx context.Context) (sent, received <-chan struct{}, err error) {
	if err := c.expect(string(packetPing) + probe); err != nil {
		return nil, nil, err
	}
	c.session.probe(c)
	wire := socket.NewWire(false)
	defer wire.Reset()
	wire.Text([]byte(string(packetPong) + probe))
	if _, err := c.ws.Write(wire.Bytes(), c.session.server.cfg.UpgradeTimeout, func() {}, ctx.Done()); err != nil {
		return nil, nil, err
	}
	if err := c.expect(string(packetUpgrade)); err != nil {
		return nil, nil, err
	}
	return c.session.complete(c)
}

// expect reads a text.
func (c *conn) expect(text string) error {
	kind, body, err := c.ws.NextReader()
	if err != nil {
		return err
	}
	data, err := readAll(borrow(), body)
	defer giveBack(data)
	if err == nil && (kind != websocket.TextMessage || string(data) != text) {
		err = errUpgrade
	}
	return err
}

// probe makes polls short from now on, so that the client can go on to the WebSocket.
func (s *Session) probe(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.upgrade != c || s.ended != "" {
		return
	}
	s.probed = true
	if s.get != nil {
		s.get.noopBy = time.Now()
		wake(s.get.kick)
	}
}

// complete makes c the transport. What polling has begun is finished first: sent is closed when nothing is written any
// more by a poll, and received when all of a payload was received.
func (s *Session) complete(c *conn) (sent, received <-chan struct{}, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" {
		return nil, nil, net.ErrClosed
	}
	_ = c.ws.SetReadDeadline(time.Time{})
	s.transport, s.socket, s.upgrade, s.probed = WebSocket, c, nil, false
	s.beat.pollBy = time.Time{}
	s.server.countUpgraded()
	sent, received = closed, closed
	if s.get != nil {
		sent = s.get.done
		wake(s.get.kick)
	}
	if s.post != nil {
		received = s.post.done
	}
	return sent, received, nil
}
