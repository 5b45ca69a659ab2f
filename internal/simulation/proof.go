package simulation

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
)

// check compares what every client was told, up to the seq of the last call, with the feed; and what became of the
// orders and the money with what the simulation did.
func (e *evening) check(ctx context.Context, last int64) error {
	inRoom, err := e.readRooms(ctx, last)
	if err != nil {
		return err
	}
	if err := e.compare(ctx, last, inRoom); err != nil {
		return err
	}
	if err := e.checkOrders(ctx, inRoom); err != nil {
		return err
	}
	if err := e.checkOffer(ctx); err != nil {
		return err
	}
	e.proven = true
	return nil
}

// readRooms reads what the rooms of orders and couriers carried, out of what admins are told: that is all of it.
func (e *evening) readRooms(ctx context.Context, last int64) (map[string][]fact, error) {
	start := last
	for _, c := range e.clients {
		if j := c.record(); j.begun {
			start = min(start, j.start)
		}
	}
	ours := map[string]bool{}
	for _, o := range e.orders {
		ours["order:"+o.id] = true
		for id := range o.couriers {
			ours["delivery:"+id] = true
		}
	}
	inRoom := map[string][]fact{}
	err := readFeed(ctx, e.api, e.admins[0].user, start, last, func(f fact) {
		for _, room := range roomsOf(f) {
			if ours[room] {
				inRoom[room] = append(inRoom[room], f)
			}
		}
	})
	return inRoom, err
}

// compare judges every client.
func (e *evening) compare(ctx context.Context, last int64, inRoom map[string][]fact) error {
	mine := e.businessOf()
	placed := map[*user]int{}
	for _, o := range e.orders {
		if o.id != "" {
			placed[o.customer.user]++
		}
	}
	first := map[*user]*client{} // of a user's connections, the one by which the inbox is judged
	for _, c := range e.customers {
		first[c.user] = c.devices[0]
	}
	var mu sync.Mutex
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range e.clients {
		g.Go(func() error {
			j := c.record()
			if !j.begun {
				e.stats.complain(c.name + " was never registered")
				return nil
			}
			var own []fact
			if err := readFeed(ctx, e.api, c.user, j.start, last, func(f fact) { own = append(own, f) }); err != nil {
				return err
			}
			v := judge(j, own, inRoom, last, func(f fact) bool { return !mine(c.user, f) })
			if v.bad() {
				e.stats.complain(c.name + ": " + v.first)
			}
			if c.dead != nil {
				e.stats.complain(c.name + " gave up: " + c.dead.Error())
			}
			if first[c.user] == c {
				if gap := inboxGap(own, placed[c.user]); gap != 0 {
					e.stats.complain(fmt.Sprintf("the inbox of %s lacks %d of its entries", c.user.id, gap))
				}
			}
			mu.Lock()
			defer mu.Unlock()
			e.result.add(v)
			return nil
		})
	}
	return g.Wait()
}

// businessOf says whether an event may be told to a user at all: customers hear of no order but their own, and
// couriers, beside that there is a new one, of none but those they were given.
func (e *evening) businessOf() func(*user, fact) bool {
	type pair struct {
		who   *user
		order string
	}
	theirs := map[pair]bool{}
	for _, o := range e.orders {
		theirs[pair{o.customer.user, o.id}] = true
		for id := range o.couriers {
			theirs[pair{e.courierOf[id].user, o.id}] = true
		}
	}
	return func(u *user, f fact) bool {
		return f.Order == "" || u.role == "admin" || (u.role == "delivery" && f.event == "order:new") || theirs[pair{u, f.Order}]
	}
}

// checkOrders looks whether each order is what the simulation made of it.
func (e *evening) checkOrders(ctx context.Context, inRoom map[string][]fact) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, o := range e.orders {
		if o.id == "" || o.failed != nil {
			continue
		}
		g.Go(func() error {
			faults, err := e.lookAt(ctx, o, inRoom["order:"+o.id])
			for _, fault := range faults {
				e.stats.complain(fmt.Sprintf("order %d (%s): %s", o.number, o.id, fault))
			}
			return err
		})
	}
	return g.Wait()
}

