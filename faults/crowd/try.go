package crowd

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// try has the users try what they have planned, one after another when their time has come, until stopped ends. What is
// under way goes on until ctx ends.
func (c *Crowd) try(stopped, ctx context.Context) {
	var underWay sync.WaitGroup
	defer underWay.Wait()
	places := make(chan struct{}, 16+int(2*c.cfg.Rate))
	p := newPlan(c.cfg.Seed, c.cfg.Rate)
	next := time.Now()
	for {
		a := p.next()
		next = next.Add(a.after)
		if !pause(stopped, time.Until(next)) {
			return
		}
		select {
		case places <- struct{}{}:
		default: // who cannot be served goes away
			c.skipped.Add(1)
			continue
		}
		underWay.Go(func() {
			defer func() { <-places }()
			c.act(ctx, a)
		})
	}
}

// act does what was planned. What cannot be done now, because there is nothing fit for it, becomes a step of an order or
// a new order.
func (c *Crowd) act(ctx context.Context, a attempt) {
	rng := rand.New(&a.variants)
	for _, k := range []kind{a.kind, step, place} {
		a.kind = k
		if c.acts()[k](ctx, a, rng) {
			return
		}
	}
}

// acts are what each kind does. They answer false when there is nothing fit for it.
func (c *Crowd) acts() [kinds]func(context.Context, attempt, *rand.Rand) bool {
	return [kinds]func(context.Context, attempt, *rand.Rand) bool{
		place: c.place, step: c.step, rush: c.rush, assign: c.assign, reassign: c.reassign, cancel: c.cancelOrder,
		pay: c.pay, webhook: c.tellPayment, collect: c.collect, refund: c.refund,
		setStatus: c.setStatus, locate: c.locate,
		makeOffer: c.makeOffer, changeOffer: c.changeOffer, withdrawOffer: c.withdrawOffer, changeProduct: c.changeProduct,
		sendEntry: c.sendEntry, readEntry: c.readEntry, closeShop: c.closeShop, look: c.look,
	}
}

// admin is one of them.
func (c *Crowd) admin(rng *rand.Rand) *user { return c.world.admins[rng.IntN(len(c.world.admins))] }

// takeOrder finds an order that a condition holds for, and takes it: nobody else is at it, but for who is careless.
func (c *Crowd) takeOrder(a attempt, holds func(*order) bool) (*order, bool) {
	w := c.world
	w.mu.Lock()
	defer w.mu.Unlock()
	o, ok := fit(w.orders, a.which, func(o *order) bool { return (!o.busy || a.careless) && holds(o) })
	if ok {
		o.busy = true
	}
	return o, ok
}

// giveBack says that nobody is at an order any more.
func (c *Crowd) giveBack(o *order) {
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	o.busy = false
}

// askOrder asks for something about an order whose answer is the order, and finds out how the order is when it was not
// done.
func (c *Crowd) askOrder(ctx context.Context, u *user, o *order, w *wish) *history.Command {
	done := c.insist(ctx, u, w)
	if ok := done.Acknowledged(); ok != nil {
		c.world.sees(ok.Seq)
		var body orderBody
		if json.Unmarshal(w.last.body, &body) == nil && body.ID == o.id {
			c.world.mu.Lock()
			defer c.world.mu.Unlock()
			c.world.learn(o, body)
		}
		return done
	}
	c.lookAtOrder(ctx, c.world.admins[0], o, true)
	return done
}
