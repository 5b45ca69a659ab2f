package delivery

import (
	"context"
	"sync"
	"time"
)

// fillers are the readings of the feed that are under way for subscriptions, one each at most, so that nobody who writes to
// a client waits for the database.
type fillers struct {
	mu      sync.Mutex
	ended   bool
	cancels map[*Subscription]context.CancelFunc
	running sync.WaitGroup
}

// begin has a subscription's reading done in a goroutine, whose context ends after the timeout or when it is given up.
// It answers false when the hub has ended.
func (f *fillers) begin(s *Subscription, timeout time.Duration, read func(context.Context)) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.ended {
		return false
	}
	ctx, cancel := context.WithTimeout(context.Background(), timeout)
	f.cancels[s] = cancel
	f.running.Go(func() {
		defer f.done(s, cancel)
		read(ctx)
	})
	return true
}

func (f *fillers) done(s *Subscription, cancel context.CancelFunc) {
	cancel()
	f.mu.Lock()
	defer f.mu.Unlock()
	delete(f.cancels, s)
}

// giveUp ends the reading of a subscription that is closed.
func (f *fillers) giveUp(s *Subscription) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if cancel, ok := f.cancels[s]; ok {
		cancel()
	}
}

// count is how many readings are under way.
func (f *fillers) count() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return int64(len(f.cancels))
}

// end gives all readings up and waits for their ends. None begins afterwards.
func (f *fillers) end() {
	f.mu.Lock()
	f.ended = true
	for _, cancel := range f.cancels {
		cancel()
	}
	f.mu.Unlock()
	f.running.Wait()
}
