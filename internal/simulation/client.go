package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	// backoffMax is the longest wait before a connection is tried again, unless the server says how long.
	backoffMax = 5 * time.Second
	// hearing is how long users wait for what the socket has to tell them before they go on without.
	hearing = 15 * time.Second
)

// client is one connection of a user, as a correct program holds it: it keeps the last seq it was told of, comes back
// with it after every loss, and connects anew when an event does not follow on what it has. It is safe for concurrent
// use; Run may be called once.
type client struct {
	name  string // for people
	user  *user
	url   string // ws://HOST:PORT/ws
	batch bool
	life  time.Duration // of a token; it is refreshed before it expires
	cuts  *cuts
	heard func(event string, about subject) string // what is remembered of an event, "" for nothing
	stats *stats

	writing sync.Mutex // held while something is written to conn

	mu      sync.Mutex
	conn    *websocket.Conn // nil while there is none
	journal *journal
	memory  map[string]bool // what heard said
	waiting []*waiter
	asked   map[int64]func(frame) // acknowledgements that are awaited; called with nothing of the connection lost
	nextID  int64
	budget  budget
	online  bool          // registered
	pause   time.Duration // the server asked for, before coming back
	dead    error         // why it has given up
}

// waiter is somebody who waits for the client's state to change.
type waiter struct {
	holds func() bool // called with mu held
	done  chan struct{}
}

// refusedError is an answer that coming back would not change.
type refusedError struct{ message string }

func (e *refusedError) Error() string { return e.message }

// run connects, and comes back after each loss, until ctx ends or the server refuses for good.
func (c *client) run(ctx context.Context) {
	for attempt := 0; ; attempt++ {
		registered, err := c.session(ctx)
		if ctx.Err() != nil {
			return
		}
		var final *refusedError
		if errors.As(err, &final) {
			c.mu.Lock()
			c.dead = err
			c.wake()
			c.mu.Unlock()
			return
		}
		if registered {
			attempt = 0
		}
		wait := min(50*time.Millisecond<<min(attempt, 8), backoffMax)
		wait = wait/2 + rand.N(wait/2)
		c.mu.Lock()
		wait, c.pause = max(wait, c.pause), 0
		c.mu.Unlock()
		if !pause(ctx, wait) {
			return
		}
	}
}

// await returns when a condition of the client holds, and false when it does not for too long. holds is called with
// mu held.
func (c *client) await(ctx context.Context, atMost time.Duration, holds func() bool) bool {
	w := &waiter{holds: holds, done: make(chan struct{})}
	c.mu.Lock()
	if holds() {
		c.mu.Unlock()
		return true
	}
	c.waiting = append(c.waiting, w)
	c.mu.Unlock()
	timer := time.NewTimer(atMost)
	defer timer.Stop()
	select {
	case <-w.done:
		return true
	case <-timer.C:
	case <-ctx.Done():
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := range c.waiting {
		if c.waiting[i] == w {
			c.waiting = append(c.waiting[:i], c.waiting[i+1:]...)
			break
		}
	}
	return false
}

// wake lets those go on whose condition holds now. mu is held.
func (c *client) wake() {
	kept := c.waiting[:0]
	for _, w := range c.waiting {
		if w.holds() {
			close(w.done)
		} else {
			kept = append(kept, w)
		}
	}
	clear(c.waiting[len(kept):])
	c.waiting = kept
}

// hears waits until the client was told of something.
func (c *client) hears(ctx context.Context, what string) bool {
	return c.await(ctx, hearing, func() bool { return c.memory[what] })
}

// forget drops what need not be remembered any more.
func (c *client) forget(what ...string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, w := range what {
		delete(c.memory, w)
	}
}

// reaches waits until the client was told of everything up to seq.
func (c *client) reaches(ctx context.Context, seq int64, atMost time.Duration) bool {
	return c.await(ctx, atMost, func() bool { return c.journal.begun && c.journal.cursor >= seq })
}

// isOnline waits until the client is registered, and says why it never will be.
func (c *client) isOnline(ctx context.Context) error {
	ok := c.await(ctx, patience, func() bool { return c.online || c.dead != nil })
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case c.dead != nil:
		return fmt.Errorf("%s: %w", c.name, c.dead)
	case ctx.Err() != nil:
		return ctx.Err()
	case !ok:
		return fmt.Errorf("%s could not register at %s within %s", c.name, c.url, patience)
	}
	return nil
}

// record is the journal, once run has returned.
func (c *client) record() *journal {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.journal
}
