package namespace

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// ErrClosed says that the connection to the namespace has ended.
var ErrClosed = errors.New("the connection to the namespace has ended")

// ErrOverflow says that more is emitted while a connection is being accepted than is held for it.
var ErrOverflow = errors.New("too much is emitted before the connection is accepted")

// Socket is the server's end of a client's connection to one namespace. All its methods are safe for concurrent use.
type Socket struct {
	peer      *peer
	namespace string
	id        string
	prefix    string // of an event
	done      chan struct{}

	// The peer's lock guards the rest.
	state   state
	leaving bool // Disconnect was called while it was being connected
	pid     string
	held    []outgoing // emitted while it was being connected
	app     Application
	busy    int  // calls of app that are running
	closed  bool // app.Close was called, or is
	reason  engine.Reason
	nextAck uint64
	acks    map[uint64]chan []json.RawMessage
}

// state is how far a connection is.
type state byte

const (
	connecting state = iota
	open
	ended
)

// ID names the connection. It is not the id of the session, and no secret.
func (s *Socket) ID() string { return s.id }

// Namespace is what the client is connected to; it begins with a slash.
func (s *Socket) Namespace() string { return s.namespace }

// Session is what the namespace is connected over. Other namespaces may be, too.
func (s *Socket) Session() *engine.Session { return s.peer.session }

// SetPID has the answer to the CONNECT carry an id by which a client can ask for what it missed. It is of use until
// Connect returns.
func (s *Socket) SetPID(pid string) {
	s.peer.mu.Lock()
	defer s.peer.mu.Unlock()
	s.pid = pid
}

// Emit has an event sent, behind what was given before. It waits while too much is waiting, until the context or the
// connection ends (ErrClosed). An argument that is Binary becomes an attachment; the others are encoded as JSON.
func (s *Socket) Emit(ctx context.Context, event string, args ...any) error {
	return s.EmitThen(ctx, nil, event, args...)
}

// EmitThen is Emit; after is called when the packet was put into a batch, before anything else is. It must not block,
// nor call the Socket's methods that wait. It is not called when the connection ends before that.
func (s *Socket) EmitThen(ctx context.Context, after func(), event string, args ...any) error {
	p, err := s.packet(packet.Event, append([]any{event}, args...))
	if err != nil {
		return err
	}
	return s.send(ctx, p, after)
}

// Ack answers an event that asked for it, as Emit does. Each is to be answered once.
func (s *Socket) Ack(ctx context.Context, id uint64, args ...any) error {
	return s.AckThen(ctx, nil, id, args...)
}

// AckThen is Ack with EmitThen's after.
func (s *Socket) AckThen(ctx context.Context, after func(), id uint64, args ...any) error {
	p, err := s.packet(packet.Ack, args)
	if err != nil {
		return err
	}
	p.ID = &id
	return s.send(ctx, p, after)
}

// EmitWithAck emits an event and returns the arguments of the client's answer; attachments of it are left out. It ends
// with the context, and with the connection (ErrClosed): give it a context that ends, for a client need not answer. A
// late or a second answer is ignored. It must not be called from Connect, Event or Fill, because the answer is read
// only after they have returned.
func (s *Socket) EmitWithAck(ctx context.Context, event string, args ...any) ([]json.RawMessage, error) {
	p, err := s.packet(packet.Event, append([]any{event}, args...))
	if err != nil {
		return nil, err
	}
	id, answer, err := s.expectAck()
	if err != nil {
		return nil, err
	}
	defer s.forgetAck(id)
	p.ID = &id
	if err := s.send(ctx, p, nil); err != nil {
		return nil, err
	}
	select {
	case args := <-answer:
		return args, nil
	case <-s.done:
		return nil, ErrClosed
	case <-ctx.Done():
		return nil, fmt.Errorf("waiting for an acknowledgement: %w", context.Cause(ctx))
	}
}

// Disconnect ends the connection to the namespace: the client gets a DISCONNECT behind the answers that are waiting,
// and no more events. The reference client does not connect again after that by itself. The session goes on. It does
// not wait.
func (s *Socket) Disconnect() { s.peer.disconnect(s) }

// packet encodes the arguments.
func (s *Socket) packet(t packet.Type, args []any) (packet.Packet, error) {
	p := packet.Packet{Type: t, Namespace: s.namespace}
	values := make([]any, len(args))
	for i, arg := range args {
		values[i] = arg
		if b, ok := arg.(Binary); ok {
			values[i] = placeholder{true, len(p.Attachments)}
			p.Attachments = append(p.Attachments, b)
		}
	}
	data, err := encode(values)
	if err != nil {
		return packet.Packet{}, fmt.Errorf("the arguments of a packet: %w", err)
	}
	p.Data = data
	return p, nil
}

type placeholder struct {
	Placeholder bool `json:"_placeholder"`
	Num         int  `json:"num"`
}

// send encodes a packet and has it wait for the transport.
func (s *Socket) send(ctx context.Context, p packet.Packet, after func()) error {
	return s.peer.enqueue(ctx, outgoing{socket: s, text: packet.Append(nil, p), attachments: p.Attachments, after: after})
}

// encode encodes what a packet carries.
func encode(v any) (json.RawMessage, error) {
	var buf bytes.Buffer
	e := json.NewEncoder(&buf)
	e.SetEscapeHTML(false) // nobody puts it into a page unread
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(buf.Bytes(), []byte{'\n'}), nil
}
