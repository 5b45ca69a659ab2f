package delivery

import (
	"context"
	"math/rand/v2"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/projections"
)

// reader is a subscription with what a test knows of it: what it must get is computed from the whole log.
type reader struct {
	sub      *Subscription
	channels channelSet
	position int64 // told last
	caught   bool
	left     []string // channels that ended and are to be told
}

type tb interface {
	Fatalf(format string, args ...any)
	Helper()
}

// check judges a batch: it must hold exactly what the channels carry between the position told last and its own, but for
// places that a later one replaces. What has ended is told first.
func (r *reader) check(t tb, feed *deliverytest.Feed, b Batch) {
	t.Helper()
	if b.Empty() {
		return
	}
	if b.Position < r.position {
		t.Fatalf("position fell from %d to %d", r.position, b.Position)
	}
	if !slices.Equal(b.Left, r.left) {
		t.Fatalf("told that it left %v, want %v", b.Left, r.left)
	}
	r.left = nil
	got := seqs(b.Frames)
	items := feed.Items()
	first, _ := slices.BinarySearchFunc(items, r.position+1, func(n projections.Notification, seq int64) int { return int(n.Seq - seq) })
	items = items[first:]
	var want []int64
	for i, n := range items {
		if n.Seq > b.Position {
			break
		}
		if !r.wants(n) {
			continue
		}
		if !slices.Contains(got, n.Seq) && slices.ContainsFunc(items[i+1:], func(later projections.Notification) bool { return r.replaces(later, n) }) {
			continue
		}
		want = append(want, n.Seq)
	}
	behind := b.Position > feed.Head()
	if !slices.Equal(got, want) {
		t.Fatalf("in (%d, %d]: got %v, want %v", r.position, b.Position, got, want)
	}
	if behind && b.CaughtUp {
		t.Fatalf("caught up at %d, which is ahead of the log", b.Position)
	}
	r.position = b.Position
	r.caught = r.caught || b.CaughtUp
}

func (r *reader) wants(n projections.Notification) bool {
	return r.channels.wants(&Frame{Seq: n.Seq, Channels: n.Channels})
}

// replaces says that a later place of the same order reaches the reader wherever an earlier one does.
func (r *reader) replaces(later, earlier projections.Notification) bool {
	if earlier.Event != projections.EventDeliveryLocation || later.Event != earlier.Event {
		return false
	}
	isOrder := func(c string) bool { return strings.HasPrefix(c, "order:") }
	i, j := slices.IndexFunc(earlier.Channels, isOrder), slices.IndexFunc(later.Channels, isOrder)
	if i < 0 || j < 0 || earlier.Channels[i] != later.Channels[j] {
		return false
	}
	for _, c := range earlier.Channels {
		if from, in := r.channels[c]; in && earlier.Seq > from && !slices.Contains(later.Channels, c) {
			return false
		}
	}
	return true
}

// lose applies the endings that the hub has published.
func (r *reader) lose(items []projections.Notification) {
	for _, n := range items {
		for _, e := range n.Endings {
			if r.channels.has(e.Channel, projections.ChannelUser(e.User), projections.ChannelRole(e.Role)) {
				r.channels = r.channels.without(e.Channel)
				if !slices.Contains(r.left, e.Channel) {
					r.left = append(r.left, e.Channel)
				}
			}
		}
	}
}

var testChannels = []string{"all", "role:admin", "user:a", "user:b", "order:1", "order:2"}

