package crowd

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

const (
	// silence is how long a connection may say nothing: every transport says something at least every 15 s.
	silence     = 22 * time.Second
	dialTimeout = 6 * time.Second
	longestWait = 2 * time.Second
	// largest is how much a server may say at once, in bytes. An answer to a join has 256 KiB at most.
	largest = 1 << 20
)

// errFaulty ends a connection whose server said what none may say. What it was is noted.
var errFaulty = errors.New("the server said what no server may say")

// closedError is a connection that the server ended, and said why.
type closedError struct {
	code   int
	reason string
}

func (e *closedError) Error() string { return fmt.Sprintf("closed with %d %s", e.code, e.reason) }

// link is one connection of a device. read is for one goroutine; say and close are safe for concurrent use.
type link interface {
	// read takes in what the server says next, and has the device told of it.
	read() error
	// say sends an event of the client, with the id of its acknowledgement. 0: none. Not every transport can.
	say(event string, data any, id int64) error
	close()
}

// device is a user's client: it keeps its cursor over all its connections, and comes back for ever.
type device struct {
	user  *user
	rooms func(*rand.Rand) []string // that its user may be in now; nil: it has no habits, and only listens
	api   *api
	rng   *rand.Rand // its habits'
	ready func(ctx context.Context, d *device, url string) (link, error)
	now   func() time.Duration
	// recovers says that it comes back over Socket.IO by pid and offset, as socket.io-client does by itself.
	recovers bool
	// reads says that it begins with the seq of something that it read over REST.
	reads bool
	// tickets says that it is let in by a ticket, as a page that can send no header. It is a stream's.
	tickets bool

	mu      sync.Mutex
	log     history.Client
	begun   bool // it has a cursor
	cursor  int64
	logID   string           // of the log that the cursor is of; empty: unknown
	joined  map[string]int64 // the rooms that it is in, or wants to be in when it comes back, and from when they count
	more    []string         // rooms that it asks for beside when it comes back
	wanted  map[string]bool  // rooms that it asked for and has no answer
	wait    time.Duration    // that the server asked for
	socket  socketIO         // what of it outlives a connection
	session *visit           // nil: none
	node    int              // of the newest connection
}

// visit is what a device knows of its connection.
type visit struct {
	link       link
	asked      int64    // lastSeq; -1: none
	rooms      []string // asked for with the registration
	registered bool
	caughtUp   bool
	resynced   bool
	nextID     int64
	pending    map[int64]question
	behind     []question // joins whose answers left something to be asked for again
}

func (d *device) note(e history.Entry) {
	e.At = d.now()
	d.log.Log = append(d.log.Log, e)
}

// faulty notes what no server may say. mu is held.
func (d *device) faulty(format string, args ...any) error {
	const longest = 500
	text := fmt.Sprintf(format, args...)
	if len(text) > longest {
		text = text[:longest] + "…"
	}
	d.note(history.Entry{Kind: history.Faulty, Name: text})
	return errFaulty
}

// reached is where the device is.
func (d *device) reached() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cursor
}

// nodeOf is the node that it is, or was, connected to.
func (d *device) nodeOf() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.node
}

// run connects, and comes back after each loss, to any of the nodes, until ctx ends.
func (d *device) run(ctx context.Context) {
	if d.reads && !d.readFirst(ctx) {
		return
	}
	network := rand.New(rand.NewPCG(d.rng.Uint64(), 0))
	for failed := 0; ctx.Err() == nil; failed++ {
		registered := d.visit(ctx, network.IntN(len(d.api.urls)))
		if registered {
			failed = 0
		}
		d.mu.Lock()
		wait := min(50*time.Millisecond<<min(failed, 8), longestWait)
		wait, d.wait = max(wait, min(d.wait, 2*longestWait)), 0
		d.mu.Unlock()
		pause(ctx, wait/2+time.Duration(network.Int64N(int64(wait/2))))
	}
}

// readFirst begins with the seq of something that was read, as a page does.
func (d *device) readFirst(ctx context.Context) bool {
	for node := 0; ; node = another(node, len(d.api.urls)) {
		if a := d.api.do(ctx, node, ask{method: "GET", path: "/business", user: d.user}); a.status == 200 {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.begun, d.cursor = true, a.seq
			return true
		}
		if !pause(ctx, firstWait) {
			return false
		}
	}
}

// visit is one connection, from before it is made to its loss.
func (d *device) visit(ctx context.Context, node int) (registered bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	v := &visit{asked: -1, pending: map[int64]question{}}
	d.mu.Lock()
	if d.begun {
		v.asked = d.cursor
	}
	if !d.recovers {
		v.rooms = append(slices.Sorted(maps.Keys(d.joined)), d.more...)
		slices.Sort(v.rooms)
		v.rooms = slices.Compact(v.rooms)
	}
	d.session, d.wanted, d.more, d.node = v, map[string]bool{}, nil, node
	d.note(history.Entry{Kind: history.Opened, Seq: v.asked})
	d.mu.Unlock()

	dialing, stop := context.WithTimeout(ctx, dialTimeout)
	l, err := d.ready(dialing, d, d.api.urls[node])
	stop()
	if err != nil {
		d.closed(err)
		return false
	}
	var living sync.WaitGroup
	defer living.Wait()
	defer cancel()
	defer context.AfterFunc(ctx, l.close)()
	defer l.close()
	d.mu.Lock()
	v.link = l
	d.mu.Unlock()
	living.Go(func() { d.live(ctx, v) })
	for err == nil {
		err = l.read()
	}
	d.closed(err)
	return v.registered
}

// closed notes why a connection is gone, and lets those know who wait for an answer.
func (d *device) closed(err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	v := d.session
	d.session = nil
	for _, q := range v.pending {
		if q.then != nil {
			q.then(reply{lost: true})
		}
	}
	e := history.Entry{Kind: history.Closed, Name: err.Error()}
	var told *closedError
	if errors.As(err, &told) {
		e.Seq, e.Name = int64(told.code), told.reason
	}
	d.note(e)
}

// seconds is what Retry-After asks for; 0 if it is none.
func seconds(header string) time.Duration {
	n, err := strconv.Atoi(header)
	if err != nil || n < 0 {
		return 0
	}
	return time.Duration(n) * time.Second
}
