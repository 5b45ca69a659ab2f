package socketio

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/quota"
)

// conn is one Engine.IO session: what its sockets have in common.
type conn struct {
	engine.Peer   // the namespaces
	h             *Handler
	session       *engine.Session
	authorization string // the handshake's header, when it has a token
	remoteAddr    string // the client's IP address; may be empty

	// Receive's.
	rate     session.Window
	waitedAt time.Time // when it last waited for rate; zero: never

	mu       sync.Mutex
	farewell []byte       // what its sockets are told last; nil: nothing yet
	slowed   int          // how often the client began to be slowed down
	counted  *quota.Quota // by its address, as one of those; nil: not any more
}

var errTooMany = errors.New("too many connections from your address have shown no token: come back in a moment")

// countAs counts the connection, if it is counted still, as one of others: nil when it need not be any more. Where those
// are as many as may be it stays one of those that it was, and keeps a new one out instead of being sent away itself.
func (c *conn) countAs(of *quota.Quota) {
	address := quota.Address(c.remoteAddr)
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.counted == nil || c.counted == of || (of != nil && !of.Take(address)) {
		return
	}
	c.counted.Give(address)
	c.counted = of
}

// reasonTokenExpired ends a connection, beside the reasons of the protocols.
const reasonTokenExpired engine.Reason = "token_expired"

// accept takes an Engine.IO session.
func (h *Handler) accept(r *http.Request, s *engine.Session) (engine.Peer, error) {
	client := ""
	if address := h.cfg.TrustedProxies.Client(r); address.IsValid() {
		client = address.String()
	}
	if !h.unknown.Take(quota.Address(client)) {
		return nil, errTooMany
	}
	peer, err := h.namespaces.Accept(r, s)
	if err != nil {
		h.unknown.Give(quota.Address(client))
		return nil, err
	}
	c := &conn{
		Peer: peer, h: h, session: s, remoteAddr: client, counted: h.unknown,
		rate: session.Window{Limit: h.cfg.MaxMessages, Span: h.cfg.RateWindow},
	}
	// Another scheme is somebody else's, such as a proxy's that asks for a password.
	header := r.Header.Get("Authorization")
	if len(header) >= len("bearer") && strings.EqualFold(header[:len("bearer")], "bearer") && isToken(header) {
		c.authorization = header
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.conns[s] = c
	if h.closing { // Shutdown has not seen it
		c.dismiss(goingAway(h.cfg.ReconnectSpread))
	}
	return c, nil
}

// Receive counts what the client sends, whatever it is, before the namespaces look at it. What is too much waits, and the
// client is not read further meanwhile. It is not sent away, because socket.io-client sends all that it could not send while it
// was away as soon as it is back, and keeps nothing of it.
func (c *conn) Receive(ctx context.Context, m engine.Message) error {
	for now := time.Now(); !c.rate.Allow(now); now = time.Now() {
		if c.waitedAt.IsZero() || now.Sub(c.waitedAt) >= c.rate.Span {
			c.slowDown()
		}
		if !wait(ctx, c.rate.Wait(now)) { // the session has ended
			return nil
		}
		c.waitedAt = time.Now()
	}
	return c.Peer.Receive(ctx, m)
}

// slowedDown is told once while a client sends too much: until nothing of it has waited for a whole window.
var slowedDown = appendEvent(nil, "error", session.Failure{
	Code:    domain.CodeRateLimited,
	Message: "too many messages: none is lost, but they are taken more slowly until there are fewer",
}, nil)

// slowDown has every socket told that the client is slowed down.
func (c *conn) slowDown() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.slowed++
	c.wake()
}

// slowdowns is how often the client began to be slowed down.
func (c *conn) slowdowns() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.slowed
}

// Close is called when the session has ended.
func (c *conn) Close(reason engine.Reason) {
	c.Peer.Close(reason)
	c.countAs(nil)
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
