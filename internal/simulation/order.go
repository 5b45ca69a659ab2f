package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"
)

// order is one order's way through the evening. One goroutine leads it; the check reads it afterwards.
type order struct {
	number   int
	plan     plan
	rng      *rand.Rand
	customer *customer
	courier  *courier // who carries it; nil: nobody
	tracked  string   // the courier whom the customer sees on a map; "": none

	id        string
	placedSeq int64
	total     int64
	subtotal  int64
	discount  int64
	withOffer bool
	status    string   // as the simulation means it; "": it was not placed
	steps     []string // statuses that it went through, after placed
	payment   paid     // the live payment
	payments  int      // how many were started
	captured  int64
	refunded  int64
	kept      int64 // points that the server says are on the track
	unsure    int64 // points that may be
	couriers  map[string]bool
	failed    error
}

// paid is a payment as the simulation knows it.
type paid struct {
	ID       string `json:"id"`
	Status   string `json:"status"`
	Amount   int64  `json:"amount"`
	Currency string `json:"currency"`
}

// orderBody is what of an order's answer counts here.
type orderBody struct {
	ID          string `json:"id"`
	Status      string `json:"status"`
	Subtotal    int64  `json:"subtotal"`
	Discount    int64  `json:"discount"`
	TotalAmount int64  `json:"totalAmount"`
	Currency    string `json:"currency"`
	OfferCode   string `json:"offerCode"`
	AgentID     string `json:"agentId"`
}

// live leads an order from its beginning to its end.
func (e *evening) live(ctx context.Context, o *order) {
	err := e.lead(ctx, o)
	if ctx.Err() != nil && err != nil {
		return
	}
	if err != nil {
		o.failed = err
		e.stats.complain(fmt.Sprintf("order %d: %v", o.number, err))
		if o.id != "" && o.status != "delivered" && o.status != "cancelled" {
			_ = e.giveUp(ctx, o, e.admin(o).user, "It went wrong") // so that its courier is free again
		}
	}
	e.forget(o)
}

func (e *evening) lead(ctx context.Context, o *order) error {
	if err := e.place(ctx, o); err != nil {
		return err
	}
	if err := e.pay(ctx, o); err != nil {
		return err
	}
	for _, step := range []struct {
		status string
		take   func(context.Context, *order) error
	}{
		{"confirmed", e.confirm},
		{"preparing", e.prepare},
		{"ready", e.ready},
		{"out_for_delivery", e.handOver},
		{"delivered", e.deliver},
	} {
		if o.plan.cancelAt == o.status {
			return e.cancel(ctx, o)
		}
		if err := step.take(ctx, o); err != nil {
			return err
		}
	}
	if err := e.afterwards(ctx, o); err != nil {
		return err
	}
	return e.lookIntoInbox(ctx, o)
}

// step moves an order on, in the name of somebody.
func (e *evening) step(ctx context.Context, o *order, by *user, status string) error {
	var now orderBody
	if _, err := e.api.patch(ctx, by, "/orders/"+o.id+"/status", map[string]any{"status": status}, &now); err != nil {
		return err
	}
	if now.Status != status {
		return fmt.Errorf("it was moved to %s and is %s", status, now.Status)
	}
	o.status = status
	o.steps = append(o.steps, status)
	if status == "delivered" {
		e.stats.delivered.Add(1)
	}
	return nil
}

// hears waits until a client was told of something about the order. One that is not told in time goes on: what never
// comes is found at the end, and what comes late is counted.
func (e *evening) hears(ctx context.Context, c *client, what string, o *order) error {
	if !c.hears(ctx, what+" "+o.id) {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		e.stats.unheard.Add(1)
	}
	return nil
}

// remembered is what users wait for: an order's events, by name and status.
func remembered(event string, about subject) string {
	switch event {
	case "order:new", "order:assigned", "order:cancelled":
		return event + " " + about.Order
	case "order:status:update":
		return about.Status + " " + about.Order
	}
	return ""
}

// rememberedByCourier leaves out the orders that are new: all couriers hear of all of them.
func rememberedByCourier(event string, about subject) string {
	if event == "order:new" {
		return ""
	}
	return remembered(event, about)
}

// forget lets the clients that had to do with an order forget about it.
func (e *evening) forget(o *order) {
	what := []string{"order:new " + o.id, "order:assigned " + o.id, "order:cancelled " + o.id}
	for _, s := range []string{"confirmed", "preparing", "ready", "out_for_delivery", "delivered"} {
		what = append(what, s+" "+o.id)
	}
	for _, a := range e.admins {
		a.forget(what...)
	}
	for _, d := range o.customer.devices {
		d.forget(what...)
	}
	for id := range o.couriers {
		e.courierOf[id].forget(what...)
	}
}

// work takes somebody some time. As fast as possible is none.
func (e *evening) work(ctx context.Context, o *order, atMost time.Duration) error {
	if e.cfg.Rate <= 0 {
		return ctx.Err()
	}
	pause(ctx, time.Duration(o.rng.Int64N(int64(atMost))))
	return ctx.Err()
}
