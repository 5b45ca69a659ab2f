package delivery

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/delivery/deliverytest"
)

// Clients become live again and again while frames are published as fast as can be, so that the moment between
// the last page and the first live frame is hit often. Every frame is for everybody: a gap is a loss.
func TestSeamHolds(t *testing.T) {
	t.Parallel()
	const frames, clients = 20000, 4
	hub := newHub(deliverytest.NewFeed(), func(c *Config) { c.RingFrames = frames })
	hub.begin(0)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for cursor := int64(0); cursor < frames; {
				s := subscribe(errorf{t}, hub, []string{"all"}, cursor, 0)
				for live := 0; live < 2 && cursor < frames; { // a few frames behind the seam are enough
					b, err := s.Next(t.Context(), 1<<20)
					if err != nil {
						t.Errorf("Next: %v", err)
						return
					}
					if b.CaughtUp {
						live++
					}
					for _, f := range b.Frames {
						if f.Seq != cursor+1 {
							t.Errorf("got %d after %d", f.Seq, cursor)
							return
						}
						cursor = f.Seq
						if live > 0 {
							live++
						}
					}
				}
				s.Close()
			}
		})
	}
	for seq := int64(1); seq <= frames; seq++ {
		hub.publish(&Frame{Seq: seq, Channels: []string{"all"}})
		if seq%16 == 0 {
			runtime.Gosched()
		}
	}
	wg.Wait()
}

// A publication is held up half-way: past a subscription that is not live yet, before the hub's position has
// moved. Whoever went live now, going by the old position, would never get the frame.
func TestGoingLiveWaitsForAPublicationInProgress(t *testing.T) {
	t.Parallel()
	hub := newHub(deliverytest.NewFeed(), func(c *Config) { c.QueueFrames = 1 })
	hub.begin(0)
	late := subscribe(t, hub, []string{"late"}, 1, 0) // it has read all that there is: only going live is left
	full, stuck := subscribe(t, hub, []string{"full"}, 0, 0), subscribe(t, hub, []string{"stuck"}, 0, 0)
	wantCaughtUp(t, full, 0)
	wantCaughtUp(t, stuck, 0)
	hub.publish(&Frame{Seq: 1, Channels: []string{"full"}})

	stuck.mu.Lock() // offering it anything waits
	published := make(chan struct{})
	go func() {
		defer close(published)
		hub.publish(&Frame{Seq: 2, Channels: []string{"late", "full", "stuck"}})
	}()
	for hub.counters.overflows.Load() == 0 { // full comes after late
		runtime.Gosched()
	}
	got := make(chan Batch, 1)
	go func() {
		for {
			b, err := late.Next(t.Context(), 10)
			if err != nil || len(b.Frames) > 0 || b.CaughtUp {
				got <- b
				return
			}
		}
	}()
	select {
	case b := <-got:
		t.Errorf("went live in the middle of a publication: %+v", b)
		got <- b
	case <-time.After(50 * time.Millisecond):
	}
	stuck.mu.Unlock()
	<-published
	if b := <-got; len(b.Frames) != 1 || b.Frames[0].Seq != 2 {
		t.Errorf("got %+v, want frame 2", b)
	}
}

// An hour of nothing costs a subscription no wake-up but the one it began with.
func TestQuietSubscriptionSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := runHub(t, deliverytest.NewFeed(), nil)
		s := subscribe(t, hub, []string{"all"}, 0, 0)
		<-s.Ready()
		wantCaughtUp(t, s, 0)
		select {
		case <-s.Ready():
			t.Error("woken for nothing")
		case <-time.After(time.Hour):
		}
	})
}
