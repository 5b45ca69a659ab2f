package crowd

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"

	"github.com/orderlog/orderlog/faults/history"
)

// look reads something, of any node, some of it with the seq that it must be as far as.
func (c *Crowd) look(ctx context.Context, a attempt, rng *rand.Rand) bool {
	c.world.mu.Lock()
	o, ok := fit(c.world.orders, a.which, func(*order) bool { return true })
	var p *payment
	if ok {
		p = o.payment
	}
	f, some := fit(c.world.offers, a.which, func(*offer) bool { return true })
	k := c.world.couriers[a.which%uint64(len(c.world.couriers))]
	c.world.mu.Unlock()
	with, admin := rng.IntN(3) > 0, c.admin(rng)
	switch what := rng.IntN(10); {
	case what == 0 && some:
		c.read(ctx, admin, "offer", f.code, "/offers/"+f.code, with)
	case what == 1:
		c.read(ctx, admin, "courier", k.id, "/delivery/agents/"+k.id, with)
	case what <= 3 && p != nil:
		c.read(ctx, admin, "payment", p.id, "/payments/"+p.id, with)
	case ok && what <= 6:
		c.lookAtOrder(ctx, o.customer, o, with)
	case ok:
		c.lookAtOrder(ctx, admin, o, with)
	default:
		return false
	}
	return true
}

// lookAtOrder finds out how an order is.
func (c *Crowd) lookAtOrder(ctx context.Context, u *user, o *order, minSeq bool) {
	answer := c.read(ctx, u, "order", o.id, "/orders/"+o.id, minSeq)
	var body orderBody
	if answer.status != http.StatusOK || json.Unmarshal(answer.body, &body) != nil {
		return
	}
	c.world.mu.Lock()
	defer c.world.mu.Unlock()
	c.world.learn(o, body)
}

// read asks a random node for a read model, and notes the answer if there was one. With minSeq it asks for one that is as
// far as anybody was answered.
func (c *Crowd) read(ctx context.Context, u *user, what, subject, path string, minSeq bool) answer {
	c.world.mu.Lock()
	seq := c.world.seq
	c.world.mu.Unlock()
	r := history.Read{Node: rand.IntN(len(c.cfg.URLs)), User: u.id, What: what, Subject: subject}
	if minSeq && seq > 0 {
		r.MinSeq = seq
		path += fmt.Sprintf("?min_seq=%d", seq)
	}
	r.Began = c.cfg.History.Now()
	a := c.api.do(ctx, r.Node, ask{method: http.MethodGet, path: path, user: u})
	r.Ended, r.Seq, r.Status, r.Code = c.cfg.History.Now(), a.seq, a.status, a.code
	if a.status == http.StatusOK {
		r.Body = a.body
	}
	if a.status != 0 {
		c.cfg.History.AddRead(r)
	}
	return a
}
