// Package soak watches a process from the outside while it works, and judges whether what it uses grows.
//
//	w := soak.New(soak.Target{Name: "node 1", MetricsURL: url + "/metrics", PID: node.PID})
//	g.Go(func() error { return w.Run(ctx) }) // end it before the load ends
//	verdict := w.Judge()
//
// The judgement is for a constant load by a constant number of clients; see [Judge] for how it is made, and what it finds.
package soak

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"slices"
	"strconv"
	"sync"
	"time"
)

// Target is a process to watch.
type Target struct {
	// Name is for people.
	Name string
	// MetricsURL is where it tells its figures to Prometheus.
	MetricsURL string
	// PID tells its process, on this machine. nil: its own word is taken for its memory and files. An error of /proc, since
	// the process has ended, is a sample that was missed.
	PID func() int
	// Every is the time between samples. 0: 5 s.
	Every time.Duration
	// Least is how long a process has to be watched after its warm-up for a judgement. 0: 2 min.
	Least time.Duration
}

// Watch is the samples of a process. It is safe for concurrent use.
type Watch struct {
	target Target

	mu      sync.Mutex
	samples []Sample
	missed  int
	lastErr error
}

// New returns a watch that begins with Run.
func New(t Target) *Watch {
	if t.Every == 0 {
		t.Every = 5 * time.Second
	}
	if t.Least == 0 {
		t.Least = 2 * time.Minute
	}
	return &Watch{target: t}
}

// Run takes samples until ctx ends, and then returns nil: a process that does not answer is not an error, since it may be
// down because somebody wants it to be.
func (w *Watch) Run(ctx context.Context) error {
	began := time.Now()
	tick := time.NewTicker(w.target.Every)
	defer tick.Stop()
	for {
		w.sample(ctx, began)
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (w *Watch) sample(ctx context.Context, began time.Time) {
	asking, cancel := context.WithTimeout(ctx, max(w.target.Every, 2*time.Second))
	defer cancel()
	s, err := w.target.take(asking)
	s.At = time.Since(began)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case err == nil:
		w.samples = append(w.samples, s)
	case ctx.Err() == nil:
		w.missed, w.lastErr = w.missed+1, err
	}
}

// Samples are those taken so far.
func (w *Watch) Samples() []Sample {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.samples)
}

// Missed tells how many samples could not be taken, and why the last of them.
func (w *Watch) Missed() (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.missed, w.lastErr
}

// Judge judges what was seen so far.
func (w *Watch) Judge() Verdict {
	v := Judge(w.Samples(), w.target.Least)
	v.Name = w.target.Name
	return v
}

// Together judges processes that share their clients, who may go from one to another: by the sums of what they use. A
// restart of one begins a new life of all.
func Together(name string, watches ...*Watch) Verdict {
	if len(watches) == 0 {
		return Verdict{Name: name}
	}
	sums := watches[0].Samples()
	least := watches[0].target.Least
	for _, w := range watches[1:] {
		least = max(least, w.target.Least)
		sums = added(sums, w.Samples())
	}
	v := Judge(sums, least)
	v.Name = name
	return v
}

// added adds to each sample the last one that another process had by then; there is none where it had none yet.
func added(to, others []Sample) (sums []Sample) {
	next := 0
	for _, s := range to {
		for next < len(others) && others[next].At <= s.At {
			next++
		}
		if next == 0 {
			continue
		}
		o := others[next-1]
		s.Started += o.Started
		s.Goroutines, s.Files = s.Goroutines+o.Goroutines, s.Files+o.Files
		s.HeapGoal, s.Resident, s.Ring = s.HeapGoal+o.HeapGoal, s.Resident+o.Resident, s.Ring+o.Ring
		sums = append(sums, s)
	}
	return sums
}

// WriteCSV writes the samples, a line each.
func (w *Watch) WriteCSV(out io.Writer) error {
	c := csv.NewWriter(out)
	lines := [][]string{{"seconds", "started", "goroutines", "files", "heap_goal_bytes", "resident_bytes", "ring_bytes"}}
	for _, s := range w.Samples() {
		var line []string
		for _, v := range []float64{s.At.Seconds(), s.Started, s.Goroutines, s.Files, s.HeapGoal, s.Resident, s.Ring} {
			line = append(line, strconv.FormatFloat(v, 'f', -1, 64))
		}
		lines = append(lines, line)
	}
	if err := c.WriteAll(lines); err != nil {
		return fmt.Errorf("soak: %w", err)
	}
	return nil
}
