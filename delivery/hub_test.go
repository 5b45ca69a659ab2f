package delivery

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/projections"
)

func mustPoll(t *testing.T, s *Subscription) Batch {
	t.Helper()
	b, err := s.Poll(t.Context(), 1000)
	if err != nil {
		t.Fatalf("Poll: %v", err)
	}
	return b
}

func wantFrames(t *testing.T, s *Subscription, want ...int64) {
	t.Helper()
	if b := mustPoll(t, s); !slices.Equal(seqs(b.Frames), want) {
		t.Fatalf("got %v (caught up: %v), want %v", seqs(b.Frames), b.CaughtUp, want)
	}
}

func wantCaughtUp(t *testing.T, s *Subscription, at int64) {
	t.Helper()
	if b := mustPoll(t, s); !b.CaughtUp || b.Position != at {
		t.Fatalf("got %+v, want caught up at %d", b, at)
	}
}

func wantNothing(t *testing.T, s *Subscription) {
	t.Helper()
	if b := mustPoll(t, s); !b.Empty() {
		t.Fatalf("got %v (caught up: %v), want nothing", seqs(b.Frames), b.CaughtUp)
	}
}

func wantWoken(t *testing.T, s *Subscription) {
	t.Helper()
	select {
	case <-s.Ready():
	default:
		t.Fatal("the subscription was not woken")
	}
}

