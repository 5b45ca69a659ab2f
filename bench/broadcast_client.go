package main

import (
	"bytes"
	"fmt"

	"github.com/orderlog/orderlog/domain"
)

// client is a user's connection, which checks what it gets.
type client struct {
	*frames
	server *server
	speaks dialect
	loop   *loop
	user   int
	role   domain.Role // at ours; empty: a customer
	rooms  []string    // at ours, that it is in besides its own channels
	last   int         // the number of the last event
	stride int         // from the number of one event to that of the next; 0: 1
	rest   []byte      // of the message, what is not read yet

	came          int    // of the events that expectEach waits for
	question      []byte // what it says when it is connected; empty: nothing
	shaken, asked bool   // its handshake is over, its question is sent
	held          []byte // what it has read of a message that is not whole yet

	// Ours says:
	prev                   int // the last seq it told of
	isRegistered, caughtUp bool
}

// eventBytes is the size of an event's data, about, and eventPad what of it is padding.
const (
	eventBytes = 200
	eventPad   = eventBytes - 20
)

// lend gives the client a buffer to read into.
func (c *client) lend(buf []byte) {
	if len(buf) < len(c.held) {
		buf = make([]byte, 2*len(c.held))
	}
	c.buf, c.start, c.end = buf, 0, copy(buf, c.held)
	if s, ok := c.conn.(*socket); ok {
		s.drained = false
	}
}

// takeBack has the client keep what it has not used, and returns the buffer, or a larger one that it took.
func (c *client) takeBack() (buf []byte) {
	c.held = append(c.held[:0], c.buf[c.start:c.end]...)
	buf, c.buf, c.start, c.end = c.buf, nil, 0, 0
	return buf
}

// step reads a line, and returns the number of an event, or 0 when it was something else.
func (c *client) step() (int, error) {
	if len(c.rest) == 0 {
		m, err := c.message()
		if err != nil {
			return 0, err
		}
		c.rest = m
	}
	line := c.rest
	if end := bytes.IndexByte(line, '\n'); end >= 0 {
		line, c.rest = line[:end], line[end+1:]
	} else {
		c.rest = nil
	}
	n, err := c.speaks.line(c, line)
	if err == nil && n > 0 && len(line) < eventPad {
		err = fmt.Errorf("event %d is not whole: %s", n, line)
	}
	return n, err
}

// event waits for the next event and returns its number.
func (c *client) event() (n int, err error) {
	for n == 0 && err == nil {
		n, err = c.step()
	}
	return n, err
}

// follow takes note of an event, which must be the next one.
func (c *client) follow(n int) error {
	if next := c.last + max(c.stride, 1); n != next {
		return fmt.Errorf("event %d came where %d should", n, next)
	}
	c.last = n
	return nil
}

// until reads events, each the next one, until something else is as wanted.
func (c *client) until(done func() bool) error {
	for !done() {
		n, err := c.step()
		if err != nil {
			return err
		}
		if n == 0 {
			continue
		}
		if err := c.follow(n); err != nil {
			return err
		}
	}
	return nil
}

// expect reads all events up to a number, each once and in order.
func (c *client) expect(last int) error {
	return c.until(func() bool { return c.last == last })
}

// expectEach reads these events, each once and in order, and no others, and calls took for each.
func (c *client) expectEach(events []int, took func(n int)) error {
	for c.came < len(events) {
		got, err := c.event()
		if err != nil {
			return err
		}
		if want := events[c.came]; got != want {
			return fmt.Errorf("event %d came where %d should", got, want)
		}
		took(got)
		c.came++
	}
	return nil
}
