package main

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// A node that is frozen in the middle of an append holds the log's head, for which all who append wait. The server ends its
// transaction after 3 s, so that the other node goes on within the time that a command has; those that only keep the others
// from working for a projection after 10 s. When the frozen one wakes up, it does no harm and tells its callers what came of
// what they asked for.
func TestAFrozenNodeStopsNobodyForLong(t *testing.T) {
	t.Parallel()
	const bound, feedBound = 10 * time.Second, 20 * time.Second // with what a busy machine takes beside
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	frozen, other := startProcess(t, serverSettings(t, url)), startProcess(t, serverSettings(t, url))
	book := &tries{product: frozen.openShop(t)}
	admin, customer := tokenFor(t, "boss", domain.RoleAdmin), tokenFor(t, "carl", domain.RoleCustomer)
	var listening []*subscriber
	var connections []*connection
	for i, node := range []*server{frozen, other} {
		sub := subscribe(t, &overWebSocket{protocol: "orderlog.v1"}, fmt.Sprint("admin-", i), domain.RoleAdmin)
		listening, connections = append(listening, sub), append(connections, sub.begin(t, node.url))
	}

	// Appends to one stream that are in each other's way take the long way, of two round trips under the lock.
	ctx, enough := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer enough()
	var announced atomic.Int64
	for range 8 {
		load.Go(func() {
			for ctx.Err() == nil {
				if book.announce(context.WithoutCancel(ctx), frozen, admin) {
					announced.Add(1)
				}
			}
		})
	}
	signal := func(s syscall.Signal) {
		if err := syscall.Kill(frozen.pid, s); err != nil {
			t.Fatal(err)
		}
	}
	freezes := 0
	parttest.Eventually(t, "the node to be frozen while it holds the log's head", func() bool {
		upTo := announced.Load() + 1
		parttest.Eventually(t, "something to be announced", func() bool { return announced.Load() >= upTo })
		signal(syscall.SIGSTOP)
		freezes++
		if holdsTheHead(t, pool) {
			return true
		}
		signal(syscall.SIGCONT)
		return false
	})
	defer signal(syscall.SIGCONT)

	began := time.Now()
	a, err := insist(t.Context(), other, "POST", "/api/v1/orders", customer, orderOf(book.product))
	waited := time.Since(began)
	if err != nil || a.status != http.StatusCreated || waited > bound {
		t.Fatalf("the other node answered %v, %v after %s", a, err, waited)
	}
	awaitFeed(t, projections.NewFeedLog(pool), a.seq())
	for connections[1].c.last < a.seq() { // whichever node had worked for the feed
		if _, err := connections[1].next(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if d := time.Since(began); d > feedBound {
		t.Errorf("those who listen at the other node were told after %s", d)
	}
	for range 3 {
		began := time.Now()
		other.must(t, http.StatusCreated, "POST", "/api/v1/orders", customer, orderOf(book.product))
		if d := time.Since(began); d > bound/2 {
			t.Errorf("afterwards an order took %s", d)
		}
	}

	signal(syscall.SIGCONT)
	upTo := announced.Load() + 8
	parttest.Eventually(t, "the node to go on", func() bool { return announced.Load() >= upTo })
	enough()
	load.Wait()
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), nil)
	book.check(t, log)
	entries := checkInboxes(t, log)
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	for i, sub := range listening {
		connections[i].cut()
		if err := sub.finish(t.Context(), []*server{frozen, other}[i].url); err != nil {
			t.Error(err)
		}
		sub.check(t, feed, entries)
	}
	parttest.Eventually(t, "the node that was frozen to be ready", func() bool {
		a, err := frozen.call(t.Context(), "GET", "/ready", "", nil)
		return err == nil && a.status == http.StatusOK
	})
	t.Logf("frozen %d times until it held the head; the other node then waited %s; %d announced, %d refused, %d unknown",
		freezes, waited.Round(time.Millisecond), len(book.done), len(book.refused), len(book.unknown))
}

// holdsTheHead tells whether a session of a node is in an append and does not go on. Only nodes that are frozen stay there.
func holdsTheHead(t *testing.T, pool *pgxpool.Pool) (holds bool) {
	t.Helper()
	for range 2 { // what was on its way when the node was frozen arrives meanwhile
		err := pool.QueryRow(t.Context(), `
SELECT EXISTS (
	SELECT FROM pg_stat_activity WHERE datname = current_database() AND state = 'idle in transaction'
	AND query LIKE '%FROM streams%' AND state_change < clock_timestamp() - interval '20 ms'
) FROM pg_sleep(0.05)`).Scan(&holds)
		if err != nil {
			t.Fatal(err)
		}
		if !holds {
			return false
		}
	}
	return true
}
