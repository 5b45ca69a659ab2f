package delivery

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/projections"
)

// feedFunc is a log with another way to be read.
type feedFunc struct {
	*deliverytest.Feed
	read func(context.Context, []projections.Reading) ([]projections.Page, error)
}

func (f feedFunc) Read(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
	return f.read(ctx, readings)
}

// hubOver returns a hub that has tailed a feed and has one frame of it in its ring.
func hubOver(t tb, feed *deliverytest.Feed, change func(*Config)) *Hub {
	t.Helper()
	h := newHub(feed, func(c *Config) {
		c.RingFrames = 1
		if change != nil {
			change(c)
		}
	})
	mustStep(t, h)
	return h
}

// Whatever clients read at once, of whatever channels, after whatever cursors and however few frames at a time, while the
// log grows: each one's pages, one after the other, are what the channels carry, once, in order.
func TestPropertyPagesOneAfterTheOtherAreTheLog(t *testing.T) {
	t.Parallel()
	rapid.Check(t, func(t *rapid.T) {
		feed := deliverytest.NewFeed()
		channels := rapid.SliceOfNDistinct(rapid.SampledFrom([]string{"all", "role:admin", "role:customer", "user:a", "order:1"}), 0, 4, rapid.ID[string])
		grow := func(t *rapid.T) {
			for range rapid.IntRange(1, 30).Draw(t, "events") {
				feed.Add(channels.Draw(t, "carriedBy")...)
			}
		}
		grow(t)
		hub := hubOver(t, feed, func(c *Config) { c.PageSize = rapid.IntRange(1, 6).Draw(t, "page") })
		type client struct {
			channels      []string
			after, cursor int64
			limit         int
			got           []int64
		}
		clients := make([]*client, rapid.IntRange(1, 6).Draw(t, "clients"))
		for i := range clients {
			after := rapid.Int64Range(0, feed.Head()).Draw(t, "after")
			clients[i] = &client{channels: channels.Draw(t, "channels"), after: after, cursor: after, limit: rapid.IntRange(1, 7).Draw(t, "limit")}
		}
		done := func(c *client) bool { return c.cursor >= feed.Head() }
		for slices.ContainsFunc(clients, func(c *client) bool { return !done(c) }) {
			if rapid.IntRange(0, 5).Draw(t, "grows") == 0 && feed.Head() < 100 {
				grow(t)
				mustStep(t, hub)
			}
			var wg sync.WaitGroup
			faults := make([]error, len(clients))
			for i, c := range clients {
				if done(c) {
					continue
				}
				wg.Go(func() {
					page, err := hub.Read(context.Background(), c.channels, c.cursor, c.limit)
					if err != nil || len(page.Frames) > c.limit || page.Position <= c.cursor {
						faults[i] = fmt.Errorf("after %d: %v, %+v, %w", c.cursor, seqs(page.Frames), page, err)
					}
					c.got, c.cursor = append(c.got, seqs(page.Frames)...), page.Position
				})
			}
			wg.Wait()
			if err := errors.Join(faults...); err != nil {
				t.Fatal(err)
			}
		}
		for _, c := range clients {
			var want []int64
			for _, n := range feed.Items() {
				if n.Seq > c.after && n.Seq <= c.cursor && slices.ContainsFunc(c.channels, func(o string) bool { return slices.Contains(n.Channels, o) }) {
					want = append(want, n.Seq)
				}
			}
			if !slices.Equal(c.got, want) {
				t.Fatalf("%v after %d, %d at a time: got %v, want %v", c.channels, c.after, c.limit, c.got, want)
			}
		}
	})
}

// readAtOnce has clients of some channels read after seq 0, in this order.
func readAtOnce(t *testing.T, hub *Hub, clients ...[]string) []error {
	t.Helper()
	var wg sync.WaitGroup
	errs := make([]error, len(clients))
	for i, channels := range clients {
		wg.Go(func() { _, errs[i] = hub.Read(t.Context(), channels, 0, 100) })
		synctest.Wait()
	}
	wg.Wait()
	return errs
}

func TestWhoComesWhileOthersReadIsReadForTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		clients := make([][]string, 150)
		for i := range clients {
			user := fmt.Sprintf("user:%d", i)
			feed.Add(user, "role:customer")
			clients[i] = []string{"all", "role:customer", user}
		}
		var asked []int
		over := feedFunc{feed, nil}
		over.read = func(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
			asked = append(asked, len(readings))
			<-time.After(time.Second)
			return feed.Read(ctx, readings)
		}
		hub := hubOver(t, feed, func(c *Config) { c.Feed, c.Readers = over, 1 })
		for i, err := range readAtOnce(t, hub, clients...) {
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
		// The first reads for itself; what everybody missed is read once.
		if want := []int{3, maxBatch, maxBatch, 149 - 2*maxBatch}; !slices.Equal(asked, want) {
			t.Errorf("asked for %d pages, want %d", asked, want)
		}
	})
}

