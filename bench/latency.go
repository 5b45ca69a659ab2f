package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/eventstore"
)

const (
	latencyRate        = 1000 // events a second
	latencyRound       = 3 * time.Second
	latencyConnections = 1000 // an admin, who is told of every event, and customers, each of them of its own
	latencyMedian      = 3 * time.Millisecond
	latencyTail        = 15 * time.Millisecond
	benchSecret        = "a secret for benchmarks, 32 bytes or more"
)

// benchLatency runs the real server in a process of its own, appends to its database from here, and reads over its
// sockets: so both ends of what is measured have one clock. What is appended are places of couriers, one a second for
// each order, as their phones send them: the server adds no events of its own to those.
func benchLatency(ctx context.Context, out io.Writer, url string) error {
	fmt.Fprintf(out, "%s; %d rounds of %s at %d events a second, %d connections\n",
		machine(), appendRounds, latencyRound, latencyRate, latencyConnections)
	program, remove, err := buildProgram(ctx)
	if err != nil {
		return err
	}
	defer remove()
	address, stop, err := program.serve(url)
	if err != nil {
		return err
	}
	defer stop()
	return withStore(ctx, url, func(store *eventstore.Store) error { return measureLatency(ctx, out, store, address) })
}

// withStore does something with a store that runs in this process.
func withStore(ctx context.Context, url string, do func(*eventstore.Store) error) error {
	pool, err := newPool(ctx, url, 8)
	if err != nil {
		return err
	}
	defer pool.Close()
	store := eventstore.Open(pool, eventstore.Options{})
	running, cancel := context.WithCancel(ctx)
	ended := make(chan error, 1)
	go func() { ended <- store.Run(running) }()
	err = do(store)
	cancel()
	return errors.Join(err, <-ended)
}

func measureLatency(ctx context.Context, out io.Writer, store *eventstore.Store, address string) error {
	t := &tracking{store: store, trips: make([]trip, latencyConnections-1)}
	for i := range t.trips {
		t.trips[i].order = uuid.New()
	}
	followers, err := t.connect(ctx, address)
	defer func() {
		for _, f := range followers {
			if f != nil {
				f.close()
			}
		}
	}()
	if err != nil {
		return fmt.Errorf("connect: %w", err)
	}
	var medians, tails ratios
	for round := range rounds(appendRounds) + 1 {
		latencies, err := t.round(ctx, followers)
		if err != nil {
			return fmt.Errorf("round %d: %w", round, err)
		}
		if round == 0 { // neither side is measured cold
			continue
		}
		median, tail := percentile(latencies, .5), percentile(latencies, .99)
		fmt.Fprintf(out, "%6d deliveries  p50 %9s  p99 %9s  max %9s\n", len(latencies), median.Round(time.Microsecond),
			tail.Round(time.Microsecond), latencies[len(latencies)-1].Round(time.Microsecond))
		medians = append(medians, float64(median)/float64(latencyMedian))
		tails = append(tails, float64(tail)/float64(latencyTail))
	}
	result(out, "commit_to_client_p50", "goal_3ms", medians, 1, true)
	result(out, "commit_to_client_p99", "goal_15ms", tails, 1, true)
	return nil
}

// tracking is orders that are carried, and who follows them.
type tracking struct {
	store *eventstore.Store
	trips []trip
}

// trip is an order on its way. Its places are appended one after the other.
type trip struct {
	sync.Mutex
	order  uuid.UUID
	places int64
}

// arrival is an event at a client.
type arrival struct {
	seq int64
	at  time.Time
}

func customerOf(i int) string { return fmt.Sprintf("customer-%d", i) }

// connect has the customers and, last, the admin follow.
func (t *tracking) connect(ctx context.Context, address string) ([]*follower, error) {
	followers := make([]*follower, len(t.trips)+1)
	return followers, inParallel(16, len(followers), func(i int) error {
		user, role := customerOf(i), domain.RoleCustomer
		if i == len(t.trips) {
			user, role = "boss", domain.RoleAdmin
		}
		token, err := tokenOf(user, role)
		if err != nil {
			return err
		}
		if followers[i], err = dialFollower(ctx, address, make([]byte, 8<<10)); err != nil {
			return err
		}
		return followers[i].register(token, -1)
	})
}

