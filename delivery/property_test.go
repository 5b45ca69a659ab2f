package delivery

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"sync"
	"testing"

	"pgregory.net/rapid"
)

// reader is a subscription with what a test knows of it: what it must get is computed from the whole log.
type reader struct {
	sub      *Subscription
	channels channelSet
	position int64 // told last
	caught   bool
}

type tb interface {
	Fatalf(format string, args ...any)
	Helper()
}

// check judges a batch: it must hold exactly what the channels carry between the position told last and its own.
func (r *reader) check(t tb, feed *memoryFeed, b Batch) {
	t.Helper()
	if b.Empty() {
		return
	}
	if b.Position < r.position {
		t.Fatalf("position fell from %d to %d", r.position, b.Position)
	}
	feed.mu.Lock()
	var want []int64
	for _, n := range feed.items {
		if n.Seq > r.position && n.Seq <= b.Position && r.channels.wants(&Frame{Seq: n.Seq, Channels: n.Channels}) {
			want = append(want, n.Seq)
		}
	}
	behind := b.Position > feed.position
	feed.mu.Unlock()
	if got := seqs(b.Frames); !slices.Equal(got, want) {
		t.Fatalf("in (%d, %d]: got %v, want %v", r.position, b.Position, got, want)
	}
	if behind && b.CaughtUp {
		t.Fatalf("caught up at %d, which is ahead of the log", b.Position)
	}
	r.position = b.Position
	r.caught = r.caught || b.CaughtUp
}

var testChannels = []string{"all", "role:admin", "user:a", "user:b", "order:1", "order:2"}

// Whatever is published, read, joined, left and overflown in whatever order, also while a page is being read:
// every subscription gets exactly the frames of its channels after its cursor, once, in order.
func TestPropertyEverySubscriberGetsExactlyItsFrames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		feed := newMemoryFeed()
		hub := newHub(feed, func(c *Config) {
			c.RingFrames = rapid.IntRange(1, 12).Draw(t, "ring")
			c.QueueFrames = rapid.IntRange(1, 5).Draw(t, "queue")
			c.PageSize = rapid.IntRange(1, 7).Draw(t, "page")
		})
		var readers []*reader
		channels := rapid.SliceOfNDistinct(rapid.SampledFrom(testChannels), 1, 3, rapid.ID[string])
		publish := func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "events") {
				if rapid.IntRange(0, 4).Draw(t, "silent") == 0 {
					feed.add()
				} else {
					feed.add(channels.Draw(t, "carriedBy")...)
				}
			}
		}
		pick := func(t *rapid.T) *reader {
			if len(readers) == 0 {
				t.Skip("nobody is there")
			}
			return rapid.SampledFrom(readers).Draw(t, "reader")
		}
		change := func(t *rapid.T, r *reader) {
			channel := rapid.SampledFrom(testChannels).Draw(t, "channel")
			if _, in := r.channels[channel]; in {
				r.sub.Leave(channel)
				r.channels = r.channels.without(channel)
				return
			}
			from := r.sub.Join(channel)
			if from < r.position {
				t.Fatalf("a channel counts from %d, but %d was told", from, r.position)
			}
			r.channels = r.channels.with(channel, from)
		}
		poll := func(t *rapid.T, r *reader) {
			// While the database is read, the world goes on.
			feed.onRead = func() error {
				if rapid.Bool().Draw(t, "publishMeanwhile") {
					publish(t)
					mustStep(t, hub)
				}
				if rapid.IntRange(0, 5).Draw(t, "changeMeanwhile") == 0 {
					change(t, r)
				}
				return nil
			}
			b, err := r.sub.Poll(context.Background(), rapid.IntRange(1, 6).Draw(t, "limit"))
			feed.onRead = nil
			if err != nil {
				t.Fatalf("Poll: %v", err)
			}
			r.check(t, feed, b)
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": publish,
			"tail":    func(t *rapid.T) { mustStep(t, hub) },
			"tail one page": func(t *rapid.T) {
				if _, err := hub.step(context.Background()); err != nil {
					t.Fatalf("step: %v", err)
				}
			},
			"subscribe": func(t *rapid.T) {
				cursor := rapid.Int64Range(0, feed.position+3).Draw(t, "cursor") // at times ahead of everything
				set := channelSet{}
				for _, c := range channels.Draw(t, "channels") {
					set[c] = cursor
				}
				readers = append(readers, &reader{sub: hub.Subscribe(set.names(), cursor, 0), channels: set, position: cursor})
			},
			"poll":   func(t *rapid.T) { poll(t, pick(t)) },
			"change": func(t *rapid.T) { change(t, pick(t)) },
			"go live": func(t *rapid.T) {
				r := pick(t)
				mustStep(t, hub)
				drain(t, feed, r)
			},
			"publish live": func(t *rapid.T) {
				publish(t)
				mustStep(t, hub)
			},
			"checkpoint": func(t *rapid.T) {
				r := pick(t)
				p := r.sub.Position()
				if p < r.position {
					t.Fatalf("checkpoint %d is before %d, which was told", p, r.position)
				}
				feed.mu.Lock()
				for _, n := range feed.items {
					if n.Seq > r.position && n.Seq <= p && r.channels.wants(&Frame{Seq: n.Seq, Channels: n.Channels}) {
						t.Fatalf("checkpoint %d is ahead of %d, which is still to come", p, n.Seq)
					}
				}
				feed.mu.Unlock()
				r.position = p
			},
			"close": func(t *rapid.T) {
				r := pick(t)
				r.sub.Close()
				readers = slices.DeleteFunc(readers, func(o *reader) bool { return o == r })
			},
		})
		// In the end all get all.
		for feed.position < 3 {
			feed.add()
		}
		for _, r := range readers {
			for feed.position < r.position { // it was ahead
				feed.add("all")
			}
		}
		mustStep(t, hub)
		for _, r := range readers {
			drain(t, feed, r)
			if p := r.sub.Position(); p != feed.position {
				t.Fatalf("ends at %d, the log at %d", p, feed.position)
			}
			r.check(t, feed, Batch{Position: feed.position, CaughtUp: true})
			r.sub.Close()
		}
		if s := hub.Stats(); s.Subscriptions != 0 || len(hub.channels) != 0 || len(hub.waiting) != 0 {
			t.Fatalf("closed subscriptions are still held: %+v", s)
		}
	})
}

