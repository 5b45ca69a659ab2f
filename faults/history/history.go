// Package history is what a run of the fault suite writes down and its checker reads: what was asked for and answered,
// what every client was told, and what was broken when.
//
// Nothing here judges. A history says what clients saw; the log, read when the run is over, says what was true; package
// check compares the two.
//
// Times are counted from the start of the run by one monotonic clock, so that they can be compared over all clients.
package history

import (
	"encoding/json"
	"slices"
	"sync"
	"time"
)

// Outcome is what a client knows of an attempt when it is over.
type Outcome int

const (
	// Unknown: there was no answer, or one that says that it is not known. The command may be in the log or not.
	Unknown Outcome = iota
	// Acknowledged: the server said that it was carried out. It has to be in the log.
	Acknowledged
	// Refused: the server said that it was not carried out, and why. It must not be in the log because of this attempt.
	Refused
)

// Attempt is one request for a command, to one node.
type Attempt struct {
	Node         int
	Began, Ended time.Duration
	Outcome      Outcome
	Status       int    // of HTTP; 0: no answer
	Code         string // of the problem; empty: none
	Seq          int64  // X-Seq of an answer
	Replayed     bool   // Idempotent-Replayed of an answer
}

// Command is what a user wanted to be done once, however often it had to be asked for.
type Command struct {
	// ID is a UUID, sent as X-Request-Id with every attempt: its events have it as their correlation id.
	ID string
	// Key is the Idempotency-Key of all attempts. Empty: there was only one attempt.
	Key string
	// Name is what was asked for, such as "order.place", "order.status", "order.cancel", "order.assign",
	// "payment.start", "payment.webhook", "payment.collect", "payment.refund", "courier.status", "courier.location",
	// "offer.create", "product.create", "business.open", "inbox.send".
	Name string
	// User and Role are who asked.
	User, Role string
	// Subject is the id of what it is about, as the API names it: an order, a payment, an offer's code, a courier.
	// Of what a command makes it is set from the answer; empty while that is not known.
	Subject string
	// Wanted is what matters of the body, by name: a status that was set, an amount in minor units.
	Wanted map[string]string
	// Attempts are in the order in which they began; they do not overlap.
	Attempts []Attempt
}

// Acknowledged returns the first attempt that was, nil if none was.
func (c *Command) Acknowledged() *Attempt {
	if i := slices.IndexFunc(c.Attempts, func(a Attempt) bool { return a.Outcome == Acknowledged }); i >= 0 {
		return &c.Attempts[i]
	}
	return nil
}

// MayBeStored says whether the command may be in the log, by what its client was told.
func (c *Command) MayBeStored() bool {
	return slices.ContainsFunc(c.Attempts, func(a Attempt) bool { return a.Outcome != Refused })
}

// Read is an answer of a read model.
type Read struct {
	Node         int
	Began, Ended time.Duration
	User         string
	// What was read: "order", "offer", "courier", "payment"; Subject is its id as the API names it.
	What, Subject string
	MinSeq        int64  // that was asked for; 0: none
	Seq           int64  // X-Seq: the answer has every event up to it and none after
	Status        int    // of HTTP
	Code          string // of the problem; empty: none
	// Body is the answer as it came; nil for one that was not found.
	Body json.RawMessage
}

// Kind is what a client was told, or what became of its connection.
type Kind uint8

const (
	// Opened: a connection is being made. Seq is the lastSeq it asks for, -1 for none.
	Opened Kind = iota + 1
	// Registered: the server knows the client. Seq is where it says the connection begins, Flag whether it recovered.
	Registered
	// Event is one of the log's. Seq, Prev (-1 where the transport has none), Name, Subject, Digest; Flag: it came in
	// the answer to a join.
	Event
	// Checkpoint: nothing for the client up to Seq.
	Checkpoint
	// CaughtUp: what was missed has come, up to Seq.
	CaughtUp
	// Resync: what was missed cannot be told. Seq is where the stream goes on, Name the reason.
	Resync
	// Joined: the client is in a room from Seq on. Name is the room, Prev the lastSeq of the join that this answers, whose
	// past comes next; -1: none.
	Joined
	// Left: it is not any more. Name is the room; Flag: the client asked for it.
	Left
	// Reconnect: the server asks to come back later. Seq is after how many milliseconds.
	Reconnect
	// Closed: the connection is gone. Seq is the close code, 0 for none; Name the reason.
	Closed
	// Faulty: the client saw something that no server may say, such as a message it cannot read. Name says what.
	Faulty
	// Asked: the client asks to be let into a room. Name is the room; Joined or Denied answers it, on this connection or
	// never.
	Asked
	// Denied: the client is not let into a room that it asked for. Name is the room, Subject the code of the error.
	Denied
)

// Entry is a line of what happened to a client.
type Entry struct {
	At      time.Duration
	Kind    Kind
	Flag    bool
	Prev    int64
	Seq     int64
	Name    string
	Subject string // orderId of an event; its agent's id, offer's code or entry's id where it has no order
	Digest  uint64 // of an event's data in canonical JSON; see [Digest]
}

// Feed is the transport of a device that reads pages over REST: how far each of them reaches is a Checkpoint, and there is no
// other word that it has caught up.
const Feed = "feed"

// Client is one user's device: a cursor that outlives its connections.
type Client struct {
	Name      string // for people
	User      string
	Role      string
	Transport string // "ws", "ws.batch", "socketio.websocket", "socketio.polling", "sse", or Feed
	Log       []Entry
}

// Fault is something that was broken on purpose.
type Fault struct {
	Kind         string // such as "postgres.kill"
	Target       string // such as "node 2"; empty where there is one
	Began, Ended time.Duration
	Detail       string
}

// History is a whole run. It is safe for concurrent use while it is written; what it holds is for one reader, when all
// writers have ended.
type History struct {
	Seed  uint64
	start time.Time

	mu       sync.Mutex
	commands []*Command
	reads    []Read
	clients  []*Client
	faults   []Fault
}

// New begins a history now.
func New(seed uint64) *History { return &History{Seed: seed, start: time.Now()} }

// Now is the time since the beginning.
func (h *History) Now() time.Duration { return time.Since(h.start) }

// AddCommand notes a command that is over.
func (h *History) AddCommand(c *Command) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.commands = append(h.commands, c)
}

// AddRead notes an answer of a read model.
func (h *History) AddRead(r Read) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.reads = append(h.reads, r)
}

// AddClient notes a client that has ended.
func (h *History) AddClient(c *Client) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.clients = append(h.clients, c)
}

// AddFault notes a fault that is over.
func (h *History) AddFault(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.faults = append(h.faults, f)
}

// Commands are those that are over, in the order in which they ended.
func (h *History) Commands() []*Command { return h.commands }

// Reads are in the order in which they ended.
func (h *History) Reads() []Read { return h.reads }

// Clients are in the order in which they ended.
func (h *History) Clients() []*Client { return h.clients }

// Faults are in the order in which they ended.
func (h *History) Faults() []Fault { return h.faults }