// round appends at the rate, and returns how long it took from each acknowledgement to each arrival of that event.
func (t *tracking) round(ctx context.Context, followers []*follower) ([]time.Duration, error) {
	const events = int(latencyRate * latencyRound / time.Second)
	arrivals := make([][]arrival, len(followers))
	errs := make([]error, len(followers))
	var reading sync.WaitGroup
	for i, f := range followers {
		expected := events
		if i < len(t.trips) {
			expected = (events + len(t.trips) - 1 - i) / len(t.trips)
		}
		reading.Go(func() { arrivals[i], errs[i] = f.arrivals(expected) })
	}
	acknowledged, err := t.append(ctx, events)
	reading.Wait()
	if err := errors.Join(append(errs, err)...); err != nil {
		return nil, err
	}
	latencies := make([]time.Duration, 0, 2*events)
	for i, came := range arrivals {
		for _, a := range came {
			k, ok := acknowledged[a.seq]
			if !ok || i < len(t.trips) && k.trip != i {
				return nil, fmt.Errorf("client %d was told of seq %d, which is not for it", i, a.seq)
			}
			latencies = append(latencies, max(a.at.Sub(k.at), 0)) // the frame may be faster than the acknowledgement
		}
	}
	slices.Sort(latencies)
	return latencies, nil
}

// arrivals reads so many events.
func (f *follower) arrivals(count int) ([]arrival, error) {
	came := make([]arrival, 0, count)
	if err := f.conn.SetReadDeadline(time.Now().Add(latencyRound + 10*time.Second)); err != nil {
		return nil, err
	}
	for len(came) < count {
		seq, err := f.event()
		if err != nil {
			return came, fmt.Errorf("after %d of %d events: %w", len(came), count, err)
		}
		came = append(came, arrival{seq, time.Now()})
	}
	return came, nil
}

// acknowledgement is when an append was answered, and of which trip it is.
type acknowledgement struct {
	trip int
	at   time.Time
}

// append adds a place to one trip after the other, each when its time has come, however long the ones before take.
func (t *tracking) append(ctx context.Context, events int) (map[int64]acknowledgement, error) {
	var mu sync.Mutex
	acknowledged := make(map[int64]acknowledgement, events)
	var failed error
	var wg sync.WaitGroup
	began := time.Now()
	for n := range events {
		time.Sleep(time.Until(began.Add(time.Duration(n) * time.Second / latencyRate)))
		wg.Go(func() {
			i := n % len(t.trips)
			seq, err := t.place(ctx, i)
			now := time.Now()
			mu.Lock()
			defer mu.Unlock()
			acknowledged[seq] = acknowledgement{i, now}
			if failed == nil {
				failed = err
			}
		})
	}
	wg.Wait()
	if rate := float64(events) / time.Since(began).Seconds(); failed == nil && rate < 0.9*latencyRate {
		failed = fmt.Errorf("only %.0f events a second could be appended", rate)
	}
	return acknowledged, failed
}

// place appends where the courier of a trip is.
func (t *tracking) place(ctx context.Context, i int) (int64, error) {
	trip := &t.trips[i]
	trip.Lock()
	defer trip.Unlock()
	speed := 4.2
	typ, data, err := domain.Encode(courier.Located{
		OrderID: trip.order, CustomerID: customerOf(i), AgentID: "courier-" + customerOf(i),
		Point: courier.Point{Latitude: 48.2, Longitude: 16.37 + float64(trip.places)/1000, Speed: &speed},
	})
	if err != nil {
		return 0, err
	}
	r, err := t.store.Append(ctx, eventstore.Append{Meta: meta, Streams: []eventstore.StreamAppend{{
		Stream: eventstore.StreamID{Type: courier.TrackStreamType, ID: trip.order}, Expected: trip.places,
		Events: []eventstore.NewEvent{{Type: typ, Data: data}},
	}}})
	trip.places++
	return r.LastSeq, err
}
