package namespace

import (
	"context"
	"math"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
)

// pull is what Fill needs again and again, so that it costs no memory each time.
type pull struct {
	sockets []*Socket
	turn    int // whose turn comes first
	out     Out
}

// Fill gives the answers that wait, and then lets each namespace give what it has.
func (p *peer) Fill(ctx context.Context, b *engine.Batch) (next time.Time, again bool) {
	for o, ok := p.pop(b); ok; o, ok = p.pop(b) {
		b.Text(o.text)
		for _, attachment := range o.attachments { // nothing may come between them
			b.Binary(attachment)
		}
		if o.after != nil {
			o.after()
		}
	}
	if b.Full() {
		return time.Time{}, true
	}
	n, left := len(p.pull.sockets), math.MaxInt
	if n > 1 {
		left = shared / n
	}
	first := p.pull.turn
	p.pull.turn++ // the last may find less room than its part
	for i := range n {
		if b.Full() { // the others come first the next time
			p.pull.turn = first + i
			return time.Time{}, true
		}
		at, more := p.pull.sockets[(first+i)%n].fill(ctx, b, left)
		if again = again || more; !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	return next, again
}

// pop takes the answer that has waited longest. When none waits it notes who is connected: whoever is noted has its
// answer to the CONNECT in a batch.
func (p *peer) pop(b *engine.Batch) (outgoing, bool) {
	if b.Full() {
		return outgoing{}, false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.queue) == 0 {
		p.pull.sockets = p.pull.sockets[:0]
		for _, s := range p.sockets {
			if s.state == open {
				p.pull.sockets = append(p.pull.sockets, s)
			}
		}
		return outgoing{}, false
	}
	o := p.queue[0]
	p.queue[0] = outgoing{}
	if p.queue = p.queue[1:]; len(p.queue) == 0 {
		p.queue = nil // a quiet session holds no memory
	}
	p.release(o)
	return o, true
}

// fill lets the application give what it has, as many bytes at most.
func (s *Socket) fill(ctx context.Context, b *engine.Batch, most int) (next time.Time, again bool) {
	if !s.enter() {
		return time.Time{}, false
	}
	defer s.leave()
	out := &s.peer.pull.out
	*out = Out{batch: b, prefix: s.prefix, left: most}
	defer func() { *out = Out{} }() // a batch is not kept
	return s.app.Fill(ctx, out)
}
