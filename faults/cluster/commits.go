package cluster

import (
	"bytes"
	"encoding/binary"
	"strings"
	"sync"
	"sync/atomic"
)

// cutAt is where connections to the database are cut: at the one moment after which a program can't know whether what it
// wrote is stored.
type cutAt int

const (
	nowhere cutAt = iota
	beforeCommit
	afterCommit
)

// everyCommit of how many is cut while connections are: a program has to get on all the same.
const everyCommit = 3

// gate decides at which of the commits that go to PostgreSQL on one way connections are cut.
type gate struct {
	mu   sync.Mutex
	at   cutAt
	seen int // commits since at was set
	cut  int // of them
}

// link reads along on one connection of a client to the server.
type link struct {
	gate     *gate
	frontend frontend
	atOnce   bool // it is cut as soon as the commit was passed on
	// deaf: what the server says reaches the client no more, and when it has carried out what it was sent the connection
	// is cut.
	deaf   atomic.Bool
	unsaid []byte // the end of what the client did not hear
}

func (g *gate) set(at cutAt) (cut int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	cut = g.cut
	g.at, g.seen, g.cut = at, 0, 0
	return cut
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.cut
}

// decide says whether the commit that is about to be passed on is one to cut at, and whether the client is cut off at once
// (else when the server has committed).
func (g *gate) decide() (at cutAt, atOnce bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.at == nowhere {
		return nowhere, false
	}
	g.seen++
	if g.seen%everyCommit != 0 {
		return nowhere, false
	}
	g.cut++
	return g.at, g.cut%2 == 0
}

// toServer reads what a client sends and says whether the connection is to be cut at a commit. Whole messages are passed on.
func (l *link) toServer(data []byte) (pass []byte, cut bool) {
	f := &l.frontend
	f.rest = append(f.rest, data...)
	for {
		typed := f.started
		message := f.next()
		if message == nil {
			return pass, false
		}
		commits, last := false, false
		if typed {
			commits, last = f.read(message)
		}
		if commits && !l.deaf.Load() {
			at, atOnce := l.gate.decide()
			if at == beforeCommit {
				return pass, true
			}
			l.atOnce = atOnce
			l.deaf.Store(at == afterCommit)
		}
		pass = append(pass, message...)
		if last && l.atOnce {
			return pass, true
		}
	}
}

// readyForQuery is what the server says when a transaction has ended and before the next one may begin, without its last
// byte, the state.
var readyForQuery = []byte{'Z', 0, 0, 0, 5}

// toClient drops what the client is not to hear, and cuts the connection when all of it was said.
func (l *link) toClient(data []byte) (pass []byte, cut bool) {
	if !l.deaf.Load() {
		return data, false
	}
	l.unsaid = append(l.unsaid, data...)
	l.unsaid = l.unsaid[max(0, len(l.unsaid)-len(readyForQuery)-1):]
	return nil, bytes.HasPrefix(l.unsaid, readyForQuery)
}

// frontend reads what a client sends, https://www.postgresql.org/docs/current/protocol-message-formats.html.
type frontend struct {
	rest    []byte
	started bool
	commits map[string]commitKind // of prepared statements
	ends    bool                  // the next Sync commits
	bound   bool                  // a COMMIT is on its way, its Sync is to come
}

type commitKind int

const (
	noCommit commitKind = iota
	explicit            // the statement is COMMIT
	implicit            // the statement is a transaction of its own, which the next Sync commits
)

const (
	requestSSL    = 80877103
	requestGSS    = 80877104
	appendingCall = "append_events_" // of the function that appends in one round trip
)

// next is the next message that has come whole, nil if there is none.
func (f *frontend) next() []byte {
	head := 1 // the type, which the first message has not
	if !f.started {
		head = 0
	}
	if len(f.rest) < head+4 {
		return nil
	}
	size := head + int(binary.BigEndian.Uint32(f.rest[head:]))
	if len(f.rest) < size {
		return nil
	}
	message := f.rest[:size:size]
	f.rest = f.rest[size:]
	if !f.started {
		code := binary.BigEndian.Uint32(message[4:])
		f.started = code != requestSSL && code != requestGSS
	}
	return message
}

// read says whether a message commits, if what was sent before it succeeds, and whether it is the last that belongs to the
// commit.
func (f *frontend) read(message []byte) (commits, last bool) {
	body := message[5:]
	switch message[0] {
	case 'Q':
		return kindOf(text(&body)) != noCommit, true
	case 'P':
		name := text(&body)
		if f.commits == nil {
			f.commits = make(map[string]commitKind)
		}
		f.commits[name] = kindOf(text(&body))
	case 'B':
		_ = text(&body) // the portal
		switch f.commits[text(&body)] {
		case explicit:
			f.bound = true
			return true, false
		case implicit:
			f.ends = true
		case noCommit:
		}
	case 'S':
		commits, last = f.ends, f.ends || f.bound
		f.ends, f.bound = false, false
	}
	return commits, last
}

func kindOf(query string) commitKind {
	switch {
	case strings.EqualFold(strings.Trim(query, " \n\t;"), "commit"):
		return explicit
	case strings.Contains(query, appendingCall):
		return implicit
	}
	return noCommit
}

// text takes a string that ends with a zero.
func text(body *[]byte) string {
	s, rest, _ := bytes.Cut(*body, []byte{0})
	*body = rest
	return string(s)
}
