package nemesis

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/faults/cluster"
	"github.com/orderlog/orderlog/faults/history"
)

// Run breaks what is planned and writes it down. It returns when all is mended again, also when ctx ends before. An error is
// of the suite: something could not be broken, or not be mended.
func Run(ctx context.Context, c *cluster.Cluster, plan []Fault, h *history.History) error {
	began := time.Now()
	free := make(map[string]*sync.Mutex)
	for _, f := range plan {
		for _, p := range f.parts(c.Nodes()) {
			free[p] = &sync.Mutex{}
		}
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, f := range plan {
		g.Go(func() error {
			if wait(ctx, time.Until(began.Add(f.At))) != nil {
				return nil
			}
			// A fault that takes longer than was planned holds up the next one of the same part. In order of their names,
			// so that two never wait for each other.
			parts := f.parts(c.Nodes())
			slices.Sort(parts)
			for _, p := range parts {
				free[p].Lock()
				defer free[p].Unlock()
			}
			return inflict(ctx, c, f, h)
		})
	}
	return g.Wait()
}

// inflict breaks one thing for a while.
func inflict(ctx context.Context, c *cluster.Cluster, f Fault, h *history.History) error {
	if ctx.Err() != nil {
		return nil
	}
	note := history.Fault{Kind: f.Kind, Began: h.Now()}
	if f.Node >= 0 {
		note.Target = fmt.Sprintf("node %d", f.Node)
	}
	mending := context.WithoutCancel(ctx)
	end, err := kindOf(f.Kind).begin(mending, c, f)
	if err != nil {
		return fmt.Errorf("break %s: %w", f.Kind, err)
	}
	_ = wait(ctx, f.For)
	if note.Detail, err = end(); err != nil {
		return fmt.Errorf("mend %s: %w", f.Kind, err)
	}
	note.Ended = h.Now()
	h.AddFault(note)
	return nil
}

// Tally counts faults by kind.
func Tally(faults []history.Fault) (names []string, count map[string]int) {
	count = make(map[string]int)
	for _, f := range faults {
		count[f.Kind]++
	}
	return slices.Sorted(maps.Keys(count)), count
}

// wait waits unless ctx ends before.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
