package simulation

import (
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// cuts says when a client's connections are cut. A nil one never cuts. It is safe for concurrent use.
type cuts struct {
	mu    sync.Mutex
	rng   *rand.Rand
	left  int           // how many there are still to be
	apart time.Duration // the longest time that a connection lasts
	now   chan struct{} // closed when the rest is to be done with
	ends  bool
}

// newCuts plans some cuts over about the time that an evening takes.
func newCuts(rng *rand.Rand, evening time.Duration) *cuts {
	n := 2 + rng.IntN(4)
	return &cuts{rng: rng, left: n, apart: max(100*time.Millisecond, 2*evening/time.Duration(n+1)), now: make(chan struct{})}
}

// next says when the connection that begins now is cut: at a time, or when now is closed, whichever is first. Both are
// nil for never. A fourth of the cuts come at once, so that catching up and joining are cut too.
func (c *cuts) next() (at <-chan time.Time, now <-chan struct{}) {
	if c == nil {
		return nil, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.left <= 0 {
		return nil, nil
	}
	c.left--
	after := time.Duration(c.rng.Int64N(int64(c.apart)))
	if c.ends || c.rng.IntN(4) == 0 {
		after = time.Duration(c.rng.Int64N(int64(30 * time.Millisecond)))
	}
	if c.ends {
		return time.After(after), nil
	}
	return time.After(after), c.now
}

// finish makes the cut that is planned happen now and drops all but one of the others: the evening is over.
func (c *cuts) finish() {
	if c == nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.ends {
		c.ends, c.left = true, min(c.left, 1)
		close(c.now)
	}
}

// sever ends a connection as a tunnel does to a phone: no close frame, and what is on its way is lost.
func sever(conn *websocket.Conn) {
	raw := conn.NetConn()
	if inner, ok := raw.(interface{ NetConn() net.Conn }); ok { // TLS
		raw = inner.NetConn()
	}
	if tcp, ok := raw.(*net.TCPConn); ok {
		_ = tcp.SetLinger(0) // a reset, and not even the end of the stream
	}
	_ = raw.Close()
}
