package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// subscriber is a client with the channels whose events it must get.
type subscriber struct {
	*client
	name     string
	channels []string
}

// subscribers are n clients of all roles, over a transport.
func subscribers(t *testing.T, n int, made func() driver) (all []*subscriber) {
	t.Helper()
	for i := range n {
		name, role := fmt.Sprintf("customer-%d", i%30), domain.RoleCustomer
		switch {
		case i >= n-n/10:
			name, role = fmt.Sprintf("courier-%d", i), domain.RoleDelivery
		case i >= n-3*n/10:
			name, role = fmt.Sprintf("admin-%d", i), domain.RoleAdmin
		}
		all = append(all, subscribe(t, made(), name, role))
	}
	return all
}

func subscribe(t *testing.T, d driver, name string, role domain.Role) *subscriber {
	t.Helper()
	return &subscriber{
		client: newClient(t, d, name, role), name: name,
		channels: []string{projections.ChannelAll, projections.ChannelRole(role), projections.ChannelUser(name)},
	}
}

// course is how far a test has come. What clients suffer meanwhile is spread over all of it, so that a slow machine
// is not asked for more.
type course struct {
	of   int64        // steps
	done atomic.Int64 // of them
	over atomic.Bool  // nothing happens any more
}

// due tells whether it is time for the nth of so many cuts.
func (p *course) due(n, cuts int) bool {
	return p.over.Load() || int64(n)*p.of <= p.done.Load()*int64(cuts)
}

