package main

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// answered is a command that the server said it had carried out.
type answered struct {
	order uuid.UUID
	seq   int64
}

// checkLog reads the whole log: dense, each stream in order, and each answered command where it was said to be.
func checkLog(t *testing.T, store *eventstore.Store, commands []answered) []eventstore.Recorded {
	t.Helper()
	head, err := store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	log, err := store.ReadLog(t.Context(), 0, 1_000_000) // finds gaps
	if err != nil || int64(len(log)) != head.Seq {
		t.Fatalf("the log has %d events and its head is %d, %v", len(log), head.Seq, err)
	}
	versions := map[eventstore.StreamID]int64{}
	for _, e := range log {
		if versions[e.Stream]++; versions[e.Stream] != e.Version {
			t.Fatalf("seq %d is version %d of its stream, want %d", e.Seq, e.Version, versions[e.Stream])
		}
	}
	for _, c := range commands {
		if c.seq < 1 || c.seq > head.Seq || log[c.seq-1].Stream.ID != c.order {
			t.Errorf("the command answered with seq %d for order %s is not there", c.seq, c.order)
		}
	}
	return log
}

// atRest waits until what the program does by itself has come to the end of the log: when nobody asks for anything,
// nothing is appended any more.
func atRest(t *testing.T, pool *pgxpool.Pool) {
	t.Helper()
	parttest.Eventually(t, "the inbox to be written up to the end of the log", func() bool {
		lags, err := projections.Lags(t.Context(), pool)
		i := slices.IndexFunc(lags, func(l projections.Lag) bool { return l.Group == projections.GroupInbox })
		return err == nil && i >= 0 && lags[i].Position == lags[i].Head
	})
}

// checkInboxes requires of a log at rest that each event of an order led to one entry in its customer's inbox, and that
// the entries of each customer are in the order of what they tell of. It returns their seqs by customer.
func checkInboxes(t *testing.T, log []eventstore.Recorded) map[string][]int64 {
	t.Helper()
	untold := map[string]eventstore.Recorded{} // events of orders by id, as the entries name them
	newest := map[string]int64{}               // by customer, what its newest entry tells of
	entries := map[string][]int64{}
	for _, e := range log {
		var data struct {
			UserID, CustomerID string
			OrderID            uuid.UUID
		}
		var meta eventstore.Meta
		if err := json.Unmarshal(e.Data, &data); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal(e.Meta, &meta); err != nil {
			t.Fatal(err)
		}
		switch e.Stream.Type {
		case order.StreamType:
			untold[e.ID.String()] = e
		case inbox.StreamType:
			cause, ok := untold[meta.CausationID]
			if !ok {
				t.Errorf("the entry at seq %d tells of event %q, which is told of already or is none of an order", e.Seq, meta.CausationID)
				continue
			}
			delete(untold, meta.CausationID)
			var of struct{ CustomerID string }
			if err := json.Unmarshal(cause.Data, &of); err != nil {
				t.Fatal(err)
			}
			if data.UserID != of.CustomerID || data.OrderID != cause.Stream.ID {
				t.Errorf("the entry at seq %d is %s's on order %s, and tells of %s of %s's order %s",
					e.Seq, data.UserID, data.OrderID, cause.Type, of.CustomerID, cause.Stream.ID)
			}
			if cause.Seq < newest[data.UserID] {
				t.Errorf("%s is told of seq %d after it was told of seq %d", data.UserID, cause.Seq, newest[data.UserID])
			}
			newest[data.UserID] = cause.Seq
			entries[data.UserID] = append(entries[data.UserID], e.Seq)
		}
	}
	if len(untold) > 0 {
		t.Errorf("nobody is told of %d events of orders: %v", len(untold), slices.Collect(maps.Keys(untold)))
	}
	return entries
}

