package ws

import (
	"container/list"
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socket"
	"github.com/orderlog/orderlog/domain"
)

// conn is one connection. One goroutine reads, always. Another one writes, while there is something to write: wake begins
// it, and it ends when it finds nothing more. So a connection that is idle is a goroutine that waits in a read, and a timer.
type conn struct {
	h          *Handler
	cfg        *Config
	socket     *socket.Conn
	remoteAddr string // the client's IP address; may be empty

	reader reader
	writer writer

	writing turn
	heard   atomic.Int64 // when something last came, in Unix nanoseconds

	closed  atomic.Bool // the close frame is out: what comes is not looked at
	counted atomic.Bool // registered, or ended before

	role domain.Role // who registered; the handler's lock guards it
	code int         // it was closed with, by the writer; 0: it was not

	silence *list.Element // in the handler's list, until something was said; the handler's lock guards it

	mu      sync.Mutex
	control []outgoing         // what the reader gave, in order
	room    chan struct{}      // closed when there is room in control; nil: nobody waits for it
	ping    *string            // the newest protocol ping that is to be answered
	ending  *closing           // from outside of the connection
	gone    bool               // the transport is broken
	over    bool               // nothing is written any more
	done    chan struct{}      // closed when it is over; nil: nobody waits for it
	cancel  context.CancelFunc // gives up the message that is being served; nil: there is none
}

// outgoing is what the reader gives to the writer. All fields may be zero.
type outgoing struct {
	line    []byte           // one object
	session *session.Session // begins the stream behind the line
	reply   *session.Reply   // that the line has answered
	close   *closing         // behind the line
}

const maxControl = 16 // what may wait for the writer before the reader waits too

func newConn(h *Handler, upgraded *socket.Conn, client, authorization string) *conn {
	c := &conn{h: h, cfg: &h.cfg, socket: upgraded, remoteAddr: client}
	c.reader = reader{conn: c, authorization: authorization, rate: session.Window{Limit: c.cfg.MaxMessages, Span: c.cfg.RateWindow}}
	c.writer = newWriter(c)
	c.hear()
	upgraded.SetPongHandler(func(string) error { c.hear(); return nil })
	upgraded.SetPingHandler(func(payload string) error {
		c.hear()
		c.mu.Lock()
		c.ping = &payload // an older one needs no answer any more
		c.mu.Unlock()
		c.wake()
		return nil
	})
	c.wakeHere() // finds nothing to write, and sets the timer
	return c
}

func (c *conn) hear() { c.heard.Store(time.Now().UnixNano()) }

// wake has the writer look for what there is to write. It never waits.
func (c *conn) wake() {
	if c.writing.ask() {
		go c.write()
	}
}

// wakeHere does the same, but where nobody writes the caller does.
func (c *conn) wakeHere() {
	if c.writing.ask() {
		c.write()
	}
}

func (c *conn) write() { c.writing.do(c.writer.run) }

// send gives something to the writer, in order, which a wake is to follow. It waits while the client does not read its
// answers. It is for the reader.
func (c *conn) send(o outgoing) {
	c.mu.Lock()
	for len(c.control) >= maxControl && !c.over {
		room := make(chan struct{})
		c.room = room
		c.mu.Unlock()
		c.wake()
		<-room
		c.mu.Lock()
	}
	if !c.over {
		c.control = append(c.control, o)
	}
	c.mu.Unlock()
}

// expel ends the connection from outside; the first one counts.
func (c *conn) expel(cl closing) {
	c.mu.Lock()
	if c.ending == nil {
		c.ending = &cl
	}
	c.mu.Unlock()
	c.wake()
}

// serving returns the context of a message that is served, which ends with the connection.
func (c *conn) serving() (ctx context.Context, done func()) {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.over {
		cancel()
	}
	c.cancel = cancel
	return ctx, func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.cancel = nil
		cancel()
	}
}

// end is called when nothing can be read any more, and waits until nothing is written any more either.
func (c *conn) end(err error) {
	if cl := closeOf(err); cl.code != 0 && !errors.Is(err, net.ErrClosed) {
		c.send(outgoing{close: &cl})
	} else {
		c.mu.Lock()
		c.gone = true
		c.mu.Unlock()
		_ = c.socket.Close() // wakes a writer that is stuck
	}
	c.wakeHere()
	c.awaitOver()
	if socket.IsProtocolError(err) {
		c.socket.Drain()
	}
	_ = c.socket.Close()
	if x := c.reader.session; x != nil {
		x.Close()
	}
	c.countRegistered("")
	c.h.givePlaceBack(c)
}

func (c *conn) awaitOver() {
	done := make(chan struct{})
	c.mu.Lock()
	if c.over {
		close(done)
	} else {
		c.done = done
	}
	c.mu.Unlock()
	<-done
}

// writerEnded says that nothing is written any more.
func (c *conn) writerEnded() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over, c.control = true, nil
	if c.room != nil {
		close(c.room)
		c.room = nil
	}
	if c.done != nil {
		close(c.done)
	}
	if c.cancel != nil { // what the reader waits for is of no use any more
		c.cancel()
	}
}

// countRegistered says that the connection has registered, in a role, or ended before.
func (c *conn) countRegistered(role domain.Role) {
	if c.counted.CompareAndSwap(false, true) {
		c.h.mu.Lock()
		defer c.h.mu.Unlock()
		c.h.countRegistered(c, role)
	}
}
