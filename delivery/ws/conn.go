package ws

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socket"
	"github.com/orderlog/orderlog/domain"
)

// conn is one connection. Its reader takes what the client sends and its writer is the only one that writes; they
// meet in control, which keeps the order of answers.
type conn struct {
	h             *Handler
	cfg           *Config
	socket        *socket.Conn
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

	role domain.Role // who registered; the handler's lock guards it
	code int         // it was closed with, by the writer; 0: it was not
}

// outgoing is what the reader gives to the writer. All fields may be zero.
type outgoing struct {
	line    []byte           // one object
	session *session.Session // begins the stream behind the line
	reply   session.Reply    // that the line has answered
	close   *closing         // behind the line
}

const maxControl = 16 // what may wait for the writer before the reader waits too

func newConn(h *Handler, upgraded *socket.Conn, r *http.Request) *conn {
	c := &conn{
		h: h, cfg: &h.cfg, socket: upgraded, authorization: r.Header.Get("Authorization"),
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
	upgraded.SetPongHandler(func(string) error { c.hear(); return nil })
	upgraded.SetPingHandler(func(payload string) error {
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
	defer c.countRegistered("")
	go func() {
		defer close(c.done)
		defer cancel() // what the reader waits for is of no use any more
		newWriter(c).run(ctx)
	}()
	r := reader{conn: c, rate: session.Window{Limit: c.cfg.MaxMessages, Span: c.cfg.RateWindow}}
	err := r.run(ctx)
	if cl := closeOf(err); cl.code != 0 && !errors.Is(err, net.ErrClosed) {
		c.send(outgoing{close: &cl})
	} else {
		close(c.gone)
		_ = c.socket.Close() // wakes a writer that is stuck
		cancel()
	}
	<-c.done
	if socket.IsProtocolError(err) {
		c.socket.Drain()
	}
	_ = c.socket.Close()
	if r.session != nil {
		r.session.Close()
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

// countRegistered says that the connection has registered, in a role, or ended before.
func (c *conn) countRegistered(role domain.Role) {
	c.counted.Do(func() { c.h.registered(c, role) })
}
