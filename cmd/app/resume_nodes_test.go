package main

import (
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// TestClientsMoveBetweenNodes has clients of every transport come back to whichever of two nodes there is, while one of
// them is killed, or stopped, and started again.
func TestClientsMoveBetweenNodes(t *testing.T) {
	t.Parallel()
	const orders, cutsEach = 120, 50
	url := pgtest.Database(t)
	stays := startProcess(t, serverSettings(t, url))
	product := stays.openShop(t)
	var other atomic.Pointer[server]
	other.Store(startProcess(t, serverSettings(t, url)))
	either := func() string { return []string{stays.url, other.Load().url}[rand.IntN(2)] }

	var all []*subscriber
	p := &course{of: orders}
	var wg sync.WaitGroup
	for i, transport := range transports {
		for _, sub := range []*subscriber{
			subscribe(t, transport.driver(), fmt.Sprintf("customer-%d", i), domain.RoleCustomer),
			subscribe(t, transport.driver(), fmt.Sprintf("admin-%d", i), domain.RoleAdmin),
		} {
			all = append(all, sub)
			wg.Go(func() {
				if err := sub.follow(t.Context(), either, 100*time.Millisecond, cutsEach, p); err != nil {
					t.Errorf("%s: %v", transport.name, err)
				}
			})
		}
	}
	var shopping sync.WaitGroup
	shopping.Go(func() { shopkeeping(t, stays, product, orders, p) })
	for _, end := range []func(*server){func(s *server) { s.kill() }, func(s *server) { s.stop() }, func(s *server) { s.kill() }} {
		end(other.Load())
		other.Store(startProcess(t, serverSettings(t, url)))
	}
	shopping.Wait()
	pool := pgtest.Pool(t, url)
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), nil)
	entries := checkInboxes(t, log)
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	p.over.Store(true)
	wg.Wait()
	for _, sub := range all {
		if err := sub.finish(t.Context(), other.Load().url); err != nil {
			t.Error(err)
		}
		sub.check(t, feed, entries)
	}
}
