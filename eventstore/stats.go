package eventstore

import (
	"errors"
	"slices"
	"sync/atomic"
	"time"
)

// Stats counts what a store has done since it was opened. The numbers only rise, but for Queued. An append is
// counted once, in one of Appends, Conflicts, Replays, Mismatches, Failures and Overloads, unless it was
// invalid or its caller left before the appender took it.
type Stats struct {
	Appends    int64 // stored
	Events     int64 // stored
	Conflicts  int64 // refused: a stream was at another version than expected
	Replays    int64 // answered with what their idempotency key had stored before
	Mismatches int64 // refused: their idempotency key was used for something else
	Failures   int64 // the database refused them, could not be reached, or was lost at the commit
	Overloads  int64 // refused: the queue stayed full for as long as they could wait
	Batches    int64 // transactions that committed or found that there was nothing to commit
	Queued     int64 // waiting now

	// BatchSizes are the appends of each batch.
	BatchSizes Histogram
	// Durations are the seconds from the call of Append to its answer, the wait in the queue included, of the
	// appends that the appender took.
	Durations Histogram
}

// Histogram counts values by size.
type Histogram struct {
	// Bounds are the upper ends of the buckets, ascending; the last bucket, for what is greater, has none.
	Bounds []float64
	// Counts has for each bound how many values were at most that.
	Counts []uint64
	Count  uint64 // all values
	Sum    float64
}

var (
	batchBounds    = []float64{1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 2048}
	durationBounds = []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30}
)

// Stats returns a snapshot of the counters. It is safe for concurrent use.
func (s *Store) Stats() Stats {
	c := &s.counters
	return Stats{
		Appends: c.appends.Load(), Events: c.events.Load(), Conflicts: c.conflicts.Load(), Replays: c.replays.Load(),
		Mismatches: c.mismatches.Load(), Failures: c.failures.Load(), Overloads: c.overloads.Load(),
		Batches: c.batches.Load(), Queued: int64(len(s.queue)),
		BatchSizes: c.batchSizes.snapshot(batchBounds, 1),
		Durations:  c.durations.snapshot(durationBounds, float64(time.Second)),
	}
}

type counters struct {
	appends, events, conflicts, replays, mismatches, failures, overloads, batches atomic.Int64
	batchSizes, durations                                                         histogram
}

func (c *counters) batch(b BatchStats, mismatches int) {
	if b.Err != nil {
		c.failures.Add(int64(b.Appends))
		return
	}
	c.batches.Add(1)
	c.batchSizes.observe(batchBounds, float64(b.Appends), int64(b.Appends))
	c.appends.Add(int64(b.Appends - b.Conflicts - b.Replays - mismatches))
	c.events.Add(int64(b.Events))
	c.conflicts.Add(int64(b.Conflicts))
	c.replays.Add(int64(b.Replays))
	c.mismatches.Add(int64(mismatches))
}

func (c *counters) answered(d time.Duration) {
	c.durations.observe(durationBounds, d.Seconds(), int64(d))
}

func (c *counters) notTaken(err error) {
	if errors.Is(err, ErrOverloaded) {
		c.overloads.Add(1)
	}
}

// histogram is of at most 15 bounds, so that it needs no allocation and its zero value is ready. The sum is kept as a
// whole number of a unit that is small enough, because floats cannot be added atomically.
type histogram struct {
	buckets [16]atomic.Uint64
	sum     atomic.Int64
}

func (h *histogram) observe(bounds []float64, value float64, units int64) {
	n, _ := slices.BinarySearch(bounds, value) // the first bound that is not below value
	h.buckets[n].Add(1)
	h.sum.Add(units)
}

// snapshot counts from the buckets, so Count and Counts always agree; Sum may be of a moment later.
func (h *histogram) snapshot(bounds []float64, unit float64) Histogram {
	s := Histogram{Bounds: bounds, Counts: make([]uint64, len(bounds))}
	for i := range bounds {
		s.Count += h.buckets[i].Load()
		s.Counts[i] = s.Count
	}
	s.Count += h.buckets[len(bounds)].Load()
	s.Sum = float64(h.sum.Load()) / unit
	return s
}
