package main

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"time"
)

// crowd is many clients of one server, driven by as many loops as there are cores: a goroutine, a timer and a buffer for
// each client would cost more than some servers do.
type crowd struct {
	clients []*client
	loops   []*loop
}

// errMore says that a client has read all that has come, and waits for more.
var errMore = errors.New("more is to come")

// crowdDials bounds how many handshakes are under way at once, because the kernel's queue of connections that are not
// accepted yet has room for 4,096: those beyond would try again a second later, which is no server's doing.
const crowdDials = 2000

// newCrowd makes the users of a server ready. Nothing is dialled yet.
func newCrowd(s *server, d dialect, users int) (*crowd, error) {
	c := &crowd{clients: make([]*client, users)}
	for i := range c.clients {
		c.clients[i] = &client{frames: &frames{}, server: s, speaks: d, user: i}
	}
	share := (users + runtime.GOMAXPROCS(0) - 1) / runtime.GOMAXPROCS(0)
	for from := 0; from < users; from += share {
		l, err := newLoop(c.clients[from:min(from+share, users)], crowdDials/runtime.GOMAXPROCS(0))
		if err != nil {
			c.close()
			return nil, err
		}
		c.loops = append(c.loops, l)
	}
	return c, nil
}

// connectCrowd has users connected and registered.
func connectCrowd(ctx context.Context, s *server, d dialect, users int) (*crowd, error) {
	c, err := newCrowd(s, d, users)
	if err != nil {
		return nil, err
	}
	if err := c.register(ctx); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// register connects all, and returns when the server will deliver to each.
func (c *crowd) register(ctx context.Context) error {
	for _, client := range c.clients {
		client.question = client.speaks.question(client, nil)
	}
	if err := c.each(ctx, func(c *client) error { return c.comeBack(c.speaks.registered) }); err != nil {
		return fmt.Errorf("connect %d clients to %s: %w", len(c.clients), c.clients[0].server.name, err)
	}
	return nil
}

func (c *crowd) close() {
	for _, client := range c.clients {
		client.close()
	}
	for _, l := range c.loops {
		l.close()
	}
}

// each has every client do something, again whenever something has come for it, until it returns something else than
// errMore. It ends with the first error.
func (c *crowd) each(ctx context.Context, do func(c *client) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var wg sync.WaitGroup
	for _, l := range c.loops {
		wg.Go(func() {
			if err := l.run(ctx, do); err != nil {
				cancel(err)
			}
		})
	}
	wg.Wait()
	return context.Cause(ctx)
}

// while publishes and has every client do something at the same time, and waits for all. When one fails, the others are
// not waited for, since they may wait for what never comes.
func (c *crowd) while(ctx context.Context, publish func(ctx context.Context) error, do func(c *client) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	published := make(chan error, 1)
	go func() { published <- publish(ctx) }()
	err := c.each(ctx, do)
	if err != nil {
		cancel()
	}
	if failed := <-published; err == nil {
		err = failed
	}
	return err
}

// comeBack connects and says who the client is, and returns when what it is told then is as wanted.
func (c *client) comeBack(wanted func(*client) error) error {
	if err := c.connect(); err != nil {
		return err
	}
	if err := c.ask(); err != nil {
		return err
	}
	return wanted(c)
}

// connect goes through the handshake.
func (c *client) connect() error {
	if c.shaken {
		return nil
	}
	if c.conn == nil {
		if err := c.loop.dial(c); err != nil {
			return err
		}
		if err := c.sayHello(c.server.host(), c.speaks.path(), c.speaks.protocol()); err != nil {
			return err
		}
	}
	if err := c.greeted(c.speaks.protocol()); err != nil {
		return err
	}
	c.shaken = true
	c.loop.underWay--
	return nil
}

// ask sends the client's question, once.
func (c *client) ask() error {
	if c.asked {
		return nil
	}
	c.asked = true
	if len(c.question) == 0 {
		return nil
	}
	return c.say(c.question)
}

// loop waits for what comes for its clients and has them read it, all into one buffer.
type loop struct {
	poll     poll
	clients  []*client
	buf      []byte
	most     int // handshakes under way at once
	underWay int
}

func newLoop(clients []*client, most int) (*loop, error) {
	p, err := newPoll()
	if err != nil {
		return nil, err
	}
	l := &loop{poll: p, clients: clients, buf: make([]byte, 256<<10), most: most}
	for _, c := range clients {
		c.loop = l
	}
	return l, nil
}

func (l *loop) close() { l.poll.close() }

// dial connects a client. The loop knows it by its place.
func (l *loop) dial(c *client) error {
	conn, err := dialSocket(c.server.host())
	if err != nil {
		return err
	}
	c.conn = conn
	l.underWay++
	return l.poll.add(conn, c.user-l.clients[0].user)
}

// run is each for the clients of one loop.
func (l *loop) run(ctx context.Context, do func(*client) error) error {
	done := make([]bool, len(l.clients))
	left, begun := len(l.clients), 0
	serve := func(i int) error {
		c := l.clients[i]
		if done[i] {
			return nil // what comes for it is for later
		}
		c.lend(l.buf)
		err := do(c)
		l.buf = c.takeBack()
		if errors.Is(err, errMore) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("client %d: %w", c.user, err)
		}
		done[i] = true
		left--
		return nil
	}
	for left > 0 {
		patience := 100 * time.Millisecond
		for n := 0; n < 32 && begun < len(l.clients) && l.underWay < l.most; n++ {
			if err := serve(begun); err != nil {
				return err
			}
			begun++
			patience = 0
		}
		if left == 0 {
			return nil
		}
		ready, err := l.poll.wait(patience)
		if err != nil {
			return err
		}
		busy := false
		for _, i := range ready {
			if busy = busy || !done[i]; i >= begun {
				continue
			}
			if err := serve(i); err != nil {
				return err
			}
		}
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		if !busy && len(ready) > 0 { // only such as are done: their turn comes later
			time.Sleep(time.Millisecond)
		}
	}
	return nil
}
