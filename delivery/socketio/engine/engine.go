// Package engine is a server of Engine.IO protocol 4: sessions over HTTP long polling and WebSocket, and the upgrade
// from the one to the other. It knows nothing of what is carried.
//
// What is to be sent is pulled. A session's peer is asked by Fill when the transport can take bytes, and only then, so
// a client that reads slowly or polls seldom costs no memory. Messages reach the peer in the order in which the client
// sent them and leave in the order in which Fill gave them, once, over an upgrade too. When what Fill gave may not have
// reached the client, the session ends.
//
// Everything has a bound: sessions, the size of what a client sends, the time it takes for it, the time that is needed
// for an upgrade, the silence of a client, and the time a session takes to close.
package engine

import (
	"log/slog"
	"net/http"
	"time"
)

// The transports of a session.
const (
	Polling   = "polling"
	WebSocket = "websocket"
)

// Config of a Server. Accept is required.
type Config struct {
	// Accept makes the peer of a new session, before the open packet is sent. It may keep the session, and close it at
	// any time; the request is valid until Accept returns. When it fails the client is answered 503 with the error's
	// text, and the session never was.
	Accept func(r *http.Request, s *Session) (Peer, error)
	// AllowOrigin says whether the page that a request comes from may connect. A request without an Origin is allowed
	// without being asked. Nil: no page is allowed.
	AllowOrigin func(r *http.Request) bool
	// Logger gets what goes wrong on this side. Default: slog.Default().
	Logger *slog.Logger

	// PingInterval is the time between a pong, or the beginning, and the next ping. Default 25 s.
	PingInterval time.Duration
	// PingTimeout is how long a client may take for the pong. The time for which it waits for Receive is not counted, up
	// to PingInterval+PingTimeout, which is also how long a client that polls may have no poll waiting. Default 20 s.
	PingTimeout time.Duration
	// UpgradeTimeout is how long an upgrade may take before its WebSocket is closed; the session then goes on by
	// polling. Default 10 s.
	UpgradeTimeout time.Duration
	// WriteTimeout is how long not a byte may get through to a client before the session ends. Default 30 s.
	WriteTimeout time.Duration
	// ReadTimeout is how long the body of a request may take. Default 30 s.
	ReadTimeout time.Duration
	// CloseTimeout is how long a client may take to fetch what is left when its session is closed. Default 3 s.
	CloseTimeout time.Duration

	// MaxPayload bounds the bytes of a request's body and of a WebSocket message of a client. Default 64 KiB.
	MaxPayload int
	// MaxSessions bounds the sessions; beyond, a handshake is answered 503. Default 100,000.
	MaxSessions int
	// SocketBuffer bounds what the kernel keeps for a WebSocket that is read slowly. Default 128 KiB.
	SocketBuffer int
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.AllowOrigin == nil {
		c.AllowOrigin = func(*http.Request) bool { return false }
	}
	byDefault(&c.PingInterval, 25*time.Second)
	byDefault(&c.PingTimeout, 20*time.Second)
	byDefault(&c.UpgradeTimeout, 10*time.Second)
	byDefault(&c.WriteTimeout, 30*time.Second)
	byDefault(&c.ReadTimeout, 30*time.Second)
	byDefault(&c.CloseTimeout, 3*time.Second)
	byDefault(&c.MaxPayload, 64<<10)
	byDefault(&c.MaxSessions, 100_000)
	byDefault(&c.SocketBuffer, 128<<10)
	return c
}

func byDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}
