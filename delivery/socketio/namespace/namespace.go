// Package namespace is the Socket.IO protocol 5 over Engine.IO sessions: connections to namespaces, events, and
// acknowledgements in both directions. It knows nothing of what the events are about.
//
// What a client is to be told comes in two ways. Answers (what Emit and Ack take) wait in one bounded queue a session
// and go out in the order in which they were given. Everything else is pulled from the Application when the transport
// can take it, so that a slow client costs no memory. In each batch the answers come first. The answer to a CONNECT
// comes before anything else of its namespace. The namespaces of a session share a batch.
package namespace

import (
	"cmp"
	"context"
	"encoding/json"
	"net/http"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/packet"
)

// Config says who decides over connections, and what a session may cost.
type Config struct {
	// Connect decides over a client's CONNECT to a namespace, and returns what answers its events. auth is the
	// payload, a JSON object, nil when there is none; it is valid until Connect returns. A *Refusal becomes a
	// CONNECT_ERROR, and the session goes on. Any other error closes the session by ConnectFailed without a word, so
	// that the client comes back; nobody logs it. What is emitted meanwhile goes out behind the answer, or not at all when there is an error; at most
	// MaxWaiting packets are held for that. The context ends with the session and after ConnectTimeout. No other call
	// of the session's reading comes until Connect returns.
	Connect func(ctx context.Context, s *Socket, auth json.RawMessage) (Application, error)
	// ConnectTimeout is how long a session may be without a namespace, from its beginning or from leaving the last
	// one, and how long Connect may take. 0: 10 s.
	ConnectTimeout time.Duration
	// MaxSockets is how many namespaces a session may be connected to at a time. One more is refused. 0: 8.
	MaxSockets int
	// MaxWaiting is how many packets wait to be sent in a session. Beyond it Emit and Ack wait, and with them the
	// reading of the session. 0: 64.
	MaxWaiting int
	// MaxAttachments and MaxBytes bound what is gathered of one packet with attachments, as packet.Decoder has it.
	MaxAttachments, MaxBytes int
}

func (c Config) withDefaults() Config {
	c.ConnectTimeout = cmp.Or(c.ConnectTimeout, 10*time.Second)
	c.MaxSockets = cmp.Or(c.MaxSockets, 8)
	c.MaxWaiting = cmp.Or(c.MaxWaiting, 64)
	return c
}

// Server makes the peers of Engine.IO sessions. It is safe for concurrent use and has nothing to be closed.
type Server struct {
	cfg Config
}

// New returns a server; its Accept is an engine.Config's.
func New(cfg Config) *Server { return &Server{cfg: cfg.withDefaults()} }

// Accept takes a session.
func (n *Server) Accept(_ *http.Request, s *engine.Session) (engine.Peer, error) {
	return newPeer(&n.cfg, s), nil
}

// Application is one connected namespace of a session.
type Application interface {
	// Event takes an event of the client, one at a time, in order. Its arguments are valid until Event returns, its
	// attachments are the application's. An error ends the session.
	Event(ctx context.Context, e Event) error
	// Fill gives what there is to tell, until the Out is full. It is called when the transport can take more: one
	// call at a time, concurrently with Event. next is when to call again at the latest (zero: when the session is
	// woken), again says that there is more already.
	Fill(ctx context.Context, out *Out) (next time.Time, again bool)
	// Close is called once, after the last Event and the last Fill. The reason is the session's, or Left or Ended.
	Close(reason engine.Reason)
}

// Event is an event of the client.
type Event struct {
	// Name is its first argument; a number that is used as a name is its text.
	Name string
	// Args are the other arguments. Where an attachment belongs there is a placeholder; see packet.Packet.
	Args        []json.RawMessage
	Attachments [][]byte
	// ID is set when the client waits for an acknowledgement: answer it with Socket.Ack, once.
	ID *uint64
}

// Refusal is the error by which Connect refuses a connection. The client gets it in a CONNECT_ERROR.
type Refusal struct {
	Message string `json:"message"`
	Data    any    `json:"data,omitempty"` // left out if it cannot be encoded
}

func (r *Refusal) Error() string { return r.Message }

var (
	// InvalidNamespace refuses a namespace that does not exist, in the words of the reference implementation.
	InvalidNamespace = &Refusal{Message: "Invalid namespace"}
	// TooManyNamespaces refuses more than Config.MaxSockets.
	TooManyNamespaces = &Refusal{Message: "Too many namespaces in one session"}
)

// Reasons beside the engine's. By the first two an Application is closed while its session goes on.
const (
	// Left: the client left the namespace.
	Left engine.Reason = "namespace_left"
	// Ended: the server ended the connection to the namespace.
	Ended engine.Reason = "namespace_ended"
	// NoNamespace: the session was connected to no namespace for too long.
	NoNamespace engine.Reason = "no_namespace"
	// ConnectFailed: Config.Connect failed by an error that is no refusal.
	ConnectFailed engine.Reason = "connect_failed"
)

// Binary is an argument of an event or an acknowledgement that travels as an attachment. It is kept until it is sent.
type Binary []byte

// eventPrefix is what stands before the array of an event.
func eventPrefix(namespace string) string {
	return string(packet.Append(nil, packet.Packet{Type: packet.Event, Namespace: namespace}))
}
