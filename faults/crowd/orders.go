package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"sync"
)

// mostLive bounds the orders that are not at their end: beyond it users see to those that there are.
const mostLive = 120

type placeBody struct {
	Items           []item `json:"items"`
	DeliveryAddress string `json:"deliveryAddress"`
	OfferCode       string `json:"offerCode,omitempty"`
	PaymentMethod   string `json:"paymentMethod"`
}

type item struct {
	Product  string `json:"product"`
	Quantity int64  `json:"quantity"`
}

var methods = []string{"cod", "card", "upi", "wallet"}

func (c *Crowd) place(ctx context.Context, a attempt, rng *rand.Rand) bool {
	customer := c.world.customers[a.which%uint64(len(c.world.customers))]
	b := placeBody{DeliveryAddress: "1 High Street", PaymentMethod: methods[rng.IntN(len(methods))]}
	c.world.mu.Lock()
	ready := c.world.open || a.careless
	if ready && a.kind == place && c.world.live() >= mostLive {
		ready = false
	}
	for range 1 + rng.IntN(3) {
		b.Items = append(b.Items, item{c.world.products[rng.IntN(len(c.world.products))], 1 + rng.Int64N(3)})
	}
	var with *offer
	if rng.IntN(4) == 0 {
		with, _ = fit(c.world.offers, rng.Uint64(), func(f *offer) bool { return a.careless || !f.withdrawn && f.left > 0 })
	}
	if with != nil {
		b.OfferCode = with.code
		with.left--
	}
	c.world.mu.Unlock()
	if !ready {
		return false
	}
	w := &wish{
		name: "order.place", method: http.MethodPost, path: "/orders", body: b, made: true, once: a.keyless,
		wanted: map[string]string{"offer": b.OfferCode, "method": b.PaymentMethod, "items": fmt.Sprint(len(b.Items))},
	}
	done := c.insist(ctx, customer, w)
	ok := done.Acknowledged()
	if ok == nil {
		return true
	}
	var body orderBody
	if json.Unmarshal(w.last.body, &body) != nil {
		return true
	}
	c.world.sees(ok.Seq)
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	o := &order{id: body.ID, customer: customer}
	c.world.learn(o, body)
	c.world.orders = append(c.world.orders, o)
	c.world.keep()
	return true
}

var following = map[string]string{
	"placed": "confirmed", "confirmed": "preparing", "preparing": "ready", "ready": "out_for_delivery", "out_for_delivery": "delivered",
}

// step moves an order on: its courier from ready on, if it has one, else an admin.
func (c *Crowd) step(ctx context.Context, a attempt, rng *rand.Rand) bool {
	waits := rng.IntN(4) > 0 // for a courier
	o, ok := c.takeOrder(a, func(o *order) bool { return !o.over() && (o.status != "ready" || o.agent != nil || !waits) })
	if !ok {
		return false
	}
	defer c.giveBack(o)
	c.world.mu.Lock()
	by, to := c.admin(rng), following[o.status]
	if o.agent != nil && (o.status == "ready" || o.status == "out_for_delivery") {
		by = o.agent.user
	}
	c.world.mu.Unlock()
	c.askOrder(ctx, by, o, stepTo(o, to, a.keyless))
	return true
}

func stepTo(o *order, status string, keyless bool) *wish {
	return &wish{
		name: "order.status", method: http.MethodPatch, path: "/orders/" + o.id + "/status", subject: o.id, once: keyless,
		body: map[string]any{"status": status}, wanted: map[string]string{"status": status},
	}
}

func cancelling(o *order, keyless bool) *wish {
	return &wish{
		name: "order.cancel", method: http.MethodPost, path: "/orders/" + o.id + "/cancel", subject: o.id, once: keyless,
		body: map[string]any{"reason": "changed my mind"},
	}
}

// rush has two admins want the same step of an order, or one of them its end. One of them at most gets it.
func (c *Crowd) rush(ctx context.Context, a attempt, rng *rand.Rand) bool {
	o, ok := c.takeOrder(a, func(o *order) bool { return !o.over() })
	if !ok {
		return false
	}
	defer c.giveBack(o)
	c.world.mu.Lock()
	to := following[o.status]
	c.world.mu.Unlock()
	wishes := []*wish{stepTo(o, to, false), stepTo(o, to, false)}
	if rng.IntN(3) == 0 {
		wishes[1] = cancelling(o, false)
	}
	var both sync.WaitGroup
	for n, w := range wishes {
		both.Go(func() { c.askOrder(ctx, c.world.admins[n], o, w) })
	}
	both.Wait()
	return true
}

// cancelOrder gives an order up: its customer early, an admin later.
func (c *Crowd) cancelOrder(ctx context.Context, a attempt, rng *rand.Rand) bool {
	o, ok := c.takeOrder(a, func(o *order) bool { return !o.over() })
	if !ok {
		return false
	}
	defer c.giveBack(o)
	c.world.mu.Lock()
	by := c.admin(rng)
	if o.status == "placed" || o.status == "confirmed" {
		by = o.customer
	}
	c.world.mu.Unlock()
	c.askOrder(ctx, by, o, cancelling(o, a.keyless))
	return true
}

// assign gives an order that has none a courier.
func (c *Crowd) assign(ctx context.Context, a attempt, rng *rand.Rand) bool {
	return c.give(ctx, a, rng, func(o *order) bool { return !o.over() && o.agent == nil && o.status != "placed" })
}

// reassign gives an order another courier.
func (c *Crowd) reassign(ctx context.Context, a attempt, rng *rand.Rand) bool {
	return c.give(ctx, a, rng, func(o *order) bool { return !o.over() && o.agent != nil })
}

func (c *Crowd) give(ctx context.Context, a attempt, rng *rand.Rand, holds func(*order) bool) bool {
	o, ok := c.takeOrder(a, holds)
	if !ok {
		return false
	}
	defer c.giveBack(o)
	w := c.world
	w.mu.Lock()
	to, ok := fit(w.couriers, rng.Uint64(), func(k *courier) bool {
		return a.careless && k != o.agent || !k.busy && k.status == "online" && k.order == nil
	})
	if ok {
		to.busy = true
	}
	w.mu.Unlock()
	if !ok {
		return false
	}
	c.askOrder(ctx, c.admin(rng), o, &wish{
		name: "order.assign", method: http.MethodPost, path: "/orders/" + o.id + "/assign", subject: o.id, once: a.keyless,
		body: map[string]any{"agentId": to.id}, wanted: map[string]string{"agent": to.id},
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	to.busy = false
	return true
}