// lookAt finds what is wrong with an order. told is what its room carried.
func (e *evening) lookAt(ctx context.Context, o *order, told []fact) (faults []string, err error) {
	admin := e.admin(o).user
	var now orderBody
	if err := e.api.current(ctx, admin, "/orders/"+o.id, &now); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	if now.Status != o.status || now.TotalAmount != o.total {
		wrong("is %s for %d and should be %s for %d", now.Status, now.TotalAmount, o.status, o.total)
	}
	want := slices.Clone(o.steps)
	if o.status == "cancelled" {
		want = append(want, "cancelled")
	}
	var steps []string
	for _, f := range told {
		switch f.event {
		case "order:status:update":
			steps = append(steps, f.Status)
		case "order:cancelled":
			steps = append(steps, "cancelled")
		}
	}
	if !slices.Equal(steps, want) {
		wrong("its clients were told %s and it went %s", strings.Join(steps, ", "), strings.Join(want, ", "))
	}
	money, err := e.lookAtMoney(ctx, o)
	if err != nil {
		return nil, err
	}
	points, err := e.countPoints(ctx, o)
	if err != nil {
		return nil, err
	}
	if points < o.kept || points > o.kept+o.unsure {
		wrong("its track has %d points and %d were kept", points, o.kept)
	}
	return append(faults, money...), nil
}

// lookAtMoney adds up the payments of an order.
func (e *evening) lookAtMoney(ctx context.Context, o *order) (faults []string, err error) {
	var page struct {
		Items []struct {
			ID        string `json:"id"`
			Captured  int64  `json:"captured"`
			Refunded  int64  `json:"refunded"`
			RefundDue int64  `json:"refundDue"`
		} `json:"items"`
	}
	if err := e.api.current(ctx, e.admin(o).user, "/orders/"+o.id+"/payments", &page); err != nil {
		return nil, err
	}
	wrong := func(format string, args ...any) { faults = append(faults, fmt.Sprintf(format, args...)) }
	var captured, refunded, due int64
	for _, p := range page.Items {
		if p.Captured < 0 || p.Refunded < 0 || p.RefundDue < 0 || p.Refunded+p.RefundDue > p.Captured {
			wrong("payment %s has captured %d, refunded %d, due %d", p.ID, p.Captured, p.Refunded, p.RefundDue)
		}
		captured, refunded, due = captured+p.Captured, refunded+p.Refunded, due+p.RefundDue
	}
	if len(page.Items) != o.payments {
		wrong("has %d payments and should have %d", len(page.Items), o.payments)
	}
	if captured != o.captured || refunded != o.refunded {
		wrong("has captured %d and refunded %d, and should have %d and %d", captured, refunded, o.captured, o.refunded)
	}
	if o.status == "cancelled" && captured != refunded+due {
		wrong("is cancelled, and of %d captured %d are neither given back nor due", captured, captured-refunded-due)
	}
	return faults, nil
}

func (e *evening) countPoints(ctx context.Context, o *order) (n int64, err error) {
	if o.kept+o.unsure == 0 {
		return 0, nil
	}
	var page struct {
		Items []struct{} `json:"items"`
	}
	err = e.api.current(ctx, e.admin(o).user, "/delivery/orders/"+o.id+"/track?limit=200", &page)
	return int64(len(page.Items)), err
}

// checkOffer looks whether the offer was used as often as its orders say, and no more often than it may be.
func (e *evening) checkOffer(ctx context.Context) error {
	if e.shop.offer.Code == "" {
		return nil
	}
	var now struct {
		Uses int64 `json:"uses"`
	}
	if err := e.api.current(ctx, e.admins[0].user, "/offers/"+e.shop.offer.Code, &now); err != nil {
		return err
	}
	uses := e.shop.offer.uses.Load()
	if now.Uses != uses {
		e.stats.complain(fmt.Sprintf("the offer counts %d uses, and %d orders stand with it", now.Uses, uses))
	}
	if uses > e.shop.offer.MaxUses {
		e.stats.complain(fmt.Sprintf("the offer may be used %d times and was %d times", e.shop.offer.MaxUses, uses))
	}
	each := map[*customer]int64{}
	for _, o := range e.orders {
		if o.withOffer && o.status != "cancelled" {
			if each[o.customer]++; each[o.customer] == e.shop.offer.MaxUsesPerUser+1 {
				e.stats.complain(fmt.Sprintf("%s used the offer more than %d times", o.customer.id, e.shop.offer.MaxUsesPerUser))
			}
		}
	}
	return nil
}
