package rest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/gate"
)

const (
	// More at a time than keeps the processors and the database busy makes each slower: at ten times the load 64 places on
	// two cores did half of what 16 do, at nine times the p99.
	defaultRequests = 16
	// What waits is a moment's work. A longer line would make everybody late and nobody be served more.
	linePerPlace = 4
	linePatience = 500 * time.Millisecond

	// maxBodies bounds the memory of bodies that are being received, or wait to be worked on; maxAddressBodies that of one
	// address, so that a client that sends many slowly takes the room of nobody else.
	maxBodies        = 64 << 20
	maxAddressBodies = maxBodies / 16
)

func newGate(requests int) *gate.Gate {
	if requests < 0 {
		return nil
	}
	if requests == 0 {
		requests = defaultRequests
	}
	return gate.New(requests, linePerPlace*requests, linePatience)
}

// isStream says whether a request is for the stream of events, which is told by its path alone because it is asked before
// anything is known of it.
func isStream(r *http.Request) bool { return r.URL.Path == eventsPath }

// enter waits for a place for a request. Its body is there by now, so that a client that sends it slowly keeps nobody
// waiting. What is outside of the API costs little or, as a look at the metrics, has to be answered at just such times.
func (s *server) enter(r *http.Request, c *call, pattern string) error {
	if pattern == eventsPattern || !strings.HasPrefix(r.URL.Path, prefix+"/") {
		return nil
	}
	return s.takePlace(r.Context(), c)
}

func (s *server) takePlace(ctx context.Context, c *call) (err error) {
	c.place, err = s.gate.Enter(ctx)
	if errors.Is(err, gate.ErrFull) {
		return overloaded()
	}
	return err
}

// stepOut gives the place back of a request that waits for something other than its own work, and returns what takes one
// again.
func (s *server) stepOut(c *call) (reenter func(context.Context) error) {
	if !c.place.Inside() {
		return func(context.Context) error { return nil }
	}
	c.place.Leave()
	return func(ctx context.Context) error { return s.takePlace(ctx, c) }
}

// forget gives back what a request held.
func (s *server) forget(c *call) {
	c.place.Leave()
	s.bodies.add(c.address(), -c.held)
}

// overloaded is the answer to what can't be taken on. Clients are asked back at different times.
func overloaded() *Problem {
	return problem(domain.CodeOverloaded, "more is asked than can be done now, and nothing was done: try again in a moment").
		set("Retry-After", fmt.Sprint(1+rand.N(3)))
}

var errBodies = errors.New("rest: the bodies in memory are as large as they may be")

// bodies is how many bytes of bodies are in memory: in all, and of each address.
type bodies struct {
	mu  sync.Mutex
	all int64
	of  map[string]int64 // without those that have none
}

// add counts n more, or fewer, and says whether all are as many as they may be.
func (b *bodies) add(address string, n int64) (ok bool) {
	if n == 0 {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.of == nil {
		b.of = map[string]int64{}
	}
	b.all += n
	b.of[address] += n
	if b.of[address] == 0 {
		delete(b.of, address)
	}
	return b.all <= maxBodies && b.of[address] <= maxAddressBodies
}

// metered counts the bytes of a body.
type metered struct {
	io.Reader
	s *server
	c *call
}

func (b metered) Read(p []byte) (int, error) {
	n, err := b.Reader.Read(p)
	b.c.held += int64(n)
	if !b.s.bodies.add(b.c.address(), int64(n)) {
		return n, errBodies
	}
	return n, err
}
