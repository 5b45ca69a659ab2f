package crowd

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

var dishes = []struct {
	name  string
	price int64
}{{"Margherita", 950}, {"Masala Dosa", 890}, {"Pad Thai", 1150}, {"Falafel Plate", 980}, {"Tiramisù", 550}, {"Lemonade", 350}}

// openShop opens the business, puts a menu there and has the couriers come to work. It fails when ctx ends.
func (c *Crowd) openShop(ctx context.Context) error {
	admin := c.world.admins[0]
	if err := c.must(ctx, admin, func() *wish { return setBusiness(true, "Come in") }, nil); err != nil {
		return err
	}
	c.world.open = true
	for _, d := range dishes {
		err := c.must(ctx, admin, func() *wish { return addProduct(d.name, d.price) }, func(done *history.Command) {
			c.world.products = append(c.world.products, done.Subject)
		})
		if err != nil {
			return err
		}
	}
	var all sync.WaitGroup
	failed := make([]error, len(c.world.couriers))
	for n, k := range c.world.couriers {
		all.Go(func() {
			failed[n] = c.must(ctx, k.user, func() *wish { return courierStatus(k, "online", false) }, nil)
			k.status = "online"
		})
	}
	all.Wait()
	return errors.Join(failed...)
}

// must asks anew until it was done.
func (c *Crowd) must(ctx context.Context, u *user, wanted func() *wish, then func(*history.Command)) error {
	for {
		w := wanted()
		done := c.insist(ctx, u, w)
		if done.Acknowledged() != nil {
			if then != nil {
				then(done)
			}
			return nil
		}
		if !pause(ctx, 200*time.Millisecond) {
			return fmt.Errorf("%s: the last answer was %d %s %s", w.name, w.last.status, w.last.code, w.last.body)
		}
	}
}

func setBusiness(open bool, message string) *wish {
	name := "business.close"
	if open {
		name = "business.open"
	}
	return &wish{
		name: name, method: http.MethodPatch, path: "/business/status",
		body: map[string]any{"isOpen": open, "message": message}, wanted: map[string]string{"message": message},
	}
}

func addProduct(name string, price int64) *wish {
	return &wish{
		name: "product.create", method: http.MethodPost, path: "/products", made: true,
		body:   map[string]any{"name": name, "description": "", "price": price, "currency": currency, "available": true},
		wanted: map[string]string{"price": fmt.Sprint(price)},
	}
}

// closeShop closes the business for a moment.
func (c *Crowd) closeShop(ctx context.Context, _ attempt, rng *rand.Rand) bool {
	c.world.mu.Lock()
	mine := c.world.open
	c.world.open = false // nobody else closes it, and who is not careless orders later
	c.world.mu.Unlock()
	if !mine {
		return false
	}
	admin := c.admin(rng)
	if c.insist(ctx, admin, setBusiness(false, "Back soon")).MayBeStored() {
		pause(ctx, time.Duration(rng.IntN(500))*time.Millisecond)
		opened := func() *wish { return setBusiness(true, "Here we are again") }
		if c.must(ctx, admin, opened, nil) != nil {
			return true
		}
	}
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.world.open = true
	return true
}

func (c *Crowd) makeOffer(ctx context.Context, a attempt, rng *rand.Rand) bool {
	uses, perUser := 1+rng.Int64N(12), rng.Int64N(3)
	code := fmt.Sprintf("F%d-%X", c.cfg.Seed, a.which>>16)
	w := &wish{
		name: "offer.create", method: http.MethodPost, path: "/offers", subject: code, once: a.keyless,
		body: map[string]any{
			"code": code, "description": "While it lasts", "discountType": "percent", "discountValue": 1 + rng.Int64N(50),
			"maxUses": uses, "maxUsesPerUser": perUser,
		},
		wanted: map[string]string{"maxUses": fmt.Sprint(uses), "maxUsesPerUser": fmt.Sprint(perUser)},
	}
	if c.insist(ctx, c.admin(rng), w).Acknowledged() != nil {
		c.world.mu.Lock()
		defer c.world.mu.Unlock()
		c.world.offers = append(c.world.offers, &offer{code: code, left: uses})
	}
	return true
}

