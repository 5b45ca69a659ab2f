package delivery

import (
	"sync"
	"testing"

	"github.com/orderlog/orderlog/delivery/deliverytest"
)

func TestSingleChannelsCountFromLaterSeqs(t *testing.T) {
	t.Parallel()
	for name, ring := range map[string]int{"from the ring": 100, "from the feed": 1} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			feed := deliverytest.NewFeed()
			feed.Add("a")
			feed.Add("b")
			feed.Add("a", "b")
			feed.Add("b")
			feed.Add("a")
			h := newHub(feed, func(c *Config) { c.RingFrames = ring })
			mustStep(t, h)
			s, err := h.Subscribe(Wanted{
				Channels: []string{"a", "b", "c"}, From: map[string]int64{"b": 3, "a": 0, "c": 7}, Cursor: 1, Checked: h.Position(),
			})
			if err != nil {
				t.Fatal(err)
			}
			defer s.Close()
			wantFrames(t, s, 3, 4, 5) // not 2, which only b carries
			wantCaughtUp(t, s, 5)
			feed.Add("c") // 6
			feed.Add("c")
			feed.Add("c") // 8
			mustStep(t, h)
			wantFrames(t, s, 8)
			s.Reset(2) // they count from where they did
			wantFrames(t, s, 3, 4, 5, 8)
		})
	}
}

// One consumer polls all that share a channel after each value, and misses nothing however they are woken.
func TestSubscriptionsMayShareAWake(t *testing.T) {
	t.Parallel()
	const events = 400
	feed := deliverytest.NewFeed()
	h := runHub(t, feed, func(c *Config) { c.QueueFrames = 4 })
	wake := make(chan struct{}, 1)
	names := []string{"a", "b", "c"}
	subs := make([]*Subscription, len(names))
	for i, name := range names {
		s, err := h.Subscribe(Wanted{Channels: []string{name}, Checked: h.Position(), Wake: wake})
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		subs[i] = s
	}
	if subs[0].Ready() != (<-chan struct{})(wake) {
		t.Error("it does not wake the channel that it was given")
	}
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range events {
			feed.Add(names[i%len(names)])
		}
	})
	got := make([]int, len(subs))
	for total := 0; total < events; {
		<-wake
		for i, s := range subs {
			for b := mustPoll(t, s); !b.Empty(); b = mustPoll(t, s) {
				for _, f := range b.Frames {
					if want := int64(1 + i + len(subs)*got[i]); f.Seq != want {
						t.Fatalf("%s: got %d, want %d", names[i], f.Seq, want)
					}
					got[i]++
					total++
				}
			}
		}
	}
}
