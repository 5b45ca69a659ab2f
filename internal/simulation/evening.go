package simulation

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/domain"
)

// evening is one run: the people, the shop, and what became of them.
type evening struct {
	cfg   Config
	tag   string // tells this run's users and offer from those of others
	api   *api
	town  *town
	stats *stats
	shop  shop

	admins    []admin
	customers []*customer
	couriers  []*courier
	courierOf map[string]*courier
	clients   []*client // of all of them
	free      chan *courier
	orders    []*order

	result verdict
	proven bool // the comparison was carried out
}

// Streams of random numbers: what the users do is decided apart from what the network does.
const (
	ofTown = iota
	ofPeople
	ofArrivals
	ofOrders = 1 << 32
	ofCuts   = 2 << 32
)

func (e *evening) random(stream uint64) *rand.Rand { return rand.New(rand.NewPCG(e.cfg.Seed, stream)) }

const atOnce = 32 // how much is done at once where nothing else bounds it

func newEvening(cfg Config) *evening {
	if cfg.Couriers <= 0 {
		cfg.Couriers = max(4, min(cfg.Clients/2, 100))
	}
	e := &evening{
		cfg: cfg, tag: uuid.NewString()[:8], api: newAPI(cfg.URL), stats: &stats{},
		courierOf: map[string]*courier{}, free: make(chan *courier, cfg.Couriers),
	}
	e.town = newTown(e.random(ofTown))
	rng := e.random(ofPeople)
	for n := range 2 {
		u := e.person("admin", n+1, domain.RoleAdmin, rng)
		e.admins = append(e.admins, admin{u, e.newClient(u, fmt.Sprintf("admin %d", n+1), remembered)})
	}
	for len(e.clients) < cfg.Clients+2 {
		c := &customer{user: e.person("customer", len(e.customers)+1, domain.RoleCustomer, rng), address: someAddress(rng)}
		devices := 1
		if rng.IntN(5) == 0 { // a phone and a laptop
			devices = 2
		}
		for n := range min(devices, cfg.Clients+2-len(e.clients)) {
			name := fmt.Sprintf("customer %d on device %d", len(e.customers)+1, n+1)
			c.devices = append(c.devices, e.newClient(c.user, name, remembered))
		}
		e.customers = append(e.customers, c)
	}
	for n := range cfg.Couriers {
		u := e.person("courier", n+1, domain.RoleDelivery, rng)
		c := &courier{u, e.newClient(u, fmt.Sprintf("courier %d", n+1), rememberedByCourier)}
		e.couriers = append(e.couriers, c)
		e.courierOf[u.id] = c
	}
	for n := range cfg.Orders {
		rng := e.random(ofOrders + uint64(n))
		p := planOrder(rng, len(e.customers), len(dishes))
		e.orders = append(e.orders, &order{
			number: n + 1, plan: p, rng: rng, customer: e.customers[p.customer], couriers: map[string]bool{},
		})
	}
	return e
}

func (e *evening) person(kind string, n int, role domain.Role, rng *rand.Rand) *user {
	return &user{id: fmt.Sprintf("sim-%s-%s-%d", e.tag, kind, n), name: someName(rng), role: role, sign: e.cfg.Sign}
}

// newClient makes a connection, some with tokens that have to be refreshed soon, some of which are going to be cut.
func (e *evening) newClient(u *user, name string, heard func(string, subject) string) *client {
	n := len(e.clients)
	rng := e.random(ofCuts + uint64(n))
	c := &client{
		name: name, user: u, url: socketURL(e.cfg.URL), batch: n%2 == 0, life: time.Hour,
		heard: heard, stats: e.stats, journal: newJournal(), memory: map[string]bool{}, asked: map[int64]func(frame){},
	}
	if n%8 == 3 {
		c.life = 20 * time.Second
	}
	if rng.Float64() < e.cfg.Drop {
		c.cuts = newCuts(rng, e.length())
	}
	e.clients = append(e.clients, c)
	return c
}

// length is about how long the evening takes, to spread the cuts over it.
func (e *evening) length() time.Duration {
	perOrder, arriving := 700*time.Millisecond, 0.0
	if e.cfg.Rate > 0 {
		perOrder, arriving = 5*time.Second, float64(e.cfg.Orders)/e.cfg.Rate
	}
	riding := perOrder * time.Duration(e.cfg.Orders) / time.Duration(e.cfg.Couriers)
	return max(time.Duration(arriving*float64(time.Second)), riding) + 2*time.Second
}

// connect starts all connections, not too many at a time. The function it returns waits for their end.
func (e *evening) connect(ctx context.Context) (joined func()) {
	var running sync.WaitGroup
	running.Go(func() {
		var starting errgroup.Group
		starting.SetLimit(atOnce)
		for n, c := range e.clients {
			starting.Go(func() error {
				if n%3 == 2 { // as a page that was read over REST first
					if seq, err := e.api.get(ctx, c.user, "/business", nil); err == nil {
						c.beginAt(seq)
					}
				}
				running.Go(func() { c.run(ctx) })
				return c.isOnline(ctx)
			})
		}
		_ = starting.Wait() // allOnline tells
	})
	return running.Wait
}

// beginAt sets where the client is to begin: after what was read over REST.
func (c *client) beginAt(seq int64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.journal.begin(seq)
}

// allOnline waits until every client is registered for the first time.
func (e *evening) allOnline(ctx context.Context) error {
	for _, c := range e.clients {
		if err := c.isOnline(ctx); err != nil {
			return err
		}
	}
	return nil
}

func (e *evening) tellProgress(ctx context.Context) (stop func()) {
	if e.cfg.Progress == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(ctx)
	var telling sync.WaitGroup
	telling.Go(func() {
		progress(ctx, e.cfg.Progress, e.cfg.Width,
			func(perSecond float64) string { return e.stats.line(e.cfg.Orders, perSecond) }, e.stats.events.Load)
	})
	return func() {
		cancel()
		telling.Wait()
	}
}

// beginShifts makes all couriers go online, and welcomes some customers.
func (e *evening) beginShifts(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range e.couriers {
		g.Go(func() error {
			if err := e.status(ctx, c, "online"); err != nil {
				return err
			}
			e.free <- c // there is room for all
			return nil
		})
	}
	for _, c := range e.customers[:min(10, len(e.customers))] {
		g.Go(func() error {
			_, err := e.api.post(ctx, e.admins[0].user, "/notifications", map[string]any{
				"userId": c.id, "title": "Good evening", "message": "The kitchen is open, " + c.name, "type": "greeting",
			}, nil)
			return err
		})
	}
	return g.Wait()
}

// takeOrders places all orders at their rate and leads them to their end. As many are under way at a time as the
// couriers can serve soon. It stops early only when the server is gone or ctx ends.
func (e *evening) takeOrders(ctx context.Context) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	places := make(chan struct{}, 3*e.cfg.Couriers+atOnce)
	arrivals := e.random(ofArrivals)
	var underWay sync.WaitGroup
	next := time.Now()
	for _, o := range e.orders {
		if e.cfg.Rate > 0 { // people order when they like, not on the beat
			next = next.Add(time.Duration(arrivals.ExpFloat64() / e.cfg.Rate * float64(time.Second)))
		}
		if !pause(ctx, time.Until(next)) {
			break
		}
		places <- struct{}{}
		underWay.Go(func() {
			defer func() { <-places }()
			e.live(ctx, o)
			if errors.Is(o.failed, errGone) {
				stop(o.failed)
			}
		})
	}
	underWay.Wait()
	if gone := context.Cause(ctx); errors.Is(gone, errGone) {
		return gone
	}
	return nil
}
