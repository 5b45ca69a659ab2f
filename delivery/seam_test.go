package delivery

import (
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// Clients become live again and again while frames are published as fast as can be, so that the moment between
// the last page and the first live frame is hit often. Every frame is for everybody: a gap is a loss.
func TestSeamHolds(t *testing.T) {
	t.Parallel()
	const frames, clients = 20000, 4
	hub := newHub(newMemoryFeed(), func(c *Config) { c.RingFrames = frames })
	hub.begin(0)
	var wg sync.WaitGroup
	for range clients {
		wg.Go(func() {
			for cursor := int64(0); cursor < frames; {
				s := hub.Subscribe([]string{"all"}, cursor)
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

// An hour of nothing costs a subscription no wake-up but the one it began with.
func TestQuietSubscriptionSleeps(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		hub := runHub(t, newMemoryFeed(), nil)
		s := hub.Subscribe([]string{"all"}, 0)
		<-s.Ready()
		wantCaughtUp(t, s, 0)
		select {
		case <-s.Ready():
			t.Error("woken for nothing")
		case <-time.After(time.Hour):
		}
	})
}