func TestAFrameThatManyMissedIsEncodedOnce(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	for range 20 {
		feed.Add("role:customer")
	}
	hub := hubOver(t, feed, nil)
	get := func(channels []string, after int64) Page {
		page, err := hub.Read(t.Context(), channels, after, 100)
		if err != nil {
			t.Fatal(err)
		}
		return page
	}
	first, reads := get([]string{"role:customer", "user:a"}, 0), feed.Reads()
	second := get([]string{"role:customer", "user:b"}, 5) // another cursor, within what was read
	if len(second.Frames) != 15 || second.Frames[0] != first.Frames[5] {
		t.Errorf("%v is not of %v", seqs(second.Frames), seqs(first.Frames))
	}
	get([]string{"role:customer"}, 7)
	if got := feed.Reads() - reads; got != 1 { // that of user:b
		t.Errorf("%d more readings", got)
	}
	// It may be longer by now, and only what is new is read.
	feed.Add("role:customer")
	mustStep(t, hub)
	feed.Add("all")
	mustStep(t, hub)
	third := get([]string{"role:customer"}, 7)
	if len(third.Frames) != 14 || third.Frames[0] != first.Frames[7] || third.Position != 22 {
		t.Errorf("%v up to %d is not of %v", seqs(third.Frames), third.Position, seqs(first.Frames))
	}
}

func TestOneWhoseCursorIsExpiredDoesNotSpoilItForOthers(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		for range 10 {
			feed.Add("user:a", "user:b", "user:c")
		}
		feed.Drop(5)
		held := make(chan struct{})
		feed.OnRead(func() error { <-held; return nil })
		hub := hubOver(t, feed, func(c *Config) { c.Readers = 1 })
		errs := make([]error, 3)
		var wg sync.WaitGroup
		for i, after := range []int64{5, 4, 6} {
			wg.Go(func() {
				_, errs[i] = hub.Read(t.Context(), []string{"user:" + string(rune('a'+i))}, after, 10)
			})
			synctest.Wait()
		}
		close(held)
		wg.Wait()
		if errs[0] != nil || !errors.Is(errs[1], ErrExpired) || errs[2] != nil {
			t.Errorf("got %v", errs)
		}
	})
}

// A reading that fails is tried by itself, and fails for those alone who asked for it. So is one whose page cannot be right.
func TestAReadingThatFailsHitsOnlyThoseWhoAskedForIt(t *testing.T) {
	t.Parallel()
	for name, fail := range map[string]func([]projections.Reading, []projections.Page) error{
		"as a whole": func(asked []projections.Reading, _ []projections.Page) error {
			if slices.ContainsFunc(asked, func(r projections.Reading) bool { return slices.Contains(r.Channels, "user:bad") }) {
				return errors.New("it cannot be read")
			}
			return nil
		},
		"a page": func(asked []projections.Reading, pages []projections.Page) error {
			for i, r := range asked {
				if slices.Contains(r.Channels, "user:bad") {
					pages[i].Items = append(pages[i].Items, pages[i].Items...)
				}
			}
			return nil
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				feed := deliverytest.NewFeed()
				feed.Add("user:bad", "user:a")
				feed.Add("role:customer")
				held := make(chan struct{})
				over := feedFunc{feed, nil}
				over.read = func(ctx context.Context, asked []projections.Reading) ([]projections.Page, error) {
					<-held
					pages, err := feed.Read(ctx, asked)
					return pages, errors.Join(err, fail(asked, pages))
				}
				hub := hubOver(t, feed, func(c *Config) { c.Feed, c.Readers = over, 1 })
				go func() {
					<-time.After(time.Second)
					close(held)
				}()
				errs := readAtOnce(t, hub, []string{"order:1"}, []string{"user:a", "role:customer"}, []string{"user:bad", "role:customer"}, []string{"user:c"})
				if errs[0] != nil || errs[1] != nil || errs[2] == nil || errs[3] != nil {
					t.Errorf("got %v", errs)
				}
			})
		})
	}
}

