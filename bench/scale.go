package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/bench/peers/peer"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

const (
	scaleRounds     = 5
	scaleDeliveries = 1_000_000 // a round, at least: the processor time is told in hundredths of a second
	scaleClients    = 1000      // that are in more and more channels
	ownChannels     = 3         // of a client that is in no room: everybody's, its role's and its own
	scaleWriters    = 64
)

var (
	scaleConnections = []int{1000, 100, 5000}
	scaleChannels    = []int{ownChannels, 10, 100}
)

// benchScale tells how costs grow. Of each series the first is what the others are held against. There are no targets.
func benchScale(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds in turn; events of %d bytes; the cost is the server's\n", machine(), rounds(scaleRounds), eventBytes)
	for _, speaks := range []dialect{plainDialect, batchDialect} {
		s := scaleSeries{
			what: "a delivery in " + speaks.protocol(), of: "connections", steps: scaleConnections,
			measure: func(ctx context.Context, s *server, connections int) (charge, error) {
				c, err := newCrowd(s, speaks, connections)
				if err != nil {
					return charge{}, err
				}
				defer c.close()
				if err := c.register(ctx); err != nil {
					return charge{}, err
				}
				return chargeDeliveries(ctx, s, c)
			},
		}
		if err := s.run(ctx, out); err != nil {
			return err
		}
	}
	for _, delivering := range []bool{false, true} {
		s := scaleSeries{
			what: "a registration", of: "channels a connection", steps: scaleChannels,
			measure: func(ctx context.Context, s *server, channels int) (charge, error) {
				return chargeChannels(ctx, s, channels, delivering)
			},
		}
		if delivering {
			s.what = "a delivery in " + plainDialect.protocol()
		}
		if err := s.run(ctx, out); err != nil {
			return err
		}
	}
	return scaleNodes(ctx, out, url)
}

// charge is what something costs the server.
type charge struct {
	worked             time.Duration
	allocations, bytes float64
}

func (c charge) String() string {
	return fmt.Sprintf("%s, %.3f allocations, %.0f bytes", c.worked, c.allocations, c.bytes)
}

// charged returns what n times something costs, each.
func (s *server) charged(ctx context.Context, n int, do func() error) (c charge, err error) {
	timesBefore, bytesBefore, err := s.allocated(ctx)
	if err != nil {
		return c, err
	}
	all, err := s.costs(do)
	if err != nil {
		return c, err
	}
	times, bytes, err := s.allocated(ctx)
	return charge{all.per(n).server, float64(times-timesBefore) / float64(n), float64(bytes-bytesBefore) / float64(n)}, err
}

// allocated is how often the server has allocated memory so far, and how many bytes.
func (s *server) allocated(ctx context.Context) (times, bytes uint64, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.address+"/allocated", nil)
	if err != nil {
		return 0, 0, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return 0, 0, err
	}
	_, err = fmt.Fscan(res.Body, &times, &bytes)
	return times, bytes, errors.Join(err, res.Body.Close())
}

// chargeDeliveries has events told to everybody, and each checks that all come, once and in order.
func chargeDeliveries(ctx context.Context, s *server, c *crowd) (charge, error) {
	const atOnce = 1000
	times := (scaleDeliveries + atOnce*len(c.clients) - 1) / (atOnce * len(c.clients))
	return s.charged(ctx, times*atOnce*len(c.clients), func() error {
		for range times {
			plan := peer.Plan{From: s.next, Messages: atOnce, Bytes: eventPad}
			for _, one := range c.clients {
				one.last = plan.From - 1
			}
			err := c.while(ctx, func(ctx context.Context) error { return s.publish(ctx, plan) }, func(c *client) error {
				return c.expect(plan.From + plan.Messages - 1)
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// chargeChannels has clients register that are in so many channels, and then, with delivering, be told of what is for
// everybody.
func chargeChannels(ctx context.Context, s *server, channels int, delivering bool) (charge, error) {
	c, err := newCrowd(s, plainDialect, scaleClients)
	if err != nil {
		return charge{}, err
	}
	defer c.close()
	for _, one := range c.clients {
		for n := ownChannels; n < channels; n++ {
			id := uuid.NewSHA1(uuid.Nil, fmt.Appendf(nil, "%d of %d", n, one.user))
			one.rooms = append(one.rooms, projections.ChannelOrder(id))
		}
	}
	registering, err := s.charged(ctx, scaleClients, func() error { return c.register(ctx) })
	if err != nil || !delivering {
		return registering, err
	}
	return chargeDeliveries(ctx, s, c)
}

// scaleSeries is one cost at several sizes of something.
type scaleSeries struct {
	what, of string
	steps    []int
	measure  func(ctx context.Context, s *server, step int) (charge, error)
}

func (series scaleSeries) run(ctx context.Context, out io.Writer) error {
	ours, err := startOurs("")
	if err != nil {
		return err
	}
	defer ours.stop()
	charges := make([][]charge, len(series.steps))
	for range rounds(scaleRounds) {
		for i, step := range series.steps {
			c, err := series.measure(ctx, ours, step)
			if err != nil {
				return fmt.Errorf("%s, %d %s: %w", series.what, step, series.of, err)
			}
			charges[i] = append(charges[i], c)
		}
	}
	for i, step := range series.steps {
		var beside ratios
		for round, c := range charges[i] {
			beside = append(beside, float64(c.worked)/float64(max(charges[0][round].worked, 1)))
		}
		median := slices.SortedFunc(slices.Values(charges[i]), func(a, b charge) int { return cmp.Compare(a.worked, b.worked) })[len(beside)/2]
		fmt.Fprintf(out, "%s, %5d %s: %s; beside %d: %s\n", series.what, step, series.of, median, series.steps[0], beside)
	}
	return nil
}

// scaleNodes compares the appends of one node with those of two, which share the writers: they take turns at the head of
// the log.
func scaleNodes(ctx context.Context, out io.Writer, url string) error {
	return withStore(ctx, url, func(one *eventstore.Store) error {
		return withStore(ctx, url, func(two *eventstore.Store) error {
			nodes := []*eventstore.Store{one, two}
			var beside ratios
			for round := range rounds(scaleRounds) + 1 {
				alone := appendLoad(ctx, one, scaleWriters, appendRound)
				both := make([]load, len(nodes))
				if err := inParallel(len(nodes), len(nodes), func(i int) error {
					both[i] = appendLoad(ctx, nodes[i], scaleWriters/len(nodes), appendRound)
					return both[i].firstErr
				}); err != nil || alone.firstErr != nil {
					return errors.Join(err, alone.firstErr)
				}
				if round == 0 { // not measured cold
					continue
				}
				together := both[0].rate() + both[1].rate()
				fmt.Fprintf(out, "%d writers: one node %.0f appends/s, p99 %s; two nodes %.0f, p99 %s and %s\n", scaleWriters, alone.rate(),
					alone.percentile(.99).Round(time.Microsecond), together, both[0].percentile(.99).Round(time.Microsecond),
					both[1].percentile(.99).Round(time.Microsecond))
				beside = append(beside, together/alone.rate())
			}
			fmt.Fprintf(out, "appends of two nodes beside those of one: %s\n", beside)
			return checkLog(ctx, out, one)
		})
	})
}