// Whatever is published, read, joined, left, ended and overflown in whatever order, also while a page is being read:
// every subscription gets exactly the frames of its channels after its cursor, once, in order, and nothing for the sake
// of a channel that has ended.
func TestPropertyEverySubscriberGetsExactlyItsFrames(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		feed := deliverytest.NewFeed()
		hub := newHub(feed, func(c *Config) {
			c.RingFrames = rapid.IntRange(1, 12).Draw(t, "ring")
			c.QueueFrames = rapid.IntRange(1, 5).Draw(t, "queue")
			c.PageSize = rapid.IntRange(1, 7).Draw(t, "page")
		})
		var readers []*reader
		channels := rapid.SliceOfNDistinct(rapid.SampledFrom(testChannels), 1, 3, rapid.ID[string])
		publish := func(t *rapid.T) {
			for range rapid.IntRange(1, 8).Draw(t, "events") {
				n := projections.Notification{Event: "e"}
				switch rapid.IntRange(0, 5).Draw(t, "kind") {
				case 0: // nobody is told of it
					feed.Add()
					continue
				case 1:
					n.Event = projections.EventDeliveryLocation
				case 2:
					n.Endings = []projections.Ending{{
						Channel: rapid.SampledFrom(testChannels[4:]).Draw(t, "ends"),
						User:    rapid.SampledFrom([]string{"a", "b"}).Draw(t, "for"), Role: "admin",
					}}
				}
				n.Channels = channels.Draw(t, "carriedBy")
				feed.Append(n)
			}
		}
		tailed := 0 // notifications that the hub has published
		published := func() {
			items := feed.Items()
			for tailed < len(items) && items[tailed].Seq <= hub.endings.floor { // from before the hub began
				tailed++
			}
			upTo := tailed
			for upTo < len(items) && items[upTo].Seq <= hub.Position() {
				upTo++
			}
			for _, r := range readers {
				r.lose(items[tailed:upTo])
			}
			tailed = upTo
		}
		tail := func(t *rapid.T) {
			mustStep(t, hub)
			published()
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
				r.left = slices.DeleteFunc(r.left, func(c string) bool { return c == channel })
				return
			}
			from := mustJoin(t, r.sub, channel)
			if from < r.position {
				t.Fatalf("a channel counts from %d, but %d was told", from, r.position)
			}
			r.channels = r.channels.with(channel, from)
			r.left = slices.DeleteFunc(r.left, func(c string) bool { return c == channel })
		}
		poll := func(t *rapid.T, r *reader) {
			// While the database is read, the world goes on.
			feed.OnRead(func() error {
				if rapid.Bool().Draw(t, "publishMeanwhile") {
					publish(t)
					tail(t)
				}
				if rapid.IntRange(0, 5).Draw(t, "changeMeanwhile") == 0 {
					change(t, r)
				}
				return nil
			})
			b, err := r.sub.Poll(context.Background(), rapid.IntRange(1, 6).Draw(t, "limit"))
			feed.OnRead(nil)
			if err != nil {
				t.Fatalf("Poll: %v", err)
			}
			r.check(t, feed, b)
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": publish,
			"tail":    tail,
			"tail one page": func(t *rapid.T) {
				if _, err := hub.step(context.Background()); err != nil {
					t.Fatalf("step: %v", err)
				}
				published()
			},
			"subscribe": func(t *rapid.T) {
				cursor := rapid.Int64Range(0, feed.Head()+3).Draw(t, "cursor") // at times ahead of everything
				set := channelSet{}
				for _, c := range channels.Draw(t, "channels") {
					set[c] = cursor
				}
				readers = append(readers, &reader{sub: subscribe(t, hub, set.names(), cursor, 0), channels: set, position: cursor})
			},
			"poll":   func(t *rapid.T) { poll(t, pick(t)) },
			"change": func(t *rapid.T) { change(t, pick(t)) },
			"go live": func(t *rapid.T) {
				r := pick(t)
				tail(t)
				drain(t, feed, r)
			},
			"publish live": func(t *rapid.T) {
				publish(t)
				tail(t)
			},
			"checkpoint": func(t *rapid.T) {
				r := pick(t)
				p := r.sub.Position()
				if p < r.position {
					t.Fatalf("checkpoint %d is before %d, which was told", p, r.position)
				}
				for _, n := range feed.Items() {
					if n.Seq > r.position && n.Seq <= p && r.wants(n) {
						t.Fatalf("checkpoint %d is ahead of %d, which is still to come", p, n.Seq)
					}
				}
				r.position = p
			},
			"close": func(t *rapid.T) {
				r := pick(t)
				r.sub.Close()
				readers = slices.DeleteFunc(readers, func(o *reader) bool { return o == r })
			},
		})
		// In the end all get all.
		for feed.Head() < 3 {
			feed.Add()
		}
		for _, r := range readers {
			for feed.Head() < r.position { // it was ahead
				feed.Add("all")
			}
		}
		tail(t)
		for _, r := range readers {
			drain(t, feed, r)
			if p := r.sub.Position(); p != feed.Head() {
				t.Fatalf("ends at %d, the log at %d", p, feed.Head())
			}
			r.check(t, feed, Batch{Position: feed.Head(), CaughtUp: true})
			r.sub.Close()
		}
		if s := hub.Stats(); s.Subscriptions != 0 || len(hub.channels) != 0 || len(hub.waiting) != 0 {
			t.Fatalf("closed subscriptions are still held: %+v", s)
		}
	})
}

// drain hands out all there is.
func drain(t tb, feed *deliverytest.Feed, r *reader) {
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
	feed := deliverytest.NewFeed()
	hub := runHub(t, feed, func(c *Config) { c.RingFrames, c.QueueFrames, c.PageSize = 200, 8, 50 })
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range events - 1 {
			if i%7 == 0 {
				feed.Add()
				continue
			}
			seq := feed.Add(testChannels[rand.IntN(len(testChannels))], testChannels[rand.IntN(len(testChannels))])
			for i%32 == 0 && hub.Position() < seq { // so that the clients are live at times
				runtime.Gosched()
			}
		}
		feed.Add("all") // so that everybody hears of the end
	})
	for i := range clients {
		wg.Go(func() {
			set := channelSet{"all": 0, testChannels[1+i%5]: 0}
			r := &reader{channels: set}
			for r.position < events {
				r.sub = subscribe(errorf{t}, hub, set.names(), r.position, 0)
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