// drain hands out all there is.
func drain(t tb, feed *memoryFeed, r *reader) {
	t.Helper()
	for {
		b, err := r.sub.Poll(context.Background(), 4)
		if err != nil {
			t.Fatalf("Poll: %v", err)
		}
		if b.Empty() {
			return
		}
		r.check(t, feed, b)
	}
}

// The same promise with real goroutines: a hub that tails, a writer, and clients that come back at random cursors
// and read at random speeds.
func TestConcurrentSubscribersMissNothing(t *testing.T) {
	t.Parallel()
	const events, clients = 3000, 24
	feed := newMemoryFeed()
	hub := runHub(t, feed, func(c *Config) { c.RingFrames, c.QueueFrames, c.PageSize = 200, 8, 50 })
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range events - 1 {
			if i%7 == 0 {
				feed.add()
				continue
			}
			seq := feed.add(testChannels[rand.IntN(len(testChannels))], testChannels[rand.IntN(len(testChannels))])
			for i%32 == 0 && hub.Position() < seq { // so that the clients are live at times
				runtime.Gosched()
			}
		}
		feed.add("all") // so that everybody hears of the end
	})
	for i := range clients {
		wg.Go(func() {
			set := channelSet{"all": 0, testChannels[1+i%5]: 0}
			r := &reader{channels: set}
			for r.position < events {
				r.sub = hub.Subscribe(set.names(), r.position, 0)
				for polls := rand.IntN(40); polls >= 0 && r.position < events; polls-- {
					b, err := r.sub.Next(t.Context(), 1+rand.IntN(64))
					if err != nil {
						t.Errorf("Next: %v", err)
						return
					}
					r.check(errorf{t}, feed, b)
					if p := r.sub.Position(); p > r.position {
						r.check(errorf{t}, feed, Batch{Position: p, CaughtUp: true})
					}
				}
				r.sub.Close() // the connection is lost here
			}
		})
	}
}

// errorf lets a goroutine that is not the test's fail it.
type errorf struct{ *testing.T }

func (e errorf) Fatalf(format string, args ...any) {
	e.Errorf(format, args...)
	runtime.Goexit()
}