// Who goes away is not read for, and the database is not kept at work for nobody.
// Thousands may have come back, each with pages of its own.
func TestWhatWasReadIsNotHeldByTheQueueItWaitedIn(t *testing.T) {
	t.Parallel()
	feed := deliverytest.NewFeed()
	clients := make([][]string, 40)
	for i := range clients {
		clients[i] = []string{fmt.Sprintf("user:%d", i)}
		feed.Add(clients[i]...)
	}
	feed.Add("all")
	var hub *Hub
	var frames []weak.Pointer[Frame]
	synctest.Test(t, func(t *testing.T) {
		over := feedFunc{feed, func(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
			<-time.After(time.Second)
			return feed.Read(ctx, readings)
		}}
		hub = hubOver(t, feed, func(c *Config) { c.Feed, c.Readers = over, 1 })
		var wg sync.WaitGroup
		var mu sync.Mutex
		for _, channels := range clients {
			wg.Go(func() {
				page, err := hub.Read(t.Context(), channels, 0, 100)
				mu.Lock()
				defer mu.Unlock()
				if err != nil || len(page.Frames) != 1 {
					t.Errorf("got %v, %v", page, err)
					return
				}
				frames = append(frames, weak.Make(page.Frames[0]))
			})
			synctest.Wait()
		}
		wg.Wait()
	})
	runtime.GC()
	held := 0
	for _, f := range frames {
		if f.Value() != nil {
			held++
		}
	}
	if held > 0 || len(frames) != len(clients) {
		t.Errorf("%d of %d frames are held", held, len(frames))
	}
	runtime.KeepAlive(hub)
}

func TestWhoJoinsAReadingLateHasTheTimeOfItsOwn(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		feed.Add("user:a")
		feed.Add("all")
		tries := 0
		over := feedFunc{feed, func(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
			if tries++; tries == 1 {
				<-ctx.Done() // it hangs
				return nil, ctx.Err()
			}
			return feed.Read(ctx, readings)
		}}
		hub := hubOver(t, feed, func(c *Config) { c.Feed = over })
		var wg sync.WaitGroup
		wg.Go(func() {
			if _, err := hub.Read(t.Context(), []string{"user:a"}, 0, 10); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("who came first: %v", err)
			}
		})
		<-time.After(hub.cfg.ReadTimeout - time.Second)
		if page, err := hub.Read(t.Context(), []string{"user:a"}, 0, 10); err != nil || len(page.Frames) != 1 {
			t.Errorf("who came late: %v, %v", page, err)
		}
		wg.Wait()
	})
}

func TestWhatNobodyWaitsForIsNotRead(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		feed.Add("all")
		feed.Add("all")
		over := feedFunc{feed, nil}
		var asked [][]projections.Reading
		over.read = func(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
			asked = append(asked, readings)
			<-ctx.Done() // it hangs
			return nil, ctx.Err()
		}
		hub := hubOver(t, feed, func(c *Config) { c.Feed, c.Readers = over, 1 })
		first, leave := context.WithCancel(t.Context())
		others, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i, user := range []string{"user:a", "user:b", "user:c"} {
			ctx := others
			if i == 0 {
				ctx = first
			}
			wg.Go(func() {
				if _, err := hub.Read(ctx, []string{user}, 0, 10); !errors.Is(err, context.Canceled) {
					t.Errorf("%s: got %v", user, err)
				}
			})
			synctest.Wait()
		}
		cancel()
		synctest.Wait()
		leave()
		wg.Wait()
		synctest.Wait()
		if len(asked) != 1 || len(hub.reads.flights) != 0 || len(hub.reads.batches) != 0 {
			t.Errorf("asked for %v; left: %v, %v", asked, hub.reads.flights, hub.reads.batches)
		}
		// And it hangs no longer than a reading may take, however many come for it.
		began := time.Now()
		if _, err := hub.Read(t.Context(), []string{"user:d"}, 0, 10); !errors.Is(err, context.DeadlineExceeded) || time.Since(began) != hub.cfg.ReadTimeout {
			t.Errorf("got %v after %s", err, time.Since(began))
		}
	})
}

// What waits together has less room each, and loses nothing by it; a client with many rooms is not read for with all others.
func TestABatchIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		feed.Add("all")
		feed.Add("all")
		over := feedFunc{feed, nil}
		over.read = func(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
			frames, channels := 0, 0
			for _, r := range readings {
				frames, channels = frames+r.Limit, channels+len(r.Channels)
			}
			if frames > maxBatchPages*100 || len(readings) > maxBatch || (channels > maxBatchChannels && len(readings) > 1) {
				t.Errorf("asked for %d frames of %d channels in %d readings", frames, channels, len(readings))
			}
			<-time.After(time.Second)
			return feed.Read(ctx, readings)
		}
		hub := hubOver(t, feed, func(c *Config) { c.Feed, c.Readers, c.PageSize = over, 1, 100 })
		clients := make([][]string, 200)
		for i := range clients {
			rooms := 1
			if i%20 == 7 {
				rooms = 100 + 2*i
			}
			for room := range rooms {
				clients[i] = append(clients[i], fmt.Sprintf("order:%d-%d", i, room))
			}
		}
		for i, err := range readAtOnce(t, hub, clients...) {
			if err != nil {
				t.Errorf("client %d: %v", i, err)
			}
		}
	})
}

