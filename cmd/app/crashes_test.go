package main

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// PostgreSQL is ended without notice under two nodes, over and over, while clients of both are told of what happens. The
// projections do not wait for the disk (docs/adr/0001), and here the disk is asked for as seldom as PostgreSQL allows, so
// that each crash takes something of the feed that clients were told of already, from the memory of the node that wrote it.
// What they were told of must be in the log all the same: the same event at the same seq.
func TestPostgresCrashesUnderTwoNodes(t *testing.T) {
	t.Parallel()
	const perLife, writers = 25, 6
	place := localpg.Config{
		Dir: filepath.Join(dataFolder(t), "postgres"), NoSync: true,
		Settings: map[string]string{"fsync": "off", "wal_writer_delay": "10s"},
	}
	pg, err := localpg.Start(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { stopDatabase(t, pg) }()
	nodes := [2]*server{startProcess(t, serverSettings(t, pg.URL(""))), startProcess(t, serverSettings(t, pg.URL("")))}
	defer func() {
		for _, node := range nodes {
			node.kill()
		}
	}()
	product := nodes[0].openShop(t)

	signals := []syscall.Signal{syscall.SIGQUIT, syscall.SIGKILL, syscall.SIGQUIT, syscall.SIGKILL}
	p := &course{of: int64(perLife * (len(signals) + 1))}
	var all []*subscriber
	var followers sync.WaitGroup
	for i, transport := range transports {
		for at, node := range nodes {
			for _, sub := range []*subscriber{
				subscribe(t, transport.driver(), fmt.Sprintf("customer-%d", i), domain.RoleCustomer),
				subscribe(t, transport.driver(), fmt.Sprintf("admin-%d-%d", i, at), domain.RoleAdmin),
			} {
				sub.told = map[int64]json.RawMessage{}
				all = append(all, sub)
				followers.Go(func() {
					if err := sub.follow(t.Context(), func() string { return node.url }, time.Second, 3, p); err != nil {
						t.Error(err)
					}
				})
			}
		}
	}

	book := &tries{product: product}
	ctx, enough := context.WithCancel(t.Context())
	var load sync.WaitGroup
	defer load.Wait()
	defer enough()
	for w := range writers {
		customer := tokenFor(t, fmt.Sprintf("customer-%d", w), domain.RoleCustomer)
		load.Go(func() {
			for i := w; ctx.Err() == nil; i++ {
				if book.order(context.WithoutCancel(ctx), nodes[i%2], customer) {
					p.done.Add(1)
				}
			}
		})
	}
	answeredSome := func() {
		upTo := p.done.Load() + perLife
		parttest.Eventually(t, "commands to be taken", func() bool { return p.done.Load() >= upTo })
	}
	for _, signal := range signals {
		answeredSome()
		if err := syscall.Kill(pg.PID(), signal); err != nil {
			t.Fatal(err)
		}
		<-pg.Done()
		_ = pg.Stop(context.WithoutCancel(t.Context())) // it has ended, and not in order
		if pg, err = localpg.Start(t.Context(), place); err != nil {
			t.Fatal(err)
		}
	}
	answeredSome()
	enough()
	load.Wait()

	pool := pgtest.Pool(t, pg.URL(""))
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), book.answered)
	entries := checkInboxes(t, log)
	book.check(t, log)
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	p.over.Store(true)
	followers.Wait()
	deliveries := 0
	for i, sub := range all {
		if err := sub.finish(t.Context(), nodes[i%2].url); err != nil {
			t.Error(err)
		}
		deliveries += sub.check(t, feed, entries)
		checkTold(t, pool, sub)
	}
	t.Logf("%d crashes, %d commands answered, %d with an unknown outcome, %d refused, %d events in the log, %d deliveries",
		len(signals), len(book.answered), len(book.unknown), len(book.refused), len(log), deliveries)
}

// checkTold compares what a client was told of, word by word, with what is in the notification log at those seqs.
func checkTold(t *testing.T, pool *pgxpool.Pool, sub *subscriber) {
	t.Helper()
	rows, err := pool.Query(t.Context(), `SELECT seq, payload FROM notification_log WHERE seq = ANY($1)`, slices.Collect(maps.Keys(sub.told)))
	if err != nil {
		t.Fatal(err)
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		var data json.RawMessage
		if err := rows.Scan(&seq, &data); err != nil {
			t.Fatal(err)
		}
		if !includes(t, string(sub.told[seq]), string(data)) {
			t.Errorf("%s was told of seq %d as %s, and it is %s", sub.name, seq, sub.told[seq], data)
		}
	}
	if err := rows.Err(); err != nil {
		t.Fatal(err)
	}
}

// tries are orders that were asked for, each at an address of its own, by what came of them.
type tries struct {
	product string
	n       atomic.Int64

	mu       sync.Mutex
	answered []answered
	done     []string // addresses: answered with 201 …
	refused  []string // … with an error by which nothing was stored …
	unknown  []string // … and not at all, or with the word that it is not known
}

// order asks a node for one, once, and says whether it was placed.
func (b *tries) order(ctx context.Context, at *server, customer string) bool {
	body := orderOf(b.product)
	address := fmt.Sprint("Via Roma ", b.n.Add(1))
	body["deliveryAddress"] = address
	a, err := at.call(ctx, "POST", "/api/v1/orders", customer, body)
	if !b.note(address, a, err) {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answered = append(b.answered, answered{uuid.MustParse(a.body["id"].(string)), a.seq()})
	return true
}

// announce tells a node once to announce something, in words of its own.
func (b *tries) announce(ctx context.Context, at *server, admin string) bool {
	message := fmt.Sprint("Via Roma ", b.n.Add(1), " is open")
	a, err := at.call(ctx, "PATCH", "/api/v1/business/status", admin, map[string]any{"isOpen": true, "message": message})
	return b.note(message, a, err)
}

// note takes down what came of a try, and says whether it was done.
func (b *tries) note(address string, a answer, err error) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch {
	case err == nil && a.status < 300:
		b.done = append(b.done, address)
		return true
	case err == nil && a.status >= 400 && a.body["code"] != "outcome_unknown":
		b.refused = append(b.refused, address)
	default:
		b.unknown = append(b.unknown, address)
	}
	return false
}

// check holds the log to what was answered: what was done is there once, what was refused is not, and of what is not known
// there is one at most.
func (b *tries) check(t *testing.T, log []eventstore.Recorded) {
	t.Helper()
	stored := map[string]int{}
	for _, e := range log {
		var data struct{ DeliveryAddress, Message string }
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		stored[data.DeliveryAddress+data.Message]++
	}
	for _, address := range b.done {
		if stored[address] != 1 {
			t.Errorf("the order to %s was answered, and is in the log %d times", address, stored[address])
		}
	}
	for _, address := range b.refused {
		if stored[address] != 0 {
			t.Errorf("the order to %s was refused, and is in the log %d times", address, stored[address])
		}
	}
	for _, address := range b.unknown {
		if stored[address] > 1 {
			t.Errorf("the order to %s is in the log %d times", address, stored[address])
		}
	}
}
