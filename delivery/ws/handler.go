// Package ws serves the notification log over WebSocket, subprotocols orderlog.v1 and orderlog.v1.batch.
//
// A connection is told, in one order, of everything: answers, events, caught_up and checkpoints are written by one
// goroutine at a time, and nothing after the close frame. Events rise in seq; each names the seq the connection was told of
// before it, so a client can prove that it missed nothing. What a connection may see comes from its token alone.
//
// What a client may do and is told is its session's, as over the other transports; here are the messages, and how a
// connection begins and ends.
//
// Everything is bounded: connections, the time to register, messages, their size, rooms, and what waits to be
// written. A client that reads slowly loses its queue, not its events; it is closed when nothing can be written.
package ws

import (
	"container/list"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socket"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/origins"
	"github.com/orderlog/orderlog/internal/proxies"
	"github.com/orderlog/orderlog/internal/quota"
)

// The subprotocols. A client that asks for none gets V1.
const (
	V1      = "orderlog.v1"
	V1Batch = "orderlog.v1.batch" // a text message holds one or more objects, one a line
)

// Config of a Handler. Sessions is required.
type Config struct {
	Sessions *session.Service
	// TrustedProxies are those whose word for a client's address is taken. Empty: nobody's.
	TrustedProxies proxies.Trusted
	// Origins are the browser origins that may connect, beside the server's own.
	Origins origins.Allowed
	// Logger gets what goes wrong on this side. Default: slog.Default().
	Logger *slog.Logger

	// RegisterTimeout is how long a connection may take to register. Default 10 s.
	RegisterTimeout time.Duration
	// WriteTimeout is how long not a byte may get through to a client before it is closed. Default 30 s.
	WriteTimeout time.Duration
	// PingInterval and PongTimeout find connections that are half open: a ping goes out each interval, and one that
	// was not heard of for the timeout is dropped. Defaults 30 s and 90 s.
	PingInterval, PongTimeout time.Duration
	// CloseTimeout is how long a client may take to read the close frame and to answer it. Default 3 s.
	CloseTimeout time.Duration
	// ReconnectSpread is the longest time after which clients are asked to return at a shutdown. Default 5 s.
	ReconnectSpread time.Duration

	// MaxConnections bounds the connections and MaxUnregistered those that have not registered yet; beyond, the
	// handshake is answered 503. Defaults 100,000 and 5,000. Of those that have not registered MaxUnregisteredAddress may
	// be of one address, or of one IPv6 network of 64 bits, so that no client takes the places of all. Default 1,000.
	MaxConnections, MaxUnregistered, MaxUnregisteredAddress int
	// ToleratedSilence is how long a client may say nothing before, where too many have not registered, it is sent away with
	// 4408 for the next one to have its place. Default 2 s.
	ToleratedSilence time.Duration
	// MaxMessageBytes bounds a client's message. Default 64 KiB.
	MaxMessageBytes int
	// MaxMessages a client may send in RateWindow. Defaults 100 and 10 s.
	MaxMessages int
	RateWindow  time.Duration
	// SocketBuffer bounds what the kernel keeps for a client that reads slowly. Default 128 KiB.
	SocketBuffer int
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	byDefault(&c.RegisterTimeout, 10*time.Second)
	byDefault(&c.WriteTimeout, 30*time.Second)
	byDefault(&c.PingInterval, 30*time.Second)
	byDefault(&c.PongTimeout, 90*time.Second)
	byDefault(&c.CloseTimeout, 3*time.Second)
	byDefault(&c.ReconnectSpread, 5*time.Second)
	byDefault(&c.MaxConnections, 100_000)
	byDefault(&c.MaxUnregistered, 5_000)
	byDefault(&c.MaxUnregisteredAddress, 1_000)
	byDefault(&c.ToleratedSilence, 2*time.Second)
	byDefault(&c.MaxMessageBytes, 64<<10)
	byDefault(&c.MaxMessages, 100)
	byDefault(&c.RateWindow, 10*time.Second)
	byDefault(&c.SocketBuffer, 128<<10)
	return c
}

func byDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Handler upgrades requests and serves their connections. It is safe for concurrent use.
type Handler struct {
	cfg      Config
	upgrader websocket.Upgrader
	unknown  *quota.Quota // connections that have not registered, by address

	mu      sync.Mutex
	stats   Stats
	conns   map[*conn]struct{} // fewer than are open while a handshake is under way
	silent  list.List          // of silence, the eldest first
	closing bool
	running sync.WaitGroup // one a place that is taken
}

// New returns a handler. Shutdown ends what it has started.
func New(cfg Config) *Handler {
	h := &Handler{cfg: cfg.withDefaults(), conns: map[*conn]struct{}{}}
	h.unknown = quota.New(h.cfg.MaxUnregisteredAddress)
	h.stats.Roles, h.stats.Closed = map[domain.Role]int64{}, map[int]int64{}
	h.upgrader = websocket.Upgrader{
		HandshakeTimeout: h.cfg.RegisterTimeout,
		WriteBufferPool:  new(sync.Pool), // never used: frames are written by the connection's own writer
		Subprotocols:     []string{V1Batch, V1},
		CheckOrigin:      h.cfg.Origins.Admit,
	}
	return h
}

// ServeHTTP upgrades the request and returns; the connection is served until it ends or Shutdown.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	client := ""
	if address := h.cfg.TrustedProxies.Client(r); address.IsValid() {
		client = address.String()
	}
	if !h.takePlace(client) {
		w.Header().Set("Connection", "close") // it would only wait for a request that does not come
		w.Header().Set("Retry-After", "1")
		http.Error(w, "too many connections: come back in a moment", http.StatusServiceUnavailable)
		return
	}
	upgraded, err := socket.Upgrade(&h.upgrader, w, r, nil, h.cfg.SocketBuffer)
	if err != nil { // the upgrader has answered
		h.giveUp(client)
		h.cfg.Logger.DebugContext(r.Context(), "a WebSocket handshake was refused", "remote", r.RemoteAddr, "error", err)
		return
	}
	c := newConn(h, upgraded, client, r.Header.Get("Authorization"))
	h.add(c)
	// The connection outlives the request, so that what the HTTP server keeps for one is freed.
	go c.reader.run() //nolint:contextcheck // as said
}

// takePlace counts a connection that is to be registered, unless there are too many. The place is taken before the
// handshake, so that neither the bounds nor Shutdown miss one that is under way.
func (h *Handler) takePlace(client string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closing || h.stats.Open >= int64(h.cfg.MaxConnections) {
		return false
	}
	address := quota.Address(client)
	if !h.unknown.Take(address) && (!h.makeRoom(address) || !h.unknown.Take(address)) {
		return false
	}
	if h.stats.Unregistered >= int64(h.cfg.MaxUnregistered) && !h.makeRoom("") {
		h.unknown.Give(address)
		return false
	}
	h.stats.Open++
	h.stats.Unregistered++
	h.running.Add(1)
	return true
}

func (h *Handler) add(c *conn) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.stats.Accepted++
	h.conns[c] = struct{}{}
	h.keepSilent(c)
	if h.closing { // Shutdown has not seen it
		c.expel(goingAway(h.cfg.ReconnectSpread))
	}
}

// Shutdown asks every client to come back a random while later, closes with 1001 and waits for all connections to
// end. When ctx ends first they are cut, and its error is returned. New handshakes are refused.
func (h *Handler) Shutdown(ctx context.Context) error {
	h.mu.Lock()
	h.closing = true
	for c := range h.conns {
		c.expel(goingAway(h.cfg.ReconnectSpread))
	}
	h.mu.Unlock()
	ended := make(chan struct{})
	go func() {
		h.running.Wait()
		close(ended)
	}()
	select {
	case <-ended:
		return nil
	case <-ctx.Done():
	}
	h.mu.Lock()
	for c := range h.conns {
		_ = c.socket.Close() // who reads or writes sees it
	}
	h.mu.Unlock()
	<-ended
	return ctx.Err()
}
