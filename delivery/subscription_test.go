package delivery

import (
	"errors"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/orderlog/orderlog/delivery/deliverytest"
)

func TestFrameOfSeveralChannelsComesOnce(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"all", "user:a", "order:1"}, 0, 0)
	wantCaughtUp(t, s, 0)
	feed.Add("order:1", "user:a", "all")
	mustStep(t, hub)
	wantFrames(t, s, 1)
	wantNothing(t, s)
}

func TestSubscriptionAheadOfTheHubWaits(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"all"}, 2, 0) // told by another node, or by a command's answer
	<-s.Ready()
	wantNothing(t, s)
	feed.Add("all")
	mustStep(t, hub)
	wantNothing(t, s)
	if p := s.Position(); p != 2 {
		t.Fatalf("position %d", p)
	}
	feed.Add("all")
	mustStep(t, hub)
	wantWoken(t, s)
	wantCaughtUp(t, s, 2)
	feed.Add("all")
	mustStep(t, hub)
	wantWoken(t, s)
	wantFrames(t, s, 3)
}

func TestSubscriptionBeforeTheHubKnowsWhereToBegin(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	for range 5 {
		feed.Add("all")
	}
	hub := newHub(feed, func(c *Config) { c.RingFrames = 2 })
	s := subscribe(t, hub, []string{"all"}, 1, 0)
	<-s.Ready()
	wantNothing(t, s)
	mustStep(t, hub)
	wantWoken(t, s)
	wantFrames(t, s, 2, 3, 4, 5)
	wantCaughtUp(t, s, 5)
}

func TestOverflowIsReadAgainFromTheRing(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, func(c *Config) { c.QueueFrames = 3 })
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"all"}, 0, 0)
	wantCaughtUp(t, s, 0)
	var want []int64
	for range 10 {
		want = append(want, feed.Add("all"))
	}
	mustStep(t, hub)
	if n := len(s.queue); n > 3 {
		t.Fatalf("%d frames are queued", n)
	}
	wantFrames(t, s, want...)
	wantCaughtUp(t, s, 10)
	if st := hub.Stats(); st.Overflows != 1 || feed.Reads() != 0 {
		t.Errorf("%+v, %d readings of the database", st, feed.Reads())
	}
}

func TestIdleSubscriptionDoesNotReadItsWholePastAgain(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, func(c *Config) { c.QueueFrames, c.RingFrames = 1, 4 })
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"user:a"}, 0, 0)
	wantCaughtUp(t, s, 0)
	for range 100 {
		feed.Add("user:b")
	}
	feed.Add("user:a") // 101
	feed.Add("user:a") // overflows
	mustStep(t, hub)
	wantFrames(t, s, 101, 102)
	if feed.Reads() != 0 {
		t.Errorf("%d readings of the database", feed.Reads())
	}
}

func TestChannelJoinedLaterCountsFromThere(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"user:a"}, 0, 0)
	feed.Add("order:1")
	feed.Add("user:a", "order:1")
	mustStep(t, hub)
	if from := mustJoin(t, s, "order:1"); from != 2 {
		t.Fatalf("counts from %d", from)
	}
	feed.Add("order:1")
	mustStep(t, hub)
	if from := mustJoin(t, s, "order:1"); from != 2 {
		t.Fatalf("joined again it counts from %d", from)
	}
	wantFrames(t, s, 2, 3) // not 1, which came before
}

func TestChannelJoinedWhileAPageIsRead(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
	for range 3 {
		feed.Add("user:a")
	}
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"user:a"}, 0, 0)
	var from int64
	feed.Add("order:1") // 4: the page holds it, the hub does not have it yet
	feed.OnRead(func() error {
		feed.OnRead(nil)
		from = mustJoin(t, s, "order:1")
		return nil
	})
	wantFrames(t, s, 1, 2, 3, 4)
	if from != 3 {
		t.Fatalf("counts from %d", from)
	}
}

func TestChannelJoinedBehindAQueuedPage(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, func(c *Config) { c.RingFrames = 1 })
	feed.Add("user:a")
	feed.Add("user:a")
	mustStep(t, hub)
	feed.Add("order:1") // 3, not known to the hub
	s := subscribe(t, hub, []string{"user:a"}, 0, 0)
	if b, err := s.Poll(t.Context(), 1); err != nil || len(b.Frames) != 1 {
		t.Fatalf("%+v, %v", b, err)
	}
	if from := mustJoin(t, s, "order:1"); from != 3 { // the queued page is complete up to 3 without the channel
		t.Fatalf("counts from %d", from)
	}
	feed.Add("order:1")
	mustStep(t, hub)
	wantFrames(t, s, 2)
	wantFrames(t, s, 4)
}

func TestNothingOfALeftChannelIsHandedOut(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	mustStep(t, hub)
	s := subscribe(t, hub, []string{"user:a", "order:1"}, 0, 0)
	wantCaughtUp(t, s, 0)
	feed.Add("order:1")
	feed.Add("user:a")
	feed.Add("order:1", "user:a")
	mustStep(t, hub)
	s.Leave("order:1")
	wantFrames(t, s, 2, 3)
	feed.Add("order:1")
	mustStep(t, hub)
	wantCaughtUp(t, s, 4)
	wantNothing(t, s)
}

func TestCloseEndsTheConsumer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := newHub(deliverytest.NewFeed(), nil)
		mustStep(t, hub)
		s := subscribe(t, hub, []string{"all"}, 0, 0)
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

func TestCaughtUpIsNotToldBeforeTheGoal(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := runHub(t, feed, nil)
	s := subscribe(t, hub, []string{"user:a"}, 0, 3) // the log was at 3 when the client came
	defer s.Close()
	feed.Add("user:a")
	if b, err := s.Next(t.Context(), 10); err != nil || !slices.Equal(seqs(b.Frames), []int64{1}) {
		t.Fatalf("%+v, %v; want frame 1", b, err)
	}
	feed.Add("user:b")
	feed.Add() // nobody's, and the goal
	if b, err := s.Next(t.Context(), 10); err != nil || !b.CaughtUp || b.Position != 3 {
		t.Errorf("%+v, %v; want caught up at 3", b, err)
	}
}

// The log, which rights are checked against, may be ahead of the hub: what came before the right is not handed out,
// whatever way it takes.
func TestAChannelCountsFromWhenTheRightToItBegan(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	hub := newHub(feed, nil)
	feed.Add("all") // 1
	mustStep(t, hub)
	live := subscribe(t, hub, []string{"all"}, 1, 0)
	wantCaughtUp(t, live, 1)
	behind := subscribe(t, hub, []string{"all"}, 0, 0)
	for _, s := range []*Subscription{live, behind} {
		if from, _, err := s.Join("delivery:x", hub.Position(), 3); err != nil || from != 3 {
			t.Fatalf("joined from %d, %v", from, err)
		}
	}
	for range 4 {
		feed.Add("delivery:x") // 2 to 5
	}
	mustStep(t, hub)
	wantFrames(t, live, 4, 5)
	wantFrames(t, behind, 1, 4, 5)
	behind.Reset(1) // another cursor gives no right
	wantFrames(t, behind, 4, 5)
}
