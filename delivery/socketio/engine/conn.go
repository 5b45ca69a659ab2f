package engine

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socket"
)

// conn is a WebSocket of a session: its transport, or one that may become it. One goroutine reads and, once it is the
// transport, another one writes.
type conn struct {
	session *Session
	ws      *socket.Conn
	cancel  context.CancelFunc
	kick    chan struct{} // look at the session again
	pong    chan []byte   // the newest ping of RFC 6455 that is to be answered
}

func newConn(session *Session, cancel context.CancelFunc) *conn {
	return &conn{session: session, cancel: cancel, kick: make(chan struct{}, 1), pong: make(chan []byte, 1)}
}

// openSocket serves a session that begins with a WebSocket.
func (s *Server) openSocket(w http.ResponseWriter, r *http.Request, session *Session) *refusal {
	if !s.addConn() {
		session.end(ReasonShutdown)
		return errOverload
	}
	// The connection outlives the request, so that what the HTTP server keeps for one is freed.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	c := newConn(session, cancel)
	ws, ok := s.accept(w, r)
	if !ok {
		cancel()
		s.removeConn(c)
		session.end(ReasonLost)
		return nil
	}
	c.take(ws)
	s.opened(c)
	go func() {
		defer s.removeConn(c)
		defer cancel()
		session.attach(c)
		c.serve(ctx, closed, closed, session.openPacket([]string{}))
	}()
	return nil
}

// accept does the handshake of RFC 6455. When it answers false, the client was answered.
func (s *Server) accept(w http.ResponseWriter, r *http.Request) (*socket.Conn, bool) {
	ws, err := socket.Upgrade(&s.upgrader, w, r, nil, s.cfg.SocketBuffer)
	if err != nil {
		s.cfg.Logger.DebugContext(r.Context(), "a WebSocket handshake was refused", "remote", r.RemoteAddr, "error", err)
		return nil, false
	}
	ws.SetReadLimit(int64(s.cfg.MaxPayload))
	return ws, true
}

func (c *conn) take(ws *socket.Conn) {
	c.ws = ws
	ws.SetPingHandler(func(payload string) error {
		select {
		case <-c.pong: // an older ping needs no answer any more
		default:
		}
		c.pong <- []byte(payload) // there is room: only the reader, which we are, puts something in
		return nil
	})
}

// attach makes the WebSocket that of its session, which may have ended.
func (s *Session) attach(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.ended != "" {
		c.cancel()
	}
	s.socket = c
}

// closed is a channel that nobody waits for.
var closed = func() chan struct{} { c := make(chan struct{}); close(c); return c }()

// serve serves the session until the connection has ended. Nothing is written before all was sent by the transport
// before, and nothing is read before all was received by it. first is written before anything else.
func (c *conn) serve(ctx context.Context, sent, received <-chan struct{}, first []byte) {
	written := make(chan struct{})
	go func() {
		defer close(written)
		w := writer{conn: c, wire: socket.NewWire(false)}
		w.run(ctx, sent, first)
	}()
	select {
	case <-received:
	case <-ctx.Done():
	}
	err := c.read(ctx)
	reason := reasonOf(err)
	c.session.end(reason)
	if reason == ReasonLost {
		_ = c.ws.Close() // wakes a writer that is stuck
	}
	<-written
	if socket.IsProtocolError(err) {
		c.ws.Drain() // or the close frame is cut off
	}
	_ = c.ws.Close()
}

// reasonOf says why a session ended whose WebSocket cannot be read any more.
func reasonOf(err error) Reason {
	var byPeer *websocket.CloseError
	switch {
	case errors.As(err, &byPeer):
		return ReasonClient
	case errors.Is(err, websocket.ErrReadLimit):
		return ReasonTooLarge
	case socket.IsProtocolError(err):
		return ReasonProtocol
	}
	return ReasonLost
}

// read gives what comes to the session, until nothing can come any more. When the session has ended it reads on,
// because the client may not have read the close frame yet.
func (c *conn) read(ctx context.Context) error {
	for {
		kind, body, err := c.ws.NextReader()
		if err != nil {
			return err
		}
		data, err := readAll(borrow(), body)
		if err == nil {
			c.message(ctx, kind, data)
		}
		giveBack(data)
		if err != nil {
			return err
		}
	}
}

func (c *conn) message(ctx context.Context, kind int, data []byte) {
	if kind == websocket.BinaryMessage {
		c.session.receive(ctx, Message{Binary: true, Data: data})
		return
	}
	p, err := decodeText(data)
	if err != nil {
		c.session.end(ReasonProtocol)
		return
	}
	if p.kind != packetMessage && !c.session.mayIdle(p.kind) {
		c.session.end(ReasonProtocol)
		return
	}
	switch p.kind {
	case packetMessage:
		c.session.receive(ctx, p.message)
	case packetPong:
		c.session.ponged()
	case packetClose:
		c.session.end(ReasonClient)
	}
}

// say writes what is left and a close frame behind it, and gives the client some time to answer it.
func (c *conn) say(ctx context.Context, wire *socket.Wire, code int, why string) {
	timeout := c.session.server.cfg.CloseTimeout
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout)
	defer cancel()
	defer wire.Reset()
	wire.Close(code, why)
	if _, err := c.ws.Write(wire.Bytes(), timeout, func() {}, ctx.Done()); err != nil {
		_ = c.ws.Close()
		return
	}
	if err := c.ws.SetReadDeadline(time.Now().Add(timeout)); err != nil {
		_ = c.ws.Close()
	}
}