// Of a channel that many are in, the one who waits longest is never passed over, and the lowest cursor does for the others.
func TestCursorsAllOverAChannelAreReadForAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		for range 90 {
			feed.Add("role:admin")
		}
		var asked [][]int64
		over := feedFunc{feed, nil}
		over.read = func(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
			var after []int64
			for _, r := range readings {
				after = append(after, r.After)
			}
			asked = append(asked, after)
			<-time.After(time.Second)
			return feed.Read(ctx, readings)
		}
		hub := hubOver(t, feed, func(c *Config) { c.Feed, c.Readers, c.PageSize = over, 1, 40 })
		var wg sync.WaitGroup
		for _, after := range []int64{80, 70, 20, 30, 10, 55, 60} {
			wg.Go(func() {
				page, err := hub.Read(t.Context(), []string{"role:admin"}, after, 5)
				if want := []int64{after + 1, after + 2, after + 3, after + 4, after + 5}; err != nil || !slices.Equal(seqs(page.Frames), want) {
					t.Errorf("after %d: %v, %v", after, seqs(page.Frames), err)
				}
			})
			synctest.Wait()
		}
		wg.Wait()
		if want := [][]int64{{80}, {70, 10}, {55}}; !slices.EqualFunc(asked, want, slices.Equal) {
			t.Errorf("read after %v, want %v", asked, want)
		}
	})
}

func TestAHubThatEndedReadsNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		feed := deliverytest.NewFeed()
		feed.Add("all")
		feed.Add("all")
		over := feedFunc{feed, nil}
		over.read = func(ctx context.Context, _ []projections.Reading) ([]projections.Page, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}
		hub := hubOver(t, feed, func(c *Config) { c.Feed, c.Readers = over, 1 })
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error)
		go func() { ended <- hub.Run(ctx) }()
		var wg sync.WaitGroup
		for _, user := range []string{"user:a", "user:b"} { // one is read, one is queued
			wg.Go(func() {
				if _, err := hub.Read(t.Context(), []string{user}, 0, 10); err == nil {
					t.Error("it was read")
				}
			})
			synctest.Wait()
		}
		began := time.Now()
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
		wg.Wait()
		if took := time.Since(began); took > 0 {
			t.Errorf("that took %s", took)
		}
		if _, err := hub.Read(t.Context(), []string{"user:a"}, 0, 10); !errors.Is(err, errHubEnded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestWhatIsKeptIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var p pages
		page := func(after int64, size int) Page {
			return Page{Frames: []*Frame{{Seq: after + 1, tail: make([]byte, size)}}, Position: after + 1}
		}
		for after := range int64(3 * maxKeptPages) {
			p.keep("all", 2*after, page(2*after, 10), 1)
		}
		if len(p.kept) != maxKeptPages {
			t.Errorf("%d pages", len(p.kept))
		}
		for after := range int64(40) {
			p.keep("all", 2*after, page(2*after, maxKeptBytes/10), 1)
			bytes := 0
			for _, k := range p.kept {
				bytes += k.Frames[0].Size()
			}
			if bytes != p.bytes || bytes > maxKeptBytes {
				t.Fatalf("%d bytes, counted as %d", bytes, p.bytes)
			}
		}
		p.keep("all", 5, page(5, maxKeptBytes+1), 1)
		if p.find("all", 5, 1).Position != 5 {
			t.Error("it kept what is larger than all")
		}
		<-time.After(keptFor)
		synctest.Wait()
		if len(p.kept) != 0 || p.bytes != 0 {
			t.Errorf("%d pages of %d bytes are kept for longer than a moment", len(p.kept), p.bytes)
		}
	})
}

// Pages are shared, and have room behind their frames: who goes on with one must not write there.
func TestWhoGoesOnWithASharedPageLeavesItAsItIs(t *testing.T) {
	t.Parallel()
	frames := func(seqs ...int64) (made []*Frame) {
		for _, seq := range seqs {
			made = append(made, &Frame{Seq: seq})
		}
		return made
	}
	kept := Page{Frames: slices.Grow(frames(1, 2), 8), Position: 3}
	one := kept.with(Page{Frames: frames(2, 5), Position: 5})
	other := kept.with(Page{Frames: frames(4, 7), Position: 8, More: true})
	if got := seqs(one.Frames); !slices.Equal(got, []int64{1, 2, 5}) || one.Position != 5 || one.More {
		t.Errorf("%v, %+v", got, one)
	}
	if got := seqs(other.Frames); !slices.Equal(got, []int64{1, 2, 4, 7}) || other.Position != 8 || !other.More {
		t.Errorf("%v, %+v", got, other)
	}
}
