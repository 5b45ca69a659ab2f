package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"slices"
	"strconv"
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

// One node after the other is stopped and started again while both are asked and listened to. Clients that go to the other
// node when a connection is refused see nothing else fail, neither over connections that they keep nor over new ones, and
// those that listen miss nothing.
func TestTwoNodesAreRestartedOneAfterTheOther(t *testing.T) {
	t.Parallel()
	const rounds, between, askers = 4, 60, 10
	url := pgtest.Database(t)
	var nodes [2]*server
	var env [2]settings
	for i := range nodes {
		env[i] = serverSettings(t, url)
		env[i]["PORT"], env[i]["DRAIN_DELAY"] = freePort(t), "3s" // longer than a client can be slow
		nodes[i] = startProcess(t, env[i])
	}
	urls := [2]string{nodes[0].url, nodes[1].url} // they stay
	product := nodes[0].openShop(t)

	p := &course{of: rounds * 2 * between}
	var all []*subscriber
	var followers sync.WaitGroup
	for i, transport := range transports {
		for _, sub := range []*subscriber{
			subscribe(t, transport.driver(), fmt.Sprintf("customer-%d", i), domain.RoleCustomer),
			subscribe(t, transport.driver(), fmt.Sprintf("admin-%d", i), domain.RoleAdmin),
		} {
			all = append(all, sub)
			var n atomic.Int64
			followers.Go(func() {
				if err := sub.follow(t.Context(), func() string { return urls[n.Add(1)%2] }, time.Second, 2, p); err != nil {
					t.Error(err)
				}
			})
		}
	}

	ctx, enough := context.WithCancel(t.Context())
	defer enough()
	var asking sync.WaitGroup
	askings := make([]*asker, askers)
	for i := range askings {
		a := &asker{
			urls: urls, at: i % 2, product: product, token: tokenFor(t, fmt.Sprintf("customer-%d", i), domain.RoleCustomer),
			client: http.Client{Transport: &http.Transport{DisableKeepAlives: i == 8}, Timeout: 30 * time.Second},
		}
		askings[i] = a
		asking.Go(func() {
			defer a.client.CloseIdleConnections()
			for ctx.Err() == nil {
				if err := a.asks(context.WithoutCancel(ctx)); err != nil {
					t.Errorf("asker %d: %v", i, err)
				}
				p.done.Add(1)
				if i%2 == 0 { // half of them leave their connections idle for a while
					time.Sleep(rand.N(100 * time.Millisecond)) //nolint:forbidigo // not for something to happen
				}
			}
		})
	}
	for round := range rounds * 2 {
		upTo := p.done.Load() + between
		parttest.Eventually(t, "requests to be answered", func() bool { return p.done.Load() >= upTo })
		i := round % 2
		nodes[i].stop()
		if code := nodes[i].exit(); code != 0 {
			t.Errorf("a node that was told to stop ended with %d:\n%s", code, nodes[i].said())
		}
		nodes[i] = startProcess(t, env[i])
	}
	enough()
	asking.Wait()

	pool := pgtest.Pool(t, url)
	atRest(t, pool)
	var done []answered
	refused := 0
	for _, a := range askings {
		done, refused = append(done, a.placed...), refused+a.refused
	}
	log := checkLog(t, eventstore.Open(pool, eventstore.Options{}), done)
	entries := checkInboxes(t, log)
	feed := projections.NewFeedLog(pool)
	awaitFeed(t, feed, int64(len(log)))
	p.over.Store(true)
	followers.Wait()
	var hints []time.Duration
	for i, sub := range all {
		if err := sub.finish(t.Context(), urls[i%2]); err != nil {
			t.Error(err)
		}
		sub.check(t, feed, entries)
		hints = append(hints, sub.hints...)
	}
	slices.Sort(hints)
	if n := len(slices.Compact(slices.Clone(hints))); n < len(hints)/2 || n < rounds {
		t.Errorf("clients were asked to stay away for %v: they come back together", hints)
	}
	if refused == 0 {
		t.Error("nobody was refused a connection: no node was ever away")
	}
	t.Logf("%d restarts, %d requests, %d of them refused a connection, %d orders, %d hints", rounds*2, p.done.Load(), refused, len(done), len(hints))
}

// asker asks one node over connections that it keeps, until it is refused one; then the other.
type asker struct {
	urls           [2]string
	at             int
	product, token string
	client         http.Client

	placed  []answered
	refused int
}

// asks places an order, or now and then reads the menu. A command is sent once: without a key the client may not repeat it.
func (a *asker) asks(ctx context.Context) error {
	method, path, want := http.MethodPost, "/api/v1/orders", http.StatusCreated
	body, err := json.Marshal(orderOf(a.product))
	if err != nil {
		return err
	}
	if rand.N(4) == 0 {
		method, path, want, body = http.MethodGet, "/api/v1/products", http.StatusOK, nil
	}
	for {
		request, err := http.NewRequestWithContext(ctx, method, a.urls[a.at]+path, bytes.NewReader(body))
		if err != nil {
			return err
		}
		request.Header.Set("Authorization", "Bearer "+a.token)
		request.Header.Set("Content-Type", "application/json")
		response, err := a.client.Do(request)
		// Also a connection that the listener's end resets before it is made carried no request.
		if op := (*net.OpError)(nil); errors.As(err, &op) && op.Op == "dial" {
			a.refused++
			a.at = 1 - a.at
			continue
		}
		if err != nil {
			return err
		}
		text, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			return fmt.Errorf("%s %s was cut: %w", method, path, err)
		}
		if response.StatusCode != want {
			return fmt.Errorf("%s %s answered %d %s", method, path, response.StatusCode, text)
		}
		if method == http.MethodPost {
			var order struct{ ID uuid.UUID }
			seq, err := strconv.ParseInt(response.Header.Get("X-Seq"), 10, 64)
			if err = errors.Join(err, json.Unmarshal(text, &order)); err != nil {
				return err
			}
			a.placed = append(a.placed, answered{order.ID, seq})
		}
		return nil
	}
}
