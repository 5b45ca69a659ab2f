package ws

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

// conn is one connection. Its reader takes what the client sends and its writer is the only one that writes; they
// meet in control, which keeps the order of answers.
type conn struct {
	h             *Handler
	cfg           *Config
	socket        *websocket.Conn
	net           net.Conn
	authorization string // the handshake's header
	remoteAddr    string // the client's IP address; may be empty

	control chan outgoing
	pong    chan []byte   // the newest protocol ping to be answered
	ending  chan closing  // from outside of the connection
	gone    chan struct{} // closed by the reader when the transport is broken
	done    chan struct{} // closed when the writer has ended

	heard   atomic.Int64 // when something last came, in Unix nanoseconds
	closed  atomic.Bool  // the close frame is out: what comes is not looked at
	counted sync.Once    // registered, or ended before

	user string      // who registered; the handler's lock guards both
	role domain.Role //
	code int         // it was closed with, by the writer; 0: it was not
}

// outgoing is what the reader gives to the writer. All fields may be zero.
type outgoing struct {
	line    []byte    // one object
	session *session  // begins the stream behind the line
	expires time.Time // the token's
	close   *closing  // behind the line

	answered string // a room whose joining was answered before
	joined   bool   // and went well
}

// session is a registered connection's stream.
type session struct {
	sub  *delivery.Subscription
	prev int64
	// announce says that the client gave a cursor, and is to be told when it has caught up.
	announce bool
	// oldest says that the client asked for all there is, so retention cannot come between.
	oldest bool
}

const maxControl = 16 // what may wait for the writer before the reader waits too

func newConn(h *Handler, socket *websocket.Conn, r *http.Request) *conn {
	raw := socket.NetConn()
	if s, ok := raw.(*sealedConn); ok {
		s.sealed.Store(true)
		raw = s.Conn
	}
	if tcp, ok := raw.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(h.cfg.SocketBuffer) // only a bound: without it the kernel's own holds
	}
	c := &conn{
		h: h, cfg: &h.cfg, socket: socket, net: raw, authorization: r.Header.Get("Authorization"),
		control: make(chan outgoing, maxControl),
		pong:    make(chan []byte, 1),
		ending:  make(chan closing, 1),
		gone:    make(chan struct{}),
		done:    make(chan struct{}),
	}
	if client := h.cfg.TrustedProxies.Client(r); client.IsValid() {
		c.remoteAddr = client.String()
	}
	c.hear()
	socket.SetCloseHandler(func(int, string) error { return nil }) // the writer answers
	socket.SetPongHandler(func(string) error { c.hear(); return nil })
	socket.SetPingHandler(func(payload string) error {
		c.hear()
		select {
		case <-c.pong: // an older ping needs no answer any more
		default:
		}
		c.pong <- []byte(payload) // there is room: only the reader, which we are, puts something in
		return nil
	})
	return c
}

func (c *conn) hear() { c.heard.Store(time.Now().UnixNano()) }

// run serves the connection until it has ended, and joins its writer.
func (c *conn) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer c.countRegistered("", "")
	go func() {
		defer close(c.done)
		defer cancel() // what the reader waits for is of no use any more
		newWriter(c).run(ctx)
	}()
	r := reader{conn: c, rate: window{limit: c.cfg.MaxMessages, span: c.cfg.RateWindow}}
	err := r.run(ctx)
	if cl := closeOf(err); cl.code != 0 && !errors.Is(err, net.ErrClosed) {
		c.send(outgoing{close: &cl})
	} else {
		close(c.gone)
		_ = c.net.Close() // wakes a writer that is stuck
		cancel()
	}
	<-c.done
	if isProtocolError(err) {
		// What is unread when a socket is closed makes the kernel cut the close frame off.
		_, _ = io.CopyN(io.Discard, c.net, 1<<20)
	}
	_ = c.net.Close()
	if r.sub != nil {
		r.sub.Close()
	}
}

// send gives something to the writer, in order. It waits while the client does not read its answers.
func (c *conn) send(o outgoing) {
	select {
	case c.control <- o:
	case <-c.done:
	}
}

// expel ends the connection from outside; the first one counts.
func (c *conn) expel(cl closing) {
	select {
	case c.ending <- cl:
	default:
	}
}

// countRegistered says that the connection has registered, for a user, or ended before.
func (c *conn) countRegistered(user string, role domain.Role) {
	c.counted.Do(func() { c.h.registered(c, user, role) })
}

// sealedConn is a connection that takes no writes once it is sealed.
type sealedConn struct {
	net.Conn
	sealed atomic.Bool
}

var errSealed = errors.New("ws: only the connection's writer writes")

func (s *sealedConn) Write(p []byte) (int, error) {
	if s.sealed.Load() {
		return 0, errSealed
	}
	return s.Conn.Write(p)
}

// Hijack takes the connection over from the HTTP server.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &sealedConn{Conn: raw}, rw, nil
}
