// Package socket is the server's end of a WebSocket (RFC 6455) whose writes are gathered.
//
// A library upgrades. After that one goroutine, the reader, is the only one that reads, and one at a time, the writer, the
// only one that writes: it gathers frames in a Wire and gives them to Write, so that many of them cost one system call. A
// connection that is idle has a buffer of 128 bytes and, by what its reader waits in, the smallest stack there is.
package socket

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"time"

	"github.com/gorilla/websocket"
)

// Conn is an upgraded connection. NextReader and the handlers of control frames are for the reader's goroutine and Write
// for the writer's; Close may be called by any.
type Conn struct {
	raw         net.Conn
	subprotocol string
	in          reading
}

// Upgrade answers a handshake. An error was answered too. buffer bounds what the kernel keeps for a client that reads
// slowly, in bytes. Close frames are not answered, because only the writer writes; the handlers of pings and pongs are the
// caller's to set.
func Upgrade(u *websocket.Upgrader, w http.ResponseWriter, r *http.Request, header http.Header, buffer int) (*Conn, error) {
	upgraded, err := u.Upgrade(hijacker{w}, r, header)
	if err != nil {
		return nil, err
	}
	raw := upgraded.NetConn() // the library has nothing buffered: a client that sent something already was refused
	if tcp, ok := raw.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = tcp.SetWriteBuffer(buffer) // only a bound: without it the kernel's own holds
	}
	return &Conn{raw: raw, subprotocol: upgraded.Subprotocol()}, nil
}

// Subprotocol is the one that was agreed on; empty: none.
func (c *Conn) Subprotocol() string { return c.subprotocol }

// SetReadDeadline is when reading fails.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.raw.SetReadDeadline(t) }

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

// hijacker lets the upgrader find the connection below the writers that wrap the HTTP server's.
type hijacker struct{ http.ResponseWriter }

// Hijack takes the connection over from the HTTP server.
func (h hijacker) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	return http.NewResponseController(h.ResponseWriter).Hijack()
}
