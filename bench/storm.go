package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"github.com/orderlog/orderlog/bench/peers/peer"
	"github.com/orderlog/orderlog/domain"
)

const (
	stormClients = 5000
	stormBehind  = 100 // events
	stormRounds  = 5
	// stormDials bounds how many handshakes are under way at once, because the kernel's queue of connections that are not
	// accepted yet has room for 4,096: those beyond would try again a second later, which is no server's doing.
	stormDials = 2000
)

// storm is clients that come back at once.
type storm struct {
	server  *server
	speaks  dialect
	role    domain.Role // at ours; empty: a customer
	after   point       // where each was
	stride  int         // from the number of one event to that of the next; 0: 1
	buffers [][]byte    // that the clients read into
	// gathered has all connect first, and only then say who they are: so only the recovery is measured.
	gathered bool
}

func newBuffers(n, size int) [][]byte {
	buffers := make([][]byte, n)
	for i := range buffers {
		buffers[i] = make([]byte, size)
	}
	return buffers
}

// took is how long a storm took, and what it costs for each client.
type took struct {
	connected, caughtUp time.Duration
	each                cost
}

func (t took) String() string {
	return fmt.Sprintf("%s (connected after %s; %s a client)", t.caughtUp.Round(time.Millisecond), t.connected.Round(time.Millisecond), t.each)
}

// run has all come back, and waits until each has been told all that it missed. Those who have it stay until the end.
func (s storm) run(ctx context.Context) (t took, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clients := make(crowd, stormClients)
	defer clients.close()
	all, err := s.server.costs(func() (err error) {
		t, err = s.comeBack(ctx, clients)
		return err
	})
	t.each = all.per(stormClients)
	return t, err
}

func (s storm) comeBack(ctx context.Context, clients crowd) (t took, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	fail := func(i int, err error) {
		if err != nil {
			cancel(fmt.Errorf("client %d: %w", i, err))
		}
	}
	var connected, caughtUp sync.WaitGroup
	connected.Add(len(clients))
	begin := make(chan struct{})
	dials := make(chan struct{}, stormDials)
	began := time.Now()
	for i := range clients {
		caughtUp.Go(func() {
			dials <- struct{}{}
			c, err := dial(ctx, s.server, s.speaks, i, s.buffers[i])
			clients[i] = c
			<-dials
			connected.Done()
			if err != nil {
				fail(i, err)
				return
			}
			if s.gathered {
				<-begin
			}
			fail(i, s.recovered(c))
		})
	}
	connected.Wait()
	t.connected = time.Since(began)
	if s.gathered {
		began = time.Now()
		close(begin)
	}
	caughtUp.Wait()
	t.caughtUp = time.Since(began)
	return t, context.Cause(ctx)
}

// recovered has a client told all that it missed.
func (s storm) recovered(c *client) error {
	c.role, c.stride = s.role, s.stride
	err := s.speaks.recover(c, s.after)
	if last := s.after.n + stormBehind*max(s.stride, 1); err == nil && c.last != last {
		err = fmt.Errorf("it was told of events up to %d, not %d", c.last, last)
	}
	return err
}

// compareStorms runs two storms in turn and returns how many times as long as the first the second takes.
func compareStorms(ctx context.Context, out io.Writer, names [2]string, storms [2]storm) (r ratios, err error) {
	for round := range rounds(stormRounds) {
		var t [2]took
		for i := range storms {
			i := (i + round) % 2 // they take turns in who goes first
			if t[i], err = storms[i].run(ctx); err != nil {
				return nil, fmt.Errorf("round %d, %s: %w", round+1, names[i], err)
			}
		}
		fmt.Fprintf(out, "round %d: %s %s, %s %s\n", round+1, names[0], t[0], names[1], t[1])
		r = append(r, t[1].caughtUp.Seconds()/t[0].caughtUp.Seconds())
	}
	return r, nil
}

// benchStorm has 5,000 clients come back at once, each of them behind by the same events, which a server still has in
// memory. It is measured until the last of them has been told all: from the first handshake on, as they come back, and
// for the recovery alone from when all are connected.
func benchStorm(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d clients at once, each %d events of %d bytes behind\n", machine(), stormClients, stormBehind, eventBytes)
	fmt.Fprintln(out, "the processor time is the server's/the clients'")
	buffers := newBuffers(stormClients, 64<<10)
	if err := stormBesideCentrifuge(ctx, out, buffers); err != nil {
		return err
	}
	return stormFromLog(ctx, out, url, buffers)
}

func stormBesideCentrifuge(ctx context.Context, out io.Writer, buffers [][]byte) error {
	ours, err := startOurs("")
	if err != nil {
		return err
	}
	defer ours.stop()
	centrifuge, err := startPeer(ctx, "centrifuge", centrifugeDialect)
	if err != nil {
		return err
	}
	defer centrifuge.stop()
	const published = 10 * stormBehind
	for _, s := range []*server{ours, centrifuge} {
		if err := s.publish(ctx, peer.Plan{From: 1, Messages: published, Bytes: eventPad}); err != nil {
			return err
		}
	}
	c, err := dial(ctx, centrifuge, centrifugeDialect, 0, buffers[0])
	if err != nil {
		return err
	}
	end, err := centrifugeDialect.end(c)
	c.close()
	if err == nil && end.n != published {
		err = fmt.Errorf("centrifuge's channel ends at %d, not %d", end.n, published)
	}
	if err != nil {
		return err
	}
	after := point{n: published - stormBehind, epoch: end.epoch}
	for _, gathered := range []bool{false, true} {
		name, whence := "storm", "from the first handshake"
		if gathered {
			name, whence = "storm_recovery", "when all are connected already"
		}
		fmt.Fprintln(out, whence+":")
		r, err := compareStorms(ctx, out, [2]string{"orderlog", "centrifuge"}, [2]storm{
			{server: ours, speaks: batchDialect, after: after, buffers: buffers, gathered: gathered},
			{server: centrifuge, speaks: centrifugeDialect, after: after, buffers: buffers, gathered: gathered},
		})
		if err != nil {
			return err
		}
		result(out, name, "centrifuge", r, 3, false)
	}
	return nil
}