// TestKillingTheServerLosesNothingThatWasAnswered kills it with SIGKILL in the middle of appends, ten times.
func TestKillingTheServerLosesNothingThatWasAnswered(t *testing.T) {
	t.Parallel()
	const kills, perLife, writers = 10, 60, 8
	url := pgtest.Database(t)
	var current atomic.Pointer[server]
	current.Store(startProcess(t, serverSettings(t, url)))
	product := current.Load().openShop(t)

	var all []*subscriber
	for i, transport := range transports {
		all = append(all,
			subscribe(t, transport.driver(), fmt.Sprintf("customer-%d", i), domain.RoleCustomer),
			subscribe(t, transport.driver(), fmt.Sprintf("courier-%d", i), domain.RoleDelivery),
			subscribe(t, transport.driver(), fmt.Sprintf("admin-%d", i), domain.RoleAdmin))
	}
	p := &course{of: perLife * (kills + 1)}
	var followers sync.WaitGroup
	for _, sub := range all {
		followers.Go(func() {
			if err := sub.follow(t.Context(), func() string { return current.Load().url }, 100*time.Millisecond, 50, p); err != nil {
				t.Error(err)
			}
		})
	}

	var mu sync.Mutex
	var done []answered
	unanswered := 0
	for life := range kills + 1 {
		s := current.Load()
		killed := make(chan struct{})
		var inLife atomic.Int64
		var wg sync.WaitGroup
		for w := range writers {
			wg.Go(func() {
				customer := tokenFor(t, fmt.Sprintf("customer-%d", w), domain.RoleCustomer)
				for {
					a, err := s.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product))
					if err != nil || a.status != 201 {
						mu.Lock()
						unanswered++
						mu.Unlock()
						return // it is gone
					}
					mu.Lock()
					done = append(done, answered{uuid.MustParse(a.body["id"].(string)), a.seq()})
					mu.Unlock()
					p.done.Add(1)
					if inLife.Add(1) == perLife && life < kills { // the others are in the middle of theirs
						s.kill()
						close(killed)
						return
					}
					if life == kills && inLife.Load() >= perLife {
						return
					}
				}
			})
		}
		wg.Wait()
		if life < kills {
			<-killed
			current.Store(startProcess(t, serverSettings(t, url)))
		}
	}
	if len(done) < kills*perLife || unanswered == 0 {
		t.Errorf("%d commands were answered and %d were not: the kills did not hit appends", len(done), unanswered)
	}

	pool := pgtest.Pool(t, url)
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), done)
	entries := checkInboxes(t, log)
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	p.over.Store(true)
	followers.Wait()
	deliveries := 0
	for _, sub := range all {
		if err := sub.finish(t.Context(), current.Load().url); err != nil {
			t.Error(err)
		}
		deliveries += sub.check(t, feed, entries)
	}
	t.Logf("%d kills, %d commands answered, %d not, %d events in the log, %d deliveries", kills, len(done), unanswered, len(log), deliveries)
}

// TestTwoNodesOnOneDatabase has two processes append at once.
func TestTwoNodesOnOneDatabase(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	var nodes [2]*server
	var starting sync.WaitGroup
	for i := range nodes { // both find the database empty of orders and its schema in place
		starting.Go(func() { nodes[i] = startProcess(t, serverSettings(t, url)) })
	}
	starting.Wait()
	if t.Failed() {
		return
	}
	product := nodes[0].openShop(t)
	admin := tokenFor(t, "boss", domain.RoleAdmin)

	const writers, each = 8, 25
	var mu sync.Mutex
	var done []answered
	confirmed, refused := 0, 0
	var wg sync.WaitGroup
	for w := range writers {
		wg.Go(func() {
			customer := tokenFor(t, fmt.Sprintf("customer-%d", w), domain.RoleCustomer)
			for i := range each {
				here, there := nodes[(w+i)%2], nodes[(w+i+1)%2]
				key := []string{"Idempotency-Key", fmt.Sprintf("order-%d-%d", w, i)}
				first, err := here.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product), key...)
				if err != nil || first.status != 201 {
					t.Errorf("place: %v %v", first, err)
					return
				}
				// The same once more, at the other node.
				again, err := there.call(t.Context(), "POST", "/api/v1/orders", customer, orderOf(product), key...)
				if err != nil || again.status != 201 || again.body["id"] != first.body["id"] || again.seq() != first.seq() ||
					again.header.Get("Idempotent-Replayed") != "true" {
					t.Errorf("the repeated key: %v %v, first %v", again, err, first)
				}
				mu.Lock()
				done = append(done, answered{uuid.MustParse(first.body["id"].(string)), first.seq()})
				mu.Unlock()
				// Both nodes are asked to take the same step at once: one does, one is told that it is taken.
				var pair sync.WaitGroup
				for _, node := range nodes {
					pair.Go(func() {
						a, err := node.call(t.Context(), "PATCH", fmt.Sprintf("/api/v1/orders/%s/status", first.body["id"]), admin, map[string]any{"status": "confirmed"})
						mu.Lock()
						defer mu.Unlock()
						switch {
						case err == nil && a.status == 200:
							confirmed++
							done = append(done, answered{uuid.MustParse(first.body["id"].(string)), a.seq()})
						case err == nil && a.status == 409 && a.body["code"] == "invalid_transition":
							refused++
						default:
							t.Errorf("confirm: %v %v", a, err)
						}
					})
				}
				pair.Wait()
			}
		})
	}
	wg.Wait()
	if n := writers * each; confirmed != n || refused != n {
		t.Errorf("of %d steps asked for twice %d were taken and %d refused", n, confirmed, refused)
	}
	pool := pgtest.Pool(t, url)
	atRest(t, pool)
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), done)
	entries := checkInboxes(t, log)
	if want := 2 + 4*writers*each; len(log) != want { // an order placed and confirmed, and an entry for either
		t.Errorf("the log has %d events, want %d", len(log), want)
	}
	if len(entries) != writers {
		t.Errorf("%d customers have entries in their inbox, want %d", len(entries), writers)
	}
}
