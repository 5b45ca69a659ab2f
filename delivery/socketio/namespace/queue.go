package namespace

import (
	"context"
	"slices"
)

// outgoing is a packet that waits to be sent.
type outgoing struct {
	socket      *Socket // nil: no client is connected by it
	text        []byte
	attachments [][]byte
	after       func()
	slot        bool // it has a slot, to be given back
}

// room takes a slot of the queue. It waits while there is none, until the context or the connection ends.
func (p *peer) room(ctx context.Context, ended <-chan struct{}) error {
	select {
	case p.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case p.slots <- struct{}{}:
		return nil
	case <-ended:
		return ErrClosed
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// enqueue has a packet of a socket wait for the transport. While the socket is being connected it is held instead.
func (p *peer) enqueue(ctx context.Context, o outgoing) error {
	if held, err := p.hold(o); held || err != nil {
		return err
	}
	if err := p.room(ctx, o.socket.done); err != nil {
		return err
	}
	o.slot = true
	p.mu.Lock()
	if o.socket.state == ended {
		p.mu.Unlock()
		<-p.slots
		return ErrClosed
	}
	p.queue = append(p.queue, o)
	p.mu.Unlock()
	p.wake()
	return nil
}

func (p *peer) hold(o outgoing) (held bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch s := o.socket; {
	case s.state == ended:
		return false, ErrClosed
	case s.state == open:
		return false, nil
	case len(s.held) >= p.cfg.MaxWaiting:
		return false, ErrOverflow
	default:
		s.held = append(s.held, o)
		return true, nil
	}
}

// push adds a packet that is of no connection, or the first of one.
func (p *peer) push(o outgoing) {
	p.mu.Lock()
	p.queue = append(p.queue, o)
	p.mu.Unlock()
	p.wake()
}

// dropLocked takes out of the queue what waits for a connection that is no more.
func (p *peer) dropLocked(s *Socket) {
	p.queue = slices.DeleteFunc(p.queue, func(o outgoing) bool {
		if o.socket != s {
			return false
		}
		p.release(o)
		return true
	})
}

func (p *peer) release(o outgoing) {
	if o.slot {
		<-p.slots
	}
}

func (p *peer) wake() {
	select {
	case p.session.Wake() <- struct{}{}:
	default: // it is on already
	}
}
