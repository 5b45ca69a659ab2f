package main

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"
)

// load is the result of one round: how much was done, in how long, and how long each piece took.
type load struct {
	done     int
	elapsed  time.Duration
	latency  []time.Duration
	firstErr error
}

func (l load) rate() float64 { return float64(l.done) / l.elapsed.Seconds() }

func (l load) percentile(p float64) time.Duration { return percentile(l.latency, p) }

func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(p*float64(len(sorted))), len(sorted)-1)]
}

// drive has workers do work as fast as they can for a while. work is called with the worker's number and
// how often that worker did it before.
func drive(ctx context.Context, workers int, during time.Duration, work func(ctx context.Context, worker, n int) error) load {
	var mu sync.Mutex
	var total load
	var wg sync.WaitGroup
	start := time.Now()
	for w := range workers {
		wg.Go(func() {
			var own []time.Duration
			var err error
			for n := 0; err == nil && time.Since(start) < during; n++ {
				began := time.Now()
				if err = work(ctx, w, n); err == nil {
					own = append(own, time.Since(began))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			total.latency = append(total.latency, own...)
			if total.firstErr == nil {
				total.firstErr = err
			}
		})
	}
	wg.Wait()
	total.elapsed = time.Since(start)
	total.done = len(total.latency)
	slices.Sort(total.latency)
	return total
}

// ratios are one figure of ours over the peer's, a value a round.
type ratios []float64

func (r ratios) String() string { return fmt.Sprintf("ratio=%.2f spread=%s", r.median(), r.spread()) }

func (r ratios) spread() string {
	return fmt.Sprintf("%.2f..%.2f", slices.Min(r), slices.Max(r))
}

func (r ratios) median() float64 { return slices.Sorted(slices.Values(r))[len(r)/2] }
