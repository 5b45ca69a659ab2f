package namespace

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// peer is the Socket.IO end of one Engine.IO session.
type peer struct {
	cfg     *Config
	session *engine.Session
	slots   chan struct{} // holds one for each packet that waits, which bounds them

	decoder packet.Decoder // Receive's
	pull    pull           // Fill's

	mu      sync.Mutex
	sockets []*Socket // connected, or being connected
	queue   []outgoing
	closed  bool
	// dismissed are the namespaces that the server has ended lately, at most MaxSockets. What a client sent before it
	// knew of that is dropped.
	dismissed []string
	// The timer ends a session that has no namespace at the deadline.
	lonely   *time.Timer
	deadline time.Time
}

func newPeer(cfg *Config, session *engine.Session) *peer {
	p := &peer{
		cfg: cfg, session: session, slots: make(chan struct{}, cfg.MaxWaiting),
		decoder:  packet.Decoder{MaxAttachments: cfg.MaxAttachments, MaxBytes: cfg.MaxBytes},
		deadline: time.Now().Add(cfg.ConnectTimeout),
	}
	p.mu.Lock() // the timer's function may run before its field is set
	defer p.mu.Unlock()
	p.lonely = time.AfterFunc(cfg.ConnectTimeout, p.giveUp)
	return p
}

// giveUp ends a session that has no namespace.
func (p *peer) giveUp() {
	p.mu.Lock()
	idle := len(p.sockets) == 0 && !p.closed
	p.mu.Unlock()
	if idle {
		p.session.Close(NoNamespace)
	}
}

// Receive takes a message of the client.
func (p *peer) Receive(ctx context.Context, m engine.Message) error {
	decode := p.decoder.Text
	if m.Binary {
		decode = p.decoder.Binary
	}
	pkt, complete, err := decode(m.Data)
	if err != nil || !complete {
		return err
	}
	if pkt.Type == packet.Connect {
		return p.connect(ctx, pkt)
	}
	s, dismissed := p.find(pkt.Namespace)
	switch {
	case s == nil && dismissed:
		return nil
	case s == nil:
		return fmt.Errorf("%s for namespace %q, which is not connected", pkt.Type, pkt.Namespace)
	}
	switch pkt.Type {
	case packet.Event:
		return s.receive(ctx, pkt)
	case packet.Ack:
		return s.acknowledged(*pkt.ID, pkt.Data)
	case packet.Disconnect:
		p.end(s, Left)
		return nil
	}
	return fmt.Errorf("%s from a client", pkt.Type)
}

// find returns the socket of a namespace, nil when there is none, and whether the server has ended it lately.
func (p *peer) find(namespace string) (s *Socket, dismissed bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.sockets {
		if s.namespace == namespace {
			return s, false
		}
	}
	return nil, slices.Contains(p.dismissed, namespace)
}

// connect answers a CONNECT.
func (p *peer) connect(ctx context.Context, pkt packet.Packet) error {
	if s, _ := p.find(pkt.Namespace); s != nil {
		return fmt.Errorf("a second CONNECT to namespace %q", pkt.Namespace)
	}
	s := p.add(pkt.Namespace)
	if s == nil {
		return p.refuse(ctx, pkt.Namespace, TooManyNamespaces)
	}
	deciding, cancel := context.WithTimeout(ctx, p.cfg.ConnectTimeout)
	app, err := p.cfg.Connect(deciding, s, pkt.Data)
	cancel()
	if err == nil {
		return p.accept(ctx, s, app)
	}
	defer p.end(s, Ended)
	var refusal *Refusal
	if errors.As(err, &refusal) {
		return p.refuse(ctx, pkt.Namespace, refusal)
	}
	p.session.Close(ConnectFailed) // it is no fault of the client's
	return nil
}

// add makes the socket of a namespace that is being connected, unless there are too many.
func (p *peer) add(namespace string) *Socket {
	s := &Socket{peer: p, namespace: namespace, id: rand.Text(), prefix: eventPrefix(namespace), done: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.sockets) >= p.cfg.MaxSockets {
		return nil
	}
	p.sockets = append(p.sockets, s)
	p.dismissed = slices.DeleteFunc(p.dismissed, func(n string) bool { return n == namespace })
	return s
}

// accept tells the client that it is connected, and what was emitted meanwhile.
func (p *peer) accept(ctx context.Context, s *Socket, app Application) error {
	p.mu.Lock()
	s.app = app // it is closed with the session, should that end before there is room
	answer := approval{s.id, s.pid}
	p.mu.Unlock()
	data, err := encode(answer)
	if err != nil {
		return err
	}
	if err := p.room(ctx, nil); err != nil {
		return err
	}
	text := packet.Append(nil, packet.Packet{Type: packet.Connect, Namespace: s.namespace, Data: data})
	p.mu.Lock()
	s.state = open
	p.queue = append(p.queue, outgoing{socket: s, text: text, slot: true})
	p.queue = append(p.queue, s.held...)
	s.held = nil
	leaving := s.leaving
	p.mu.Unlock()
	p.wake()
	if leaving {
		s.Disconnect()
	}
	return nil
}

// approval is the payload of the answer to a CONNECT.
type approval struct {
	SID string `json:"sid"`
	PID string `json:"pid,omitempty"`
}

// refuse tells the client that it is not connected.
func (p *peer) refuse(ctx context.Context, namespace string, r *Refusal) error {
	data, err := encode(r)
	if err != nil { // the client is refused at least
		data, _ = encode(Refusal{Message: r.Message})
	}
	if err := p.room(ctx, nil); err != nil {
		return err
	}
	text := packet.Append(nil, packet.Packet{Type: packet.ConnectError, Namespace: namespace, Data: data})
	p.push(outgoing{text: text, slot: true})
	return nil
}
