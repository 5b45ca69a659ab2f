package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/orderlog/orderlog/bench/peers/peer"
	"github.com/orderlog/orderlog/domain"
)

const (
	stormClients = 5000
	stormBehind  = 100 // events
	stormRounds  = 5
)

// storm is clients that come back at once.
type storm struct {
	server *server
	speaks dialect
	role   domain.Role // at ours; empty: a customer
	after  point       // where each was
	stride int         // from the number of one event to that of the next; 0: 1
	// gathered has all connect first, and only then say who they are: so only the recovery is measured.
	gathered bool
}

// took is how long a storm took, and what it costs for each client.
type took struct {
	connected, caughtUp time.Duration
	each                cost
}

func (t took) String() string {
	before := ""
	if t.connected > 0 {
		before = fmt.Sprintf("connected in %s before; ", t.connected.Round(time.Millisecond))
	}
	return fmt.Sprintf("%s (%s%s a client)", t.caughtUp.Round(time.Millisecond), before, t.each)
}

// run has all come back, and waits until each has been told all that it missed. Those who have it stay until the end.
func (s storm) run(ctx context.Context) (t took, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	clients, err := newCrowd(s.server, s.speaks, stormClients)
	if err != nil {
		return t, err
	}
	defer clients.close()
	for _, c := range clients.clients {
		c.role, c.stride = s.role, s.stride
		c.question = s.speaks.question(c, &s.after)
	}
	all, err := s.server.costs(func() (err error) {
		t, err = s.comeBack(ctx, clients)
		return err
	})
	t.each = all.per(stormClients)
	return t, err
}

func (s storm) comeBack(ctx context.Context, clients *crowd) (t took, err error) {
	began := time.Now()
	if s.gathered {
		if err := clients.each(ctx, (*client).connect); err != nil {
			return t, err
		}
		t.connected = time.Since(began)
		began = time.Now()
	}
	err = clients.each(ctx, func(c *client) error { return c.comeBack(s.recovered) })
	t.caughtUp = time.Since(began)
	return t, err
}

// recovered has a client told all that it missed.
func (s storm) recovered(c *client) error {
	err := s.speaks.recovered(c)
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
	if err := stormBesideCentrifuge(ctx, out); err != nil {
		return err
	}
	return stormFromLog(ctx, out, url)
}

func stormBesideCentrifuge(ctx context.Context, out io.Writer) error {
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
	end, err := centrifugeEnd(ctx, centrifuge)
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
			{server: ours, speaks: batchDialect, after: after, gathered: gathered},
			{server: centrifuge, speaks: centrifugeDialect, after: after, gathered: gathered},
		})
		if err != nil {
			return err
		}
		result(out, name, "centrifuge", r, 3, false)
	}
	return nil
}

// centrifugeEnd is the point that the channel of all is at.
func centrifugeEnd(ctx context.Context, s *server) (end point, err error) {
	one, err := newCrowd(s, centrifugeDialect, 1)
	if err != nil {
		return end, err
	}
	defer one.close()
	one.clients[0].question = centrifugeDialect.question(one.clients[0], nil)
	err = one.each(ctx, func(c *client) error {
		return c.comeBack(func(c *client) (err error) { end, err = centrifugeDialect.end(c); return err })
	})
	return end, err
}
