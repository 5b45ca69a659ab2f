package main

import (
	"bytes"
	"context"
	"fmt"
	"time"

	"github.com/orderlog/orderlog/domain"
)

// client is a user's connection, which checks what it gets.
type client struct {
	*frames
	speaks dialect
	user   int
	role   domain.Role // at ours; empty: a customer
	last   int         // the number of the last event
	stride int         // from the number of one event to that of the next; 0: 1
	rest   []byte      // of the message, what is not read yet

	// Ours says:
	prev                 int // the last seq it told of
	registered, caughtUp bool
}

// eventBytes is the size of an event's data, about, and eventPad what of it is padding.
const (
	eventBytes = 200
	eventPad   = eventBytes - 20
)

// dial connects, without registering.
func dial(ctx context.Context, s *server, d dialect, user int, buf []byte) (*client, error) {
	f, err := dialFrames(ctx, s, d, buf)
	if err != nil {
		return nil, err
	}
	return &client{frames: f, speaks: d, user: user}, nil
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

// expect reads all events from a number on, each once and in order.
func (c *client) expect(from, count int) error {
	c.last = from - 1
	return c.until(func() bool { return c.last == from+count-1 })
}

// crowd is many clients of one server.
type crowd []*client

// connectCrowd connects and registers users, some at a time. buffer is how much each reads at once.
func connectCrowd(ctx context.Context, s *server, d dialect, users, buffer int) (crowd, error) {
	c := make(crowd, users)
	err := inParallel(64, users, func(i int) (err error) {
		if c[i], err = dial(ctx, s, d, i, make([]byte, buffer)); err != nil {
			return err
		}
		return d.register(c[i])
	})
	if err != nil {
		c.close()
		return nil, fmt.Errorf("connect %d clients to %s: %w", users, s.name, err)
	}
	return c, nil
}

func (c crowd) close() {
	for _, client := range c {
		if client != nil {
			client.close()
		}
	}
}

// while publishes and has every client do something at the same time, and waits for all. When a client fails the others
// are cut off, since they may wait for what never comes, and giveUp is called.
func (c crowd) while(giveUp func(), publish func() error, do func(i int, c *client) error) error {
	published, errs := make(chan error, 1), make(chan error, len(c))
	for i, client := range c {
		go func() {
			err := do(i, client)
			if err != nil {
				err = fmt.Errorf("client %d: %w", i, err)
			}
			errs <- err
		}()
	}
	go func() { published <- publish() }()
	var failed error
	for range c {
		if err := <-errs; err != nil && failed == nil {
			failed = err
			giveUp()
			for _, client := range c {
				_ = client.conn.SetDeadline(time.Unix(1, 0))
			}
		}
	}
	if err := <-published; failed == nil {
		failed = err
	}
	return failed
}
