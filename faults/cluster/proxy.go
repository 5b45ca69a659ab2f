package cluster

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"time"
)

// proxy is a way over the network that can be broken. Nothing that its connections do holds up who breaks or mends it.
type proxy struct {
	listen, upstream string
	gate             *gate // nil: not a way to PostgreSQL
	running          sync.WaitGroup

	mu          sync.Mutex
	listener    net.Listener // nil: cut
	trouble     trouble
	connections map[*connection]struct{}
}

// trouble is what is wrong with a way.
type trouble struct {
	latency time.Duration // what is carried is late by as much, by up to half of it more or less, and comes in pieces
	swallow bool          // nothing is carried, and nobody is told
	reset   bool          // who sends something is answered by a reset
}

// newProxy begins to pass on connections to an address. With a gate they are PostgreSQL's.
func newProxy(upstream string, g *gate) (*proxy, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, err
	}
	p := &proxy{listen: address, upstream: upstream, gate: g, connections: make(map[*connection]struct{})}
	return p, p.mend()
}

func (p *proxy) address() string { return p.listen }

// worsen makes trouble for the connections that there are and those to come.
func (p *proxy) worsen(with func(*trouble)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	with(&p.trouble)
}

func (p *proxy) wrong() trouble {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.trouble
}

// cut ends all connections; until it is mended new ones are refused.
func (p *proxy) cut() {
	p.mu.Lock()
	if p.listener != nil {
		_ = p.listener.Close()
		p.listener = nil
	}
	p.end()
	p.mu.Unlock()
	p.running.Wait()
}

// end ends the connections that there are.
func (p *proxy) end() {
	for c := range p.connections {
		c.end()
	}
}

// drop ends all connections; new ones are let through.
func (p *proxy) drop() error {
	p.cut()
	return p.mend()
}

// mend takes back all that was done. Connections that may have lost something end: what comes after it must not be taken
// for what comes next.
func (p *proxy) mend() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trouble.swallow {
		p.end()
	}
	p.trouble = trouble{}
	if p.listener != nil {
		return nil
	}
	l, err := net.Listen("tcp", p.listen) //nolint:noctx // at once
	if err != nil {
		return fmt.Errorf("listen again: %w", err)
	}
	p.listener = l
	p.running.Go(func() { p.accept(l) })
	return nil
}

func (p *proxy) accept(l net.Listener) {
	for {
		client, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil: // of one client, or until others have gone
			_ = wait(context.Background(), tryEvery)
			continue
		}
		if !p.begin(l, client.(*net.TCPConn)) { //nolint:forcetypeassert // of tcp
			return
		}
	}
}

// begin passes on a client's connection, unless the way was cut since it came.
func (p *proxy) begin(l net.Listener, client *net.TCPConn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.listener != l {
		_ = client.Close()
		return false
	}
	ctx, cancel := context.WithCancel(context.Background())
	c := &connection{way: p, client: client, cancel: cancel}
	p.connections[c] = struct{}{}
	p.running.Go(func() { c.carry(ctx) })
	return true
}

func (p *proxy) forget(c *connection) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.connections, c)
}

// freeAddress finds a port that stays free while nobody listens on it: not one of those that the system gives to outgoing
// connections.
func freeAddress() (string, error) {
	var err error
	for range 100 {
		var l net.Listener
		address := fmt.Sprintf("127.0.0.1:%d", 12000+rand.IntN(20000))
		if l, err = net.Listen("tcp", address); err == nil { //nolint:noctx // at once
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("find a free port: %w", err)
}
