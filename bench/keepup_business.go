package main

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/eventstore"
)

const (
	businessWriters = 64
	businessQueue   = 64 // appends that wait for each writer
)

// business appends what happens in one, each event by itself and with the version that its stream must have. What
// happens on one stream is appended by one writer, in its order.
type business struct {
	store    *eventstore.Store
	f        *filler
	versions map[eventstore.StreamID]int64
	ready    []eventstore.Append // what happens next, made before it is needed
}

func newBusiness(store *eventstore.Store) *business {
	return &business{
		store: store, versions: map[eventstore.StreamID]int64{},
		f: &filler{shift: "now", couriers: map[string]*carrying{}, versions: map[eventstore.StreamID]int64{}},
	}
}

// unpaced is the rate of one that is held up by its writers alone.
func unpaced() float64 { return 1e9 }

// append goes on for a while at a rate, in events a second, and returns what it came to. It is over when all that was
// begun is answered.
func (b *business) append(ctx context.Context, rate func() float64, during time.Duration) (float64, error) {
	const most = 40_000 // a second, that are made before: they are not to cost anything while the clock runs
	if err := b.prepare(int(min(rate(), most) * during.Seconds())); err != nil {
		return 0, err
	}
	ctx, fail := context.WithCancelCause(ctx)
	defer fail(nil)
	var done atomic.Int64
	var writing sync.WaitGroup
	queues := make([]chan eventstore.Append, businessWriters)
	for i := range queues {
		queue := make(chan eventstore.Append, businessQueue)
		queues[i] = queue
		writing.Go(func() {
			for a := range queue {
				if ctx.Err() != nil {
					continue // only until the queue is closed
				}
				if _, err := b.store.Append(ctx, a); err != nil {
					fail(fmt.Errorf("append to %s: %w", a.Streams[0].Stream, err))
					continue
				}
				done.Add(1)
			}
		})
	}
	began := time.Now()
	b.dispatch(ctx, queues, rate, during, fail)
	for _, q := range queues {
		close(q)
	}
	writing.Wait()
	took := time.Since(began)
	if err := context.Cause(ctx); err != nil {
		return 0, err
	}
	return float64(done.Load()) / took.Seconds(), nil
}

// dispatch hands the writers what is due, every millisecond.
func (b *business) dispatch(ctx context.Context, queues []chan eventstore.Append, rate func() float64, during time.Duration, fail context.CancelCauseFunc) {
	began := time.Now()
	last, due := began, 0.0
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for {
		now := time.Now()
		if now.Sub(began) >= during || ctx.Err() != nil {
			return
		}
		due = min(due+rate()*now.Sub(last).Seconds(), rate()/10+1) // what could not be done is not made up for
		for last = now; due >= 1 && time.Since(began) < during; due-- {
			a, err := b.next()
			if err != nil {
				fail(err)
				return
			}
			id := a.Streams[0].Stream.ID
			select {
			case queues[(int(id[14])<<8|int(id[15]))%len(queues)] <- a:
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

// prepare makes the next appends, so that so many are there.
func (b *business) prepare(n int) error {
	for len(b.ready) < n {
		a, err := b.make()
		if err != nil {
			return err
		}
		b.ready = append(b.ready, a)
	}
	return nil
}

func (b *business) next() (eventstore.Append, error) {
	if len(b.ready) == 0 {
		return b.make()
	}
	a := b.ready[0]
	b.ready = b.ready[1:]
	return a, nil
}

// make makes an append of what happens next. What the reactions of a node append is left to them.
func (b *business) make() (eventstore.Append, error) {
	for {
		for len(b.f.out) == 0 {
			b.f.next()
		}
		r := b.f.out[0]
		b.f.out = b.f.out[1:]
		if _, ok := r.event.(inbox.Entered); ok {
			continue
		}
		typ, data, err := domain.Encode(r.event)
		if err != nil {
			return eventstore.Append{}, err
		}
		version := b.versions[r.stream]
		b.versions[r.stream]++
		return eventstore.Append{Meta: r.by, Streams: []eventstore.StreamAppend{{
			Stream: r.stream, Expected: version, Events: []eventstore.NewEvent{{Type: typ, Data: json.RawMessage(data)}},
		}}}, nil
	}
}
