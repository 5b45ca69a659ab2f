// Package socketio serves the notification log to clients of Socket.IO 4, unmodified, as docs/socketio.md says: Engine.IO
// protocol 4 below, Socket.IO protocol 5 above, and on them the sessions that other transports have too.
//
// A client that keeps its pid and its offset, as socket.io-client does by itself, is told every event of its channels
// once and in order, whatever the moment of a cut, a restart or a change of the node: also in the rooms that it joined. The
// offset never is ahead of what was told before it. When that cannot be, the client gets another pid, so that it knows,
// and a resync that says why if something was lost.
//
// For a client that is away nothing is kept in memory. Everything is bounded: sessions, namespaces, messages, rooms, and what
// waits to be sent.
package socketio

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/internal/origins"
	"github.com/orderlog/orderlog/internal/proxies"
	"github.com/orderlog/orderlog/internal/quota"
)

// Config of a Handler. Sessions and Rooms are required.
type Config struct {
	Sessions *session.Service
	Rooms    Rooms
	// TrustedProxies are those whose word for a client's address is taken. Empty: nobody's.
	TrustedProxies proxies.Trusted
	// Origins are the browser origins that may connect, beside the server's own.
	Origins origins.Allowed
	// Logger gets what goes wrong on this side. Default: slog.Default().
	Logger *slog.Logger

	// ConnectTimeout is how long a connection may be without a namespace, and how long one that connects may wait for the
	// database. Default 10 s.
	ConnectTimeout time.Duration
	// RetryPause is the first pause of a connecting client while the database is away; each is twice the one before.
	// Default 500 ms.
	RetryPause time.Duration
	// PingInterval, PingTimeout, UpgradeTimeout, WriteTimeout and CloseTimeout are the engine's. Defaults 25 s, 20 s, 10 s, 30 s
	// and 3 s.
	PingInterval, PingTimeout, UpgradeTimeout, WriteTimeout, CloseTimeout time.Duration
	// ReconnectSpread is the longest time after which clients are asked to return at a shutdown. Default 5 s.
	ReconnectSpread time.Duration
	// RoomsTimeout is how long the database may take to remember, forget or recall rooms. Default 5 s.
	RoomsTimeout time.Duration
	// RoomsInterval is how often the rooms of a socket that stays connected are kept from being pruned. Default 12 h; a day
	// is too long.
	RoomsInterval time.Duration

	// MaxSessions bounds the connections; beyond, the handshake is answered 503. Default 100,000.
	MaxSessions int
	// MaxUnknownAddress bounds those of one address, or of one IPv6 network of 64 bits, that no namespace has let in yet;
	// beyond, the handshake is answered 503. Default 1,000. MaxAnonymousAddress bounds those that were let in without a
	// token; those beyond count as the former for as long as they last. Default 10,000.
	MaxUnknownAddress, MaxAnonymousAddress int
	// MaxNamespaces of a connection. Default 8.
	MaxNamespaces int
	// MaxMessageBytes bounds a request and a message of a client. Default 64 KiB.
	MaxMessageBytes int
	// MaxMessages of a connection are taken in RateWindow, over all its namespaces; what is more waits. Defaults 100 and 10 s.
	MaxMessages int
	RateWindow  time.Duration
	// SocketBuffer bounds what the kernel keeps for a client that reads slowly. Default 128 KiB.
	SocketBuffer int
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	byDefault(&c.ConnectTimeout, 10*time.Second)
	byDefault(&c.RetryPause, 500*time.Millisecond)
	byDefault(&c.ReconnectSpread, 5*time.Second)
	byDefault(&c.RoomsTimeout, 5*time.Second)
	byDefault(&c.RoomsInterval, keepExtra/2)
	byDefault(&c.MaxUnknownAddress, 1_000)
	byDefault(&c.MaxAnonymousAddress, 10_000)
	byDefault(&c.MaxNamespaces, 8)
	byDefault(&c.MaxMessageBytes, 64<<10)
	byDefault(&c.MaxMessages, 100)
	byDefault(&c.RateWindow, 10*time.Second)
	return c
}

func byDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Handler serves /socket.io/. It is safe for concurrent use.
type Handler struct {
	cfg        Config
	engine     *engine.Server
	namespaces *namespace.Server
	counters   counters
	unknown    *quota.Quota // connections that no namespace has let in yet, by address
	anonymous  *quota.Quota // and those that were let in without a token

	mu      sync.Mutex // taken before a conn's, never after
	conns   map[*engine.Session]*conn
	closing bool
}

// maxWaiting bounds the answers that wait for a client, because an answer to a join may be large.
const maxWaiting = 16

// New returns a handler. Shutdown ends what it has started.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg.withDefaults(), conns: map[*engine.Session]*conn{}, counters: newCounters()}
	h.unknown, h.anonymous = quota.New(h.cfg.MaxUnknownAddress), quota.New(h.cfg.MaxAnonymousAddress)
	h.namespaces = namespace.New(namespace.Config{
		Connect: h.connect, ConnectTimeout: h.cfg.ConnectTimeout, MaxSockets: h.cfg.MaxNamespaces,
		MaxBytes: h.cfg.MaxMessageBytes, MaxWaiting: maxWaiting,
	})
	h.engine = engine.New(engine.Config{
		Accept:      h.accept,
		AllowOrigin: h.cfg.Origins.Admit,
		Logger:      h.cfg.Logger,

		PingInterval: h.cfg.PingInterval, PingTimeout: h.cfg.PingTimeout, UpgradeTimeout: h.cfg.UpgradeTimeout,
		WriteTimeout: h.cfg.WriteTimeout, CloseTimeout: h.cfg.CloseTimeout,
		MaxPayload: h.cfg.MaxMessageBytes, MaxSessions: h.cfg.MaxSessions, SocketBuffer: h.cfg.SocketBuffer,
	})
	return h
}

// ServeHTTP answers one request of a client. A WebSocket's is served until it ends or Shutdown.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.engine.ServeHTTP(w, r) }

// Shutdown asks every client to come back a random while later, closes the connections and waits for all of them to
// end. When ctx ends first they are cut, and its error is returned. New handshakes are refused.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	for _, c := range h.conns {
		c.dismiss(goingAway(h.cfg.ReconnectSpread))
	}
	h.mu.Unlock()
	return h.engine.Shutdown(ctx)
}

// goingAway asks a client to come back after a while that differs from client to client.
func goingAway(spread time.Duration) []byte {
	after := spread/10 + rand.N(spread-spread/10)
	return appendEvent(nil, "reconnect", session.Reconnect{AfterMs: after.Milliseconds()}, nil)
}
