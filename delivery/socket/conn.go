// Package socket is the server's end of a WebSocket (RFC 6455) whose writes are gathered.
//
// A library upgrades and reads. One goroutine, the writer, is the only one that writes: it gathers frames in a Wire and
// gives them to Write, so that many of them cost one system call and an idle connection no memory. The library's own
// writing is sealed.
package socket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is an upgraded connection. NextReader and ReadMessage, with the handlers of control frames, are for the reader's
// goroutine and Write for the writer's; Close may be called by any.
type Conn struct {
	*websocket.Conn
	raw net.Conn
}

// Upgrade answers a handshake. An error was answered too. buffer bounds what the kernel keeps for a client that reads
// slowly, in bytes. The handler of close frames does nothing, because only the writer answers; those of pings and pongs
// are the caller's to set.
func Upgrade(u *websocket.Upgrader, w http.ResponseWriter, r *http.Request, header http.Header, buffer int) (*Conn, error) {
	upgraded, err := u.Upgrade(hijacker{w}, r, header)
	if err != nil {
		return nil, err
	}
	raw := upgraded.NetConn()
	if s, ok := raw.(*sealedConn); ok {
		s.sealed.Store(true)
		raw = s.Conn
	}
	if tcp, ok := raw.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(buffer) // only a bound: without it the kernel's own holds
	}
	upgraded.SetCloseHandler(func(int, string) error { return nil })
	return &Conn{Conn: upgraded, raw: raw}, nil
}

// Write writes p, however slowly the client reads, as long as something gets through within the timeout; else the error
// is os.ErrDeadlineExceeded. It calls progress whenever something got through although not all did, and gives up with the
// same error when stop is closed. It says how many bytes were written.
func (c *Conn) Write(p []byte, timeout time.Duration, progress func(), stop <-chan struct{}) (int, error) {
	written, last := 0, time.Now()
	for {
		// A write says only at its deadline how much it did, so it is asked more often than that.
		if err := c.raw.SetWriteDeadline(time.Now().Add(max(timeout/16, time.Millisecond))); err != nil {
			return written, err
		}
		n, err := c.raw.Write(p[written:])
		written += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		if n > 0 {
			last = time.Now()
			progress()
		} else if time.Since(last) >= timeout {
			return written, err
		}
		select {
		case <-stop:
			return written, err
		default:
		}
	}
}

// Drain reads, until the client or a deadline ends it, some of what the client still sends: what is unread when a
// connection is closed makes the kernel cut off what was written last.
func (c *Conn) Drain() { _, _ = io.CopyN(io.Discard, c.raw, 1<<20) }

// Close cuts the connection, which wakes its reader and its writer.
func (c *Conn) Close() error { return c.raw.Close() }

// IsProtocolError tells frames that break RFC 6455 from a connection that is broken or was closed. The library has no
// type for them.
func IsProtocolError(err error) bool {
	var byPeer *websocket.CloseError
	return err != nil && !errors.As(err, &byPeer) && strings.HasPrefix(err.Error(), "websocket: ")
}

// hijacker gives the upgrader a connection that it cannot write to once the handshake is done.
type hijacker struct{ http.ResponseWriter }

// Unwrap lets http.ResponseController find the writer below.
func (h hijacker) Unwrap() http.ResponseWriter { return h.ResponseWriter }

// Hijack takes the connection over from the HTTP server.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	raw, rw, err := http.NewResponseController(h.ResponseWriter).Hijack()
	if err != nil {
		return nil, nil, err
	}
	return &sealedConn{Conn: raw}, rw, nil
}

// sealedConn is a connection that takes no writes once it is sealed.
type sealedConn struct {
	net.Conn
	sealed atomic.Bool
}

var errSealed = errors.New("socket: only the connection's writer writes")

func (s *sealedConn) Write(p []byte) (int, error) {
	if s.sealed.Load() {
		return 0, errSealed
	}
	return s.Conn.Write(p)
}