// follow stays connected for a while, again and again, until it was cut so many times and the test is over. It is cut
// after a random number of frames or a random while of up to long, whichever comes first and once that is due: before the
// answer, in the middle of the replay, or live.
func (s *subscriber) follow(ctx context.Context, server func() string, long time.Duration, cuts int, p *course) error {
	for s.cuts < cuts || !p.over.Load() {
		conn, err := s.connect(ctx, server())
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			continue // the server is away
		}
		n, ended := s.cuts, make(chan struct{})
		var tunnel sync.WaitGroup
		tunnel.Go(func() {
			for {
				select {
				case <-ended:
					return
				case <-time.After(rand.N(long)):
					if p.due(n, cuts) {
						conn.link.cut()
						return
					}
				}
			}
		})
		for left := rand.IntN(60); left > 0 || !p.due(n, cuts); left-- {
			if _, err = conn.next(ctx); err != nil {
				break
			}
		}
		close(ended)
		tunnel.Wait()
		conn.cut()
		if isFault(err) {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	return nil
}

// finish connects once more and reads until it is told that it has everything.
func (s *subscriber) finish(ctx context.Context, server string) error {
	conn, err := s.connect(ctx, server)
	if err != nil {
		return err
	}
	defer conn.link.cut()
	for {
		f, err := conn.next(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
		if f.event == "caught_up" {
			return nil
		}
	}
}

// check compares what a subscriber got with what the log says it must have got; entries are those of the inboxes.
func (s *subscriber) check(t *testing.T, feed *projections.FeedLog, entries map[string][]int64) (events int) {
	t.Helper()
	var want []int64
	for after := int64(0); ; {
		page, err := feed.ReadChannels(t.Context(), s.channels, after, 500)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range page.Items {
			want = append(want, n.Seq)
		}
		if after = page.Position; !page.More {
			break
		}
	}
	if !slices.Equal(s.got, want) {
		t.Errorf("%s got %d events, its channels have %d:\n got %v\nwant %v", s.name, len(s.got), len(want), s.got, want)
	}
	if want := entries[s.name]; !slices.Equal(s.inbox, want) {
		t.Errorf("%s was told of the entries %v, its inbox has %v", s.name, s.inbox, want)
	}
	return len(want)
}

// insist asks until the server knows whether it was done: one that has too much to do, or lost its database meanwhile, is
// asked for the same again.
func insist(ctx context.Context, s *server, method, path, token string, body any) (a answer, err error) {
	key := uuid.NewString()
	for range 10 {
		if a, err = s.call(ctx, method, path, token, body, "Idempotency-Key", key); err != nil || a.status != http.StatusServiceUnavailable {
			break
		}
	}
	return a, err
}

// shopkeeping places orders and moves them on until it was done n times; each call is expected to pass.
func shopkeeping(t *testing.T, s *server, product string, n int, p *course) {
	t.Helper()
	admin := tokenFor(t, "boss", domain.RoleAdmin)
	var wg sync.WaitGroup
	jobs := make(chan int)
	for range 4 {
		wg.Go(func() {
			for i := range jobs {
				customer := tokenFor(t, fmt.Sprintf("customer-%d", i%30), domain.RoleCustomer)
				a, err := insist(t.Context(), s, "POST", "/api/v1/orders", customer, orderOf(product))
				if err != nil || a.status != 201 {
					t.Errorf("order %d: %v %v", i, a, err)
					continue
				}
				path := fmt.Sprintf("/api/v1/orders/%s", a.body["id"])
				if i%4 == 3 {
					a, err = insist(t.Context(), s, "POST", path+"/cancel", customer, map[string]any{"reason": "changed my mind"})
				} else {
					for _, to := range []string{"confirmed", "preparing", "ready"} {
						a, err = insist(t.Context(), s, "PATCH", path+"/status", admin, map[string]any{"status": to})
						if err != nil || a.status != 200 {
							break
						}
					}
				}
				if err != nil || a.status != 200 {
					t.Errorf("order %d: %v %v", i, a, err)
				}
				if i%20 == 0 {
					a, err = insist(t.Context(), s, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": true, "message": fmt.Sprint("still open, ", i)})
					if err != nil || a.status != 200 {
						t.Errorf("announcement %d: %v %v", i, a, err)
					}
				}
				p.done.Add(1)
			}
		})
	}
	for i := range n {
		jobs <- i
	}
	close(jobs)
	wg.Wait()
}

// TestFiftyClientsMissNothing is the promise of the product: whatever the network does to a client, it ends
// with exactly the events of its channels, in order, once. There are fifty clients of each transport, in one shop.
func TestFiftyClientsMissNothing(t *testing.T) {
	t.Parallel()
	const clients, cutsEach, orders = 50, 22, 250
	url := pgtest.Database(t)
	s := start(t, serverSettings(t, url))
	product := s.openShop(t)

	p := &course{of: orders}
	var wg sync.WaitGroup
	all := make([][]*subscriber, len(transports))
	for i, transport := range transports {
		all[i] = subscribers(t, clients, transport.driver)
		for _, sub := range all[i] {
			wg.Go(func() {
				if err := sub.follow(t.Context(), func() string { return s.url }, 200*time.Millisecond, cutsEach, p); err != nil {
					t.Errorf("%s: %v", transport.name, err)
				}
			})
		}
	}
	shopkeeping(t, s, product, orders, p)
	pool := pgtest.Pool(t, url)
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), nil)
	entries := checkInboxes(t, log)
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	p.over.Store(true)
	wg.Wait()

	for i, transport := range transports {
		t.Run(transport.name, func(t *testing.T) {
			t.Parallel()
			cuts, events := 0, 0
			for _, sub := range all[i] {
				if err := sub.finish(t.Context(), s.url); err != nil {
					t.Error(err)
				}
				events += sub.check(t, feed, entries)
				cuts += sub.cuts
			}
			if cuts < 1000 {
				t.Errorf("the clients were cut %d times, want 1000", cuts)
			}
			t.Logf("%d clients, %d cuts, %d events in the log, %d deliveries", clients, cuts, len(log), events)
		})
	}
}

func awaitFeed(t *testing.T, feed *projections.FeedLog, seq int64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	parttest.Eventually(t, fmt.Sprintf("the feed to reach %d", seq), func() bool {
		b, err := feed.Bounds(ctx)
		return err == nil && b.Position >= seq
	})
}