func TestFrameIsEncodedOnceForAll(t *testing.T) {
	t.Parallel()
	f, err := NewFrame(projections.Notification{
		Seq: 7, Event: "order:new", Data: json.RawMessage("{\n\"a\": 1 }"),
		At: time.Date(2026, 1, 2, 3, 4, 5, 6000, time.FixedZone("", 3600)),
	})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"prev":5,"seq":7,"event":"order:new","data":{"a":1},"at":"2026-01-02T02:04:05.000006Z"}`
	if got := string(f.Append(nil, 5)); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := string(f.Data()); got != `{"a":1}` {
		t.Errorf("data %s", got)
	}
	if _, err := NewFrame(projections.Notification{Data: json.RawMessage(`{`)}); err == nil {
		t.Error("data that is not JSON was taken")
	}
}

func TestRingIsBoundedByFramesAndBytes(t *testing.T) {
	t.Parallel()
	frame := func(seq int64) *Frame {
		return &Frame{Seq: seq, tail: make([]byte, 1000)}
	}
	check := func(r ring, wantFloor int64, wantCount int) {
		t.Helper()
		if r.floor != wantFloor || r.count != wantCount {
			t.Errorf("floor %d, %d frames; want floor %d, %d frames", r.floor, r.count, wantFloor, wantCount)
		}
		dst := make([]*Frame, r.count+1)
		if n, ok := r.copyAfter(r.floor, dst); !ok || n != r.count {
			t.Errorf("after the floor: %d frames, %v", n, ok)
		}
		if _, ok := r.copyAfter(r.floor-1, dst); ok {
			t.Error("the ring answered for what it has dropped")
		}
	}
	byFrames := ring{maxFrames: 100, maxBytes: 1 << 30}
	byBytes := ring{maxFrames: 1 << 20, maxBytes: 10 * frame(1).Size()}
	tiny := ring{maxFrames: 10, maxBytes: 1}
	for seq := int64(1); seq <= 250; seq++ {
		byFrames.push(frame(seq))
		byBytes.push(frame(seq))
		tiny.push(frame(seq))
	}
	check(byFrames, 150, 100)
	check(byBytes, 240, 10)
	check(tiny, 250, 0)
}

func TestFrameOfSeveralChannelsComesOnce(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := hub.Subscribe([]string{"all", "user:a", "order:1"}, 0, 0)
	wantCaughtUp(t, s, 0)
	feed.add("order:1", "user:a", "all")
	mustStep(t, hub)
	wantFrames(t, s, 1)
	wantNothing(t, s)
}

func TestSubscriptionAheadOfTheHubWaits(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := hub.Subscribe([]string{"all"}, 2, 0) // told by another node, or by a command's answer
	<-s.Ready()
	wantNothing(t, s)
	feed.add("all")
	mustStep(t, hub)
	wantNothing(t, s)
	if p := s.Position(); p != 2 {
		t.Fatalf("position %d", p)
	}
	feed.add("all")
	mustStep(t, hub)
	wantWoken(t, s)
	wantCaughtUp(t, s, 2)
	feed.add("all")
	mustStep(t, hub)
	wantWoken(t, s)
	wantFrames(t, s, 3)
}

func TestSubscriptionBeforeTheHubKnowsWhereToBegin(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	for range 5 {
		feed.add("all")
	}
	hub := newHub(feed, func(c *Config) { c.RingFrames = 2 })
	s := hub.Subscribe([]string{"all"}, 1, 0)
	<-s.Ready()
	wantNothing(t, s)
	mustStep(t, hub)
	wantWoken(t, s)
	wantFrames(t, s, 2, 3, 4, 5)
	wantCaughtUp(t, s, 5)
}

func TestHubStartsWithAWarmRing(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	for range 100 {
		feed.add("all")
	}
	hub := newHub(feed, func(c *Config) { c.RingFrames, c.PageSize = 30, 7 })
	mustStep(t, hub)
	s := hub.Subscribe([]string{"all"}, 70, 0)
	for range 5 {
		mustPoll(t, s)
	}
	if st := hub.Stats(); st.ReplayedRing != 30 || st.ReplayedFeed != 0 || feed.reads != 0 {
		t.Errorf("%+v, %d readings of the database", st, feed.reads)
	}
}

func TestOverflowIsReadAgainFromTheRing(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, func(c *Config) { c.QueueFrames = 3 })
	mustStep(t, hub)
	s := hub.Subscribe([]string{"all"}, 0, 0)
	wantCaughtUp(t, s, 0)
	var want []int64
	for range 10 {
		want = append(want, feed.add("all"))
	}
	mustStep(t, hub)
	if n := len(s.queue); n > 3 {
		t.Fatalf("%d frames are queued", n)
	}
	wantFrames(t, s, want...)
	wantCaughtUp(t, s, 10)
	if st := hub.Stats(); st.Overflows != 1 || feed.reads != 0 {
		t.Errorf("%+v, %d readings of the database", st, feed.reads)
	}
}

func TestIdleSubscriptionDoesNotReadItsWholePastAgain(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, func(c *Config) { c.QueueFrames, c.RingFrames = 1, 4 })
	mustStep(t, hub)
	s := hub.Subscribe([]string{"user:a"}, 0, 0)
	wantCaughtUp(t, s, 0)
	for range 100 {
		feed.add("user:b")
	}
	feed.add("user:a") // 101
	feed.add("user:a") // overflows
	mustStep(t, hub)
	wantFrames(t, s, 101, 102)
	if feed.reads != 0 {
		t.Errorf("%d readings of the database", feed.reads)
	}
}

func TestChannelJoinedLaterCountsFromThere(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := hub.Subscribe([]string{"user:a"}, 0, 0)
	feed.add("order:1")
	feed.add("user:a", "order:1")
	mustStep(t, hub)
	if from := s.Join("order:1"); from != 2 {
		t.Fatalf("counts from %d", from)
	}
	feed.add("order:1")
	mustStep(t, hub)
	if from := s.Join("order:1"); from != 2 {
		t.Fatalf("joined again it counts from %d", from)
	}
	wantFrames(t, s, 2, 3) // not 1, which came before
}

func TestChannelJoinedWhileAPageIsRead(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
	for range 3 {
		feed.add("user:a")
	}
	mustStep(t, hub)
	s := hub.Subscribe([]string{"user:a"}, 0, 0)
	var from int64
	feed.add("order:1") // 4: the page holds it, the hub does not have it yet
	feed.onRead = func() error {
		feed.onRead = nil
		from = s.Join("order:1")
		return nil
	}
	wantFrames(t, s, 1, 2, 3, 4)
	if from != 3 {
		t.Fatalf("counts from %d", from)
	}
}

func TestChannelJoinedBehindAQueuedPage(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
	feed.add("user:a")
	feed.add("user:a")
	mustStep(t, hub)
	feed.add("order:1") // 3, not known to the hub
	s := hub.Subscribe([]string{"user:a"}, 0, 0)
	if b, err := s.Poll(t.Context(), 1); err != nil || len(b.Frames) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	if from := s.Join("order:1"); from != 3 { // the queued page is complete up to 3 without the channel
		t.Fatalf("counts from %d", from)
	}
	feed.add("order:1")
	mustStep(t, hub)
	wantFrames(t, s, 2)
	wantFrames(t, s, 4)
}

func TestNothingOfALeftChannelIsHandedOut(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := hub.Subscribe([]string{"user:a", "order:1"}, 0, 0)
	wantCaughtUp(t, s, 0)
	feed.add("order:1")
	feed.add("user:a")
	feed.add("order:1", "user:a")
	mustStep(t, hub)
	s.Leave("order:1")
	wantFrames(t, s, 2, 3)
	feed.add("order:1")
	mustStep(t, hub)
	wantCaughtUp(t, s, 4)
	wantNothing(t, s)
}

func TestCursorOlderThanRetentionIsToldSo(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	for range 10 {
		feed.add("all")
	}
	hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
	mustStep(t, hub)
	s := hub.Subscribe([]string{"all"}, 3, 0)
	feed.dropUpTo(5) // after the client's cursor was found good
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

func TestCloseEndsTheConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(newMemoryFeed(), nil)
		mustStep(t, hub)
		s := hub.Subscribe([]string{"all"}, 0, 0)
		wantCaughtUp(t, s, 0)
		done := make(chan error)
		go func() {
			_, err := s.Next(t.Context(), 1)
			done <- err
		}()
		synctest.Wait()
		s.Close()
		s.Close()
		if err := <-done; !errors.Is(err, ErrClosed) {
			t.Fatalf("got %v", err)
		}
	})
}

func TestHubSurvivesFaultsAndSkipsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := newMemoryFeed()
		broken := errors.New("the database is away")
		var away atomic.Bool
		feed.onTail = func() error {
			if away.Load() {
				return broken
			}
			return nil
		}
		hub := runHub(t, feed, nil)
		s := hub.Subscribe([]string{"all"}, 0, 0)
		wantCaughtUp(t, s, 0)

		away.Store(true)
		feed.add("all")
		<-time.After(time.Minute)
		wantNothing(t, s)
		if !errors.Is(hub.Err(), broken) {
			t.Errorf("Err: %v", hub.Err())
		}
		away.Store(false)
		wantNext(t, s, 1)
		synctest.Wait()
		if hub.Err() != nil {
			t.Errorf("Err after the fault: %v", hub.Err())
		}

		// A log that goes back, as after a restore, is not delivered.
		feed.mu.Lock()
		feed.items, feed.position = nil, 0
		feed.mu.Unlock()
		feed.add("all")
		feed.mu.Lock()
		feed.position = 0
		feed.mu.Unlock()
		<-time.After(time.Minute)
		wantNothing(t, s)
		if hub.Err() == nil || hub.Position() != 1 {
			t.Errorf("Err: %v, position %d", hub.Err(), hub.Position())
		}
	})
}

func wantNext(t *testing.T, s *Subscription, want ...int64) {
	t.Helper()
	b, err := s.Next(t.Context(), 100)
	if err != nil || !slices.Equal(seqs(b.Frames), want) {
		t.Fatalf("got %v, %v; want %v", seqs(b.Frames), err, want)
	}
}

func TestPagesOutOfOrderAreRefused(t *testing.T) {
	t.Parallel()
	items := func(seqs ...int64) (out []projections.Notification) {
		for _, s := range seqs {
			out = append(out, projections.Notification{Seq: s})
		}
		return out
	}
	for name, page := range map[string]projections.Page{
		"position goes back":        {Position: 4},
		"not after the cursor":      {Items: items(5), Position: 6},
		"twice":                     {Items: items(6, 6), Position: 6},
		"falling":                   {Items: items(7, 6), Position: 7},
		"beyond the position":       {Items: items(6, 8), Position: 7},
		"more, but nothing to show": {Position: 7, More: true},
	} {
		if err := checkPage(page, 5); err == nil {
			t.Errorf("%s: taken", name)
		}
	}
	if err := checkPage(projections.Page{Items: items(6, 9), Position: 12}, 5); err != nil {
		t.Error(err)
	}
}

func TestCatchingUpIsTriedAgainAfterAFault(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := newMemoryFeed()
		for range 5 {
			feed.add("all")
		}
		failures := 3
		feed.onRead = func() error {
			if failures--; failures >= 0 {
				return errors.New("the database is away")
			}
			return nil
		}
		hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
		mustStep(t, hub)
		s := hub.Subscribe([]string{"all"}, 0, 0)
		wantNext(t, s, 1, 2, 3, 4, 5)
		s.Close()
	})
}

func TestIdenticalReadingsAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := newMemoryFeed()
		for range 5 {
			feed.add("all")
		}
		release := make(chan struct{})
		feed.onRead = func() error { <-release; return nil }
		hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
		mustStep(t, hub)
		var wg sync.WaitGroup
		for range 10 {
			wg.Go(func() {
				s := hub.Subscribe([]string{"all", "role:admin"}, 0, 0)
				defer s.Close()
				wantNext(t, s, 1, 2, 3, 4, 5)
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if feed.reads != 1 || hub.Stats().SharedReadings != 9 {
			t.Errorf("%d readings, %d shared", feed.reads, hub.Stats().SharedReadings)
		}
	})
}

func TestReaderWhoGoesAwayDoesNotSpoilAReadingForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := newMemoryFeed()
		for range 5 {
			feed.add("all")
		}
		ctx, cancel := context.WithCancel(t.Context())
		feed.onRead = func() error {
			<-ctx.Done()
			feed.onRead = nil
			return ctx.Err()
		}
		hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
		mustStep(t, hub)
		first, second := hub.Subscribe([]string{"all"}, 0, 0), hub.Subscribe([]string{"all"}, 0, 0)
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
		feed := newMemoryFeed()
		for range 20 {
			feed.add("all")
		}
		var mu sync.Mutex
		running, most := 0, 0
		feed.onRead = func() error {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-time.After(time.Second)
			mu.Lock()
			running--
			mu.Unlock()
			return nil
		}
		hub := newHub(feed, func(c *Config) { c.RingFrames, c.Readers = 1, 3 })
		mustStep(t, hub)
		var wg sync.WaitGroup
		for i := range 10 {
			wg.Go(func() {
				s := hub.Subscribe([]string{"all"}, int64(i), 0)
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
		feed := newMemoryFeed()
		hub := newHub(feed, nil)
		for want := range int64(3) { // nobody is answered with what was known before
			if b, err := hub.Bounds(t.Context()); err != nil || b.Head != want {
				t.Fatalf("%+v, %v; want head %d", b, err, want)
			}
			feed.add("all")
		}
		before := feed.bounds
		hold := make(chan struct{})
		feed.onBounds = func() { <-hold }
		var storm sync.WaitGroup
		storm.Go(func() { _, _ = hub.Bounds(t.Context()) })
		synctest.Wait()
		feed.add("all") // after the reading began, before the others ask
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
		if n := feed.bounds - before; n != 2 {
			t.Errorf("%d readings", n)
		}
	})
}

func TestCaughtUpIsNotToldBeforeTheGoal(t *testing.T) {
	t.Parallel()
	feed := newMemoryFeed()
	hub := runHub(t, feed, nil)
	s := hub.Subscribe([]string{"user:a"}, 0, 3) // the log was at 3 when the client came
	defer s.Close()
	feed.add("user:a")
	if b, err := s.Next(t.Context(), 10); err != nil || !slices.Equal(seqs(b.Frames), []int64{1}) {
		t.Fatalf("%+v, %v; want frame 1", b, err)
	}
	feed.add("user:b")
	feed.add() // nobody's, and the goal
	if b, err := s.Next(t.Context(), 10); err != nil || !b.CaughtUp || b.Position != 3 {
		t.Errorf("%+v, %v; want caught up at 3", b, err)
	}
}
