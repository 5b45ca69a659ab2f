package socketio

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/domain"
)

// conn is one Engine.IO session: what its sockets have in common.
type conn struct {
	engine.Peer   // the namespaces
	h             *Handler
	session       *engine.Session
	authorization string // the handshake's header, when it has a token
	remoteAddr    string // the client's IP address; may be empty

	rate    session.Window // Receive's
	limited bool           // Receive's: what comes is not looked at

	mu       sync.Mutex
	farewell []byte // what its sockets are told last; nil: nothing yet
}

// Why connections end, beside the reasons of the protocols.
const (
	reasonRateLimited  engine.Reason = "rate_limited"
	reasonTokenExpired engine.Reason = "token_expired"
)

// accept takes an Engine.IO session.
func (h *Handler) accept(r *http.Request, s *engine.Session) (engine.Peer, error) {
	peer, err := h.namespaces.Accept(r, s)
	if err != nil {
		return nil, err
	}
	c := &conn{
		Peer: peer, h: h, session: s,
		rate: session.Window{Limit: h.cfg.MaxMessages, Span: h.cfg.RateWindow},
	}
	// Another scheme is somebody else's, such as a proxy's that asks for a password.
	header := r.Header.Get("Authorization")
	if len(header) >= len("bearer") && strings.EqualFold(header[:len("bearer")], "bearer") && isToken(header) {
		c.authorization = header
	}
	if client := h.cfg.TrustedProxies.Client(r); client.IsValid() {
		c.remoteAddr = client.String()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[s] = c
	if h.closing { // Shutdown has not seen it
		c.dismiss(goingAway(h.cfg.ReconnectSpread))
	}
	return c, nil
}

// Receive counts what the client sends, whatever it is, before the namespaces look at it.
func (c *conn) Receive(ctx context.Context, m engine.Message) error {
	switch {
	case c.limited:
		return nil
	case c.rate.Allow(time.Now()):
		return c.Peer.Receive(ctx, m)
	}
	c.limited = true
	c.dismiss(appendEvent(nil, "error", session.Failure{
		Code: domain.CodeRateLimited, Message: "too many messages: wait a moment, then connect again and send fewer",
	}, nil))
	c.session.Close(reasonRateLimited)
	return nil
}

// Close is called when the session has ended.
func (c *conn) Close(reason engine.Reason) {
	c.Peer.Close(reason)
	c.h.mu.Lock()
	defer c.h.mu.Unlock()
	delete(c.h.conns, c.session)
}

// dismiss has every socket told something last. The first one counts. The engine's session is still to be closed.
func (c *conn) dismiss(farewell []byte) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.farewell == nil {
		c.farewell = farewell
	}
	c.wake()
}

// wake has the sockets asked by Fill again.
func (c *conn) wake() {
	select {
	case c.session.Wake() <- struct{}{}:
	default: // they are to be asked already
	}
}

// last is what the sockets are told last, nil while there is more to come.
func (c *conn) last() []byte {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.farewell
}

func (h *Handler) connOf(s *engine.Session) *conn {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.conns[s]
}
