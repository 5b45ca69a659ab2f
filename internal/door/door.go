// Package door bounds the connections that a server has open: so many in all, as its process may have open files, and so
// many of one address. What is beyond is closed at once, before anything is read of it, so that accepting never fails for
// want of a file.
//
// It is closed without an answer. An EventSource comes back after that, and never after a 503; a balancer asks another node.
package door

import (
	"net"
	"sync"
	"sync/atomic"

	"github.com/orderlog/orderlog/internal/proxies"
	"github.com/orderlog/orderlog/internal/quota"
)

// Config of a Listener.
type Config struct {
	// Most is how many connections there may be. 0: as many as there may be open files, less Beside and some of the
	// process's own; one at least.
	Most int
	// Beside is how many connections the process opens itself, to its database.
	Beside int
	// MostAddress is how many of them may be of one address, or of one IPv6 network of 64 bits. Less than 1: any number.
	MostAddress int
	// Proxies may have any number: they speak for many.
	Proxies proxies.Trusted
}

// Listener accepts connections. It is safe for concurrent use.
type Listener struct {
	net.Listener
	cfg       Config
	addresses *quota.Quota
	open      atomic.Int64
	refused   atomic.Int64
}

// Bound returns a listener whose connections are those of another, within bounds.
func Bound(inner net.Listener, cfg Config) *Listener {
	if cfg.Most == 0 {
		cfg.Most = most(files(), cfg.Beside)
	}
	return &Listener{Listener: inner, cfg: cfg, addresses: quota.New(cfg.MostAddress)}
}

// ownFiles is what the process has open beside its clients and the database: keys, checkpoints and logs, and what
// PostgreSQL's own programs need.
const ownFiles = 64

func most(files, beside int) int { return max(1, files-ownFiles-beside) }

// Accept waits for the next connection that may be let in.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		accepted, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := accepted.(*net.TCPConn)
		if !ok { // nothing that comes over a network
			return accepted, nil
		}
		c := &conn{TCPConn: tcp, listener: l, address: l.addressOf(tcp)}
		if l.letIn(c) {
			return c, nil
		}
		l.refused.Add(1)
		_ = tcp.Close()
	}
}

// Refused is how many connections were turned away.
func (l *Listener) Refused() int64 { return l.refused.Load() }

// addressOf is what a connection counts for; empty: for nobody.
func (l *Listener) addressOf(c *net.TCPConn) string {
	tcp, ok := c.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return ""
	}
	address := tcp.AddrPort().Addr().Unmap().WithZone("")
	if l.cfg.Proxies.Include(address) {
		return ""
	}
	return quota.Address(address.String())
}

func (l *Listener) letIn(c *conn) bool {
	if l.open.Add(1) > int64(l.cfg.Most) && l.cfg.Most > 0 {
		l.open.Add(-1)
		return false
	}
	if c.address != "" && !l.addresses.Take(c.address) {
		l.open.Add(-1)
		return false
	}
	return true
}

// conn gives its place back when it is closed.
type conn struct {
	*net.TCPConn
	listener *Listener
	address  string
	closed   sync.Once
}

// Close closes the connection.
func (c *conn) Close() error {
	err := c.TCPConn.Close()
	c.closed.Do(func() {
		c.listener.open.Add(-1)
		if c.address != "" {
			c.listener.addresses.Give(c.address)
		}
	})
	return err
}
