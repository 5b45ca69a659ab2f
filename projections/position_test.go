package projections_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/projections"
)

// checkpoint is one that is looked at, which takes a moment.
type checkpoint struct {
	at             atomic.Int64
	looks, looking int
	together       bool // two looked at it at once
}

func (c *checkpoint) read(ctx context.Context) (int64, error) {
	c.looks++
	c.looking++
	defer func() { c.looking-- }()
	c.together = c.together || c.looking > 1
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(time.Millisecond):
		return c.at.Load(), nil
	}
}

func waitWithin(t *testing.T, p interface {
	WaitFor(ctx context.Context, seq int64) error
}, patience time.Duration, seq int64,
) error {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	return p.WaitFor(ctx, seq)
}

func TestOneLooksForAllWhoWait(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c checkpoint
		p := projections.NewPosition(c.read)
		began := time.Now()
		var waiting sync.WaitGroup
		for i := range 1000 { // for what never comes: the first, who looks, gives up before the others
			waiting.Go(func() {
				if err := waitWithin(t, p, time.Second+time.Duration(i)*time.Millisecond, 1<<60); !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("waiting for what does not come: %v", err)
				}
			})
		}
		for seq := range int64(100) {
			waiting.Go(func() {
				if err := waitWithin(t, p, 2*time.Second, 1+seq); err != nil {
					t.Errorf("waiting for %d: %v", 1+seq, err)
				}
				if late := time.Since(began) - time.Second; late < 0 || late > 30*time.Millisecond {
					t.Errorf("%d, which comes after a second, was seen %s later", 1+seq, late)
				}
			})
		}
		<-time.After(time.Second)
		c.at.Store(100)
		waiting.Wait()
		if c.together || c.looks > 110 { // each by itself would look 70,000 times
			t.Errorf("in two seconds it was looked at %d times, by several at once: %t", c.looks, c.together)
		}
		if p.At() != 100 {
			t.Errorf("it was seen at %d", p.At())
		}
	})
}

func TestWhoComesWhenAnotherGivesUpDoesNotLookAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c checkpoint
		p := projections.NewPosition(c.read)
		for range 100 {
			if err := waitWithin(t, p, 5*time.Millisecond, 1); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting for what does not come: %v", err)
			}
		}
		if c.looks > 40 {
			t.Errorf("in half a second it was looked at %d times", c.looks)
		}
		<-time.After(time.Second)
		c.at.Store(1)
		if err := waitWithin(t, p, 2*time.Millisecond, 1); err != nil {
			t.Errorf("what is there when nobody has looked for a while is not seen at once: %v", err)
		}
	})
}

func TestWhatWasSeenElsewhereIsNotLookedFor(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var c checkpoint
		p := projections.NewPosition(c.read)
		p.Saw(7)
		p.Saw(3)
		if err := p.WaitFor(t.Context(), 7); err != nil || c.looks > 0 {
			t.Errorf("%v after %d looks", err, c.looks)
		}
		var waiting sync.WaitGroup
		for range 2 {
			waiting.Go(func() {
				if err := waitWithin(t, p, time.Second, 8); err != nil {
					t.Error(err)
				}
			})
		}
		<-time.After(100 * time.Millisecond)
		p.Saw(8)
		waiting.Wait()
	})
}

func TestWhoWaitsIsToldWhyItCannotBeLookedAt(t *testing.T) {
	t.Parallel()
	gone := errors.New("the database is gone")
	p := projections.NewPosition(func(context.Context) (int64, error) { return 0, gone })
	for range 2 {
		if err := p.WaitFor(t.Context(), 1); !errors.Is(err, gone) {
			t.Errorf("got %v", err)
		}
	}
}

// Anybody may ask for what is never there, without a token and as often as an address may.
func TestManyWhoWaitForTheViewsAskTheDatabaseAsOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	views := projections.NewViews(w.pool)
	before, begun := w.pool.Stat().AcquireCount(), time.Now()
	var waiting sync.WaitGroup
	for range 100 {
		waiting.Go(func() {
			if err := waitWithin(t, views, 500*time.Millisecond, 1<<60); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("waiting for what does not come: %v", err)
			}
		})
	}
	waiting.Wait()
	took := time.Since(begun)
	if asked := w.pool.Stat().AcquireCount() - before; asked > 20+int64(took/(20*time.Millisecond)) {
		t.Errorf("the database was asked %d times in %s", asked, took)
	}
}
