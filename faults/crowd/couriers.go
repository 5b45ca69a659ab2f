package crowd

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/faults/history"
)

func courierStatus(k *courier, status string, keyless bool) *wish {
	return &wish{
		name: "courier.status", method: http.MethodPatch, path: "/delivery/status", subject: k.id, once: keyless,
		body: map[string]any{"status": status}, wanted: map[string]string{"status": status},
	}
}

// setStatus has a courier take a break, or come back from one.
func (c *Crowd) setStatus(ctx context.Context, a attempt, rng *rand.Rand) bool {
	c.world.mu.Lock()
	k, ok := fit(c.world.couriers, a.which, func(k *courier) bool { return !k.busy })
	if !ok {
		c.world.mu.Unlock()
		return false
	}
	k.busy = true
	status := "online"
	if k.status == "online" && rng.IntN(2) == 0 {
		status = []string{"busy", "offline"}[rng.IntN(2)]
	}
	c.world.mu.Unlock()
	ok = c.insist(ctx, k.user, courierStatus(k, status, a.keyless)).Acknowledged() != nil
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	k.busy = false
	if ok {
		k.status = status
	}
	return true
}

// locate has a courier say where it is.
func (c *Crowd) locate(ctx context.Context, a attempt, rng *rand.Rand) bool {
	c.world.mu.Lock()
	o, ok := fit(c.world.orders, a.which, func(o *order) bool { return o.agent != nil && !o.over() && (!o.busy || a.careless) })
	var k *courier
	if ok {
		k = o.agent
	}
	c.world.mu.Unlock()
	if !ok {
		return false
	}
	lat, lng := 52+rng.Float64(), 13+rng.Float64()
	w := &wish{
		name: "courier.location", method: http.MethodPost, path: "/delivery/location", subject: o.id, once: a.keyless, kept: true,
		body:   map[string]any{"orderId": o.id, "latitude": lat, "longitude": lng},
		wanted: map[string]string{"agent": k.id, "latitude": fmt.Sprint(lat), "longitude": fmt.Sprint(lng)},
	}
	if rng.IntN(2) == 0 || !c.locateOverSocket(ctx, k.user, w) {
		c.insist(ctx, k.user, w)
	}
	return true
}

// locateOverSocket says it over one of the courier's devices, if one is connected. Such a command has no id of its own in
// the log: it is known there by its place.
func (c *Crowd) locateOverSocket(ctx context.Context, u *user, w *wish) bool {
	for _, d := range c.devicesOf[u] {
		began := c.cfg.History.Now()
		a, said := d.tellLocation(ctx, w.body.(map[string]any)) //nolint:forcetypeassert // it is what locate makes
		if !said {
			continue
		}
		w.wanted["over"] = d.log.Transport
		w.noteKept(a.body)
		c.cfg.History.AddCommand(&history.Command{
			ID: uuid.NewString(), Name: w.name, User: u.id, Role: string(u.role), Subject: w.subject, Wanted: w.wanted,
			Attempts: []history.Attempt{{
				Node: d.nodeOf(), Began: began, Ended: c.cfg.History.Now(), Outcome: a.outcome(), Status: a.status, Code: a.code, Seq: a.seq,
			}},
		})
		return true
	}
	return false
}
