package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/faults/history"
)

const currency = "EUR"

// pay starts the payment of an order that has none, by its customer or an admin.
func (c *Crowd) pay(ctx context.Context, a attempt, rng *rand.Rand) bool {
	o, ok := c.takeOrder(a, func(o *order) bool {
		return o.status != "cancelled" && o.total > 0 && (o.payment == nil || o.payment.status == "failed" || o.payment.status == "refunded" || a.careless)
	})
	if !ok {
		return false
	}
	defer c.giveBack(o)
	by, method := o.customer, methods[rng.IntN(len(methods))]
	if rng.IntN(4) == 0 {
		by = c.admin(rng)
	}
	w := &wish{
		name: "payment.start", method: http.MethodPost, path: "/orders/" + o.id + "/payments", made: true, once: a.keyless,
		body: map[string]any{"method": method}, wanted: map[string]string{"order": o.id, "method": method},
	}
	if c.insist(ctx, by, w).Acknowledged() == nil {
		c.lookAtOrder(ctx, c.world.admins[0], o, true)
		return true
	}
	var body paymentBody
	if json.Unmarshal(w.last.body, &body) != nil {
		return true
	}
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	o.payment = &payment{id: body.ID, order: o}
	o.payment.learn(body)
	return true
}

// notice is what the payment provider says.
type notice struct {
	EventID   string `json:"eventId"`
	PaymentID string `json:"paymentId"`
	Type      string `json:"type"`
	Amount    int64  `json:"amount"`
	Currency  string `json:"currency"`
}

// tellPayment has the provider say what became of a payment: mostly what is next, now and then something out of turn, and
// some of it several times, at several nodes.
func (c *Crowd) tellPayment(ctx context.Context, a attempt, rng *rand.Rand) bool {
	late := rng.IntN(8) == 0
	o, ok := c.takeOrder(a, func(o *order) bool {
		return o.payment != nil && o.payment.method != "cod" && (o.payment.status == "pending" || o.payment.refundable > 0 && late)
	})
	if !ok {
		return false
	}
	defer c.giveBack(o)
	c.world.mu.Lock()
	p := o.payment
	n := notice{uuid.NewString(), p.id, "payment.captured", p.amount, currency}
	switch {
	case p.refundable > 0:
		n.Type, n.Amount = "payment.refunded", 1+rng.Int64N(p.refundable)
	case rng.IntN(6) == 0:
		n.Type = "payment.failed"
	case rng.IntN(20) == 0: // the refund is told of before the capture
		n.Type, n.Amount = "payment.refunded", 1+rng.Int64N(p.amount)
	}
	c.world.mu.Unlock()
	w := &wish{
		name: "payment.webhook", method: http.MethodPost, path: "/payments/webhook", subject: p.id, body: n, key: n.EventID,
		wanted: map[string]string{"type": n.Type, "amount": fmt.Sprint(n.Amount)},
	}
	if rng.IntN(5) == 0 {
		w.again = 1 + rng.IntN(2)
	}
	c.askPayment(ctx, nil, p, w)
	return true
}

// collect takes the cash of an order, by its courier or an admin.
func (c *Crowd) collect(ctx context.Context, a attempt, rng *rand.Rand) bool {
	o, ok := c.takeOrder(a, func(o *order) bool {
		return o.payment != nil && o.payment.method == "cod" && o.payment.status == "pending" && o.status != "cancelled"
	})
	if !ok {
		return false
	}
	defer c.giveBack(o)
	c.world.mu.Lock()
	by, p := c.admin(rng), o.payment
	if o.agent != nil {
		by = o.agent.user
	}
	c.world.mu.Unlock()
	c.askPayment(ctx, by, p, &wish{
		name: "payment.collect", method: http.MethodPost, path: "/payments/" + p.id + "/collect", subject: p.id, once: a.keyless,
		wanted: map[string]string{"amount": fmt.Sprint(p.amount)},
	})
	return true
}

// refund gives some or all of a payment back.
func (c *Crowd) refund(ctx context.Context, a attempt, rng *rand.Rand) bool {
	o, ok := c.takeOrder(a, func(o *order) bool { return o.payment != nil && (o.payment.refundable > 0 || a.careless) })
	if !ok {
		return false
	}
	defer c.giveBack(o)
	c.world.mu.Lock()
	p := o.payment
	body, wanted := map[string]any{"reason": "cold"}, map[string]string{}
	if rng.IntN(3) > 0 {
		amount := 1 + rng.Int64N(max(1, p.refundable))
		body["amount"], wanted["amount"] = amount, fmt.Sprint(amount)
	}
	c.world.mu.Unlock()
	c.askPayment(ctx, c.admin(rng), p, &wish{
		name: "payment.refund", method: http.MethodPost, path: "/payments/" + p.id + "/refund", subject: p.id, once: a.keyless,
		body: body, wanted: wanted,
	})
	return true
}

// askPayment asks for something about a payment whose answer is the payment, and finds out how it is when it was not done.
func (c *Crowd) askPayment(ctx context.Context, u *user, p *payment, w *wish) *history.Command {
	done := c.insist(ctx, u, w)
	var body paymentBody
	if ok := done.Acknowledged(); ok != nil {
		c.world.sees(ok.Seq)
		if json.Unmarshal(w.last.body, &body) != nil || body.ID != p.id {
			return done
		}
	} else if answer := c.read(ctx, c.world.admins[0], "payment", p.id, "/payments/"+p.id, true); answer.status != http.StatusOK ||
		json.Unmarshal(answer.body, &body) != nil {
		return done
	}
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	p.learn(body)
	return done
}
