package delivery

import (
	"context"
	"errors"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/delivery/deliverytest"
)

func TestCursorOlderThanRetentionIsToldSo(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	for range 10 {
		feed.Add("all")
	}
	hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"all"}, 3, 0)
	feed.Drop(5) // after the client's cursor was found good
	if _, err := s.Poll(t.Context(), 10); !errors.Is(err, ErrExpired) {
		t.Fatalf("got %v", err)
	}
	s.Reset(8)
	wantFrames(t, s, 9, 10)
	if _, err := hub.Read(t.Context(), []string{"all"}, 4, 10); !errors.Is(err, ErrExpired) {
		t.Fatalf("Read: %v", err)
	}
	page, err := hub.Read(t.Context(), []string{"all"}, 5, 3)
	if err != nil || !slices.Equal(seqs(page.Frames), []int64{6, 7, 8}) || !page.More || page.Position != 8 {
		t.Fatalf("%v, %+v, %v", seqs(page.Frames), page, err)
	}
}

func TestCatchingUpIsTriedAgainAfterAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		for range 5 {
			feed.Add("all")
		}
		failures := 3
		feed.OnRead(func() error {
			if failures--; failures >= 0 {
				return errors.New("the database is away")
			}
			return nil
		})
		hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
		mustStep(t, hub)
		s := subscribe(t, hub, []string{"all"}, 0, 0)
		wantNext(t, s, 1, 2, 3, 4, 5)
		s.Close()
	})
}

func TestIdenticalReadingsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		for range 5 {
			feed.Add("all")
		}
		release := make(chan struct{})
		feed.OnRead(func() error { <-release; return nil })
		hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
		mustStep(t, hub)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				s := subscribe(t, hub, []string{"all", "role:admin"}, 0, 0)
				defer s.Close()
				wantNext(t, s, 1, 2, 3, 4, 5)
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if feed.Reads() != 1 || hub.Stats().SharedReadings != 9 {
			t.Errorf("%d readings, %d shared", feed.Reads(), hub.Stats().SharedReadings)
		}
	})
}

func TestReaderWhoGoesAwayDoesNotSpoilAReadingForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		for range 5 {
			feed.Add("all")
		}
		ctx, cancel := context.WithCancel(t.Context())
		feed.OnRead(func() error {
			<-ctx.Done()
			feed.OnRead(nil)
			return ctx.Err()
		})
		hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
		mustStep(t, hub)
		first, second := subscribe(t, hub, []string{"all"}, 0, 0), subscribe(t, hub, []string{"all"}, 0, 0)
		gone := make(chan error)
		go func() {
			_, err := first.Next(ctx, 10)
			gone <- err
		}()
		synctest.Wait()
		got := make(chan struct{})
		go func() {
			defer close(got)
			wantNext(t, second, 1, 2, 3, 4, 5)
		}()
		synctest.Wait()
		cancel()
		if err := <-gone; !errors.Is(err, context.Canceled) {
			t.Errorf("the first got %v", err)
		}
		<-got
	})
}

func TestReadingsAtOnceAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		for range 20 {
			feed.Add("all")
		}
		var mu sync.Mutex
		running, most := 0, 0
		feed.OnRead(func() error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		})
		hub := newHub(feed, func(c *Config) { c.RingFrames, c.Readers = 1, 3 })
		mustStep(t, hub)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				s := subscribe(t, hub, []string{"all"}, int64(i), 0)
				defer s.Close()
				if _, err := s.Next(t.Context(), 100); err != nil {
					t.Errorf("Next: %v", err)
				}
			})
		}
		wg.Wait()
		if most != 3 {
			t.Errorf("%d readings at once", most)
		}
	})
}

func TestBoundsAreOfAfterTheCallAndSharedInAStorm(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		hub := newHub(feed, nil)
		for want := range int64(3) { // nobody is answered with what was known before
			if b, err := hub.Bounds(t.Context()); err != nil || b.Head != want {
				t.Fatalf("%+v, %v; want head %d", b, err, want)
			}
			feed.Add("all")
		}
		before := feed.BoundsReads()
		hold := make(chan struct{})
		feed.OnBounds(func() { <-hold })
		var storm sync.WaitGroup
		storm.Go(func() { _, _ = hub.Bounds(t.Context()) })
		synctest.Wait()
		feed.Add("all") // after the reading began, before the others ask
		for range 50 {
			storm.Go(func() {
				if b, err := hub.Bounds(t.Context()); err != nil || b.Head != 4 {
					t.Errorf("%+v, %v; want head 4", b, err)
				}
			})
		}
		synctest.Wait()
		<-time.After(time.Millisecond)
		close(hold)
		storm.Wait()
		if n := feed.BoundsReads() - before; n != 2 {
			t.Errorf("%d readings", n)
		}
	})
}