func (c *Crowd) pickOffer(a attempt) (*offer, bool) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	return fit(c.world.offers, a.which, func(f *offer) bool { return !f.withdrawn || a.careless })
}

// changeOffer lets an offer be used more often. To less than it was used already would be no fault: it just ends.
func (c *Crowd) changeOffer(ctx context.Context, a attempt, rng *rand.Rand) bool {
	f, ok := c.pickOffer(a)
	if !ok {
		return false
	}
	uses := 13 + rng.Int64N(20)
	w := &wish{
		name: "offer.update", method: http.MethodPatch, path: "/offers/" + f.code, subject: f.code, once: a.keyless,
		body: map[string]any{"maxUses": uses}, wanted: map[string]string{"maxUses": fmt.Sprint(uses)},
	}
	if c.insist(ctx, c.admin(rng), w).Acknowledged() != nil {
		c.world.mu.Lock()
		defer c.world.mu.Unlock()
		f.left = 5
	}
	return true
}

func (c *Crowd) withdrawOffer(ctx context.Context, a attempt, rng *rand.Rand) bool {
	f, ok := c.pickOffer(a)
	if !ok {
		return false
	}
	c.world.mu.Lock()
	f.withdrawn = true
	c.world.mu.Unlock()
	c.insist(ctx, c.admin(rng), &wish{
		name: "offer.withdraw", method: http.MethodDelete, path: "/offers/" + f.code, subject: f.code, once: a.keyless,
	})
	return true
}

// changeProduct gives a dish another price.
func (c *Crowd) changeProduct(ctx context.Context, a attempt, rng *rand.Rand) bool {
	id := c.world.products[a.which%uint64(len(c.world.products))]
	price := 300 + rng.Int64N(1500)
	c.insist(ctx, c.admin(rng), &wish{
		name: "product.update", method: http.MethodPatch, path: "/products/" + id, subject: id, once: a.keyless,
		body: map[string]any{"price": price}, wanted: map[string]string{"price": fmt.Sprint(price)},
	})
	return true
}

func (c *Crowd) sendEntry(ctx context.Context, a attempt, rng *rand.Rand) bool {
	to := c.world.customers[a.which%uint64(len(c.world.customers))]
	w := &wish{
		name: "inbox.send", method: http.MethodPost, path: "/notifications", made: true, once: a.keyless,
		body:   map[string]any{"userId": to.id, "title": "Good evening", "message": "The kitchen is open", "type": "greeting"},
		wanted: map[string]string{"user": to.id},
	}
	done := c.insist(ctx, c.admin(rng), w)
	if done.Acknowledged() != nil && done.Subject != "" {
		c.world.mu.Lock()
		defer c.world.mu.Unlock()
		c.world.entries = append(c.world.entries, entry{done.Subject, to})
	}
	return true
}

// readEntry has a customer read an entry, or all of them.
func (c *Crowd) readEntry(ctx context.Context, a attempt, rng *rand.Rand) bool {
	c.world.mu.Lock()
	entries := c.world.entries
	if len(entries) == 0 {
		c.world.mu.Unlock()
		return false
	}
	e := entries[0]
	c.world.entries = entries[1:]
	c.world.mu.Unlock()
	w := &wish{name: "inbox.read", method: http.MethodPatch, path: "/notifications/" + e.id + "/read", subject: e.id, once: a.keyless}
	if rng.IntN(4) == 0 {
		w = &wish{name: "inbox.read_all", method: http.MethodPost, path: "/notifications/read-all", subject: e.owner.id, once: a.keyless}
	}
	c.insist(ctx, e.owner, w)
	return true
}
