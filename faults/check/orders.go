package check

import "slices"

// steps are the ways on of an order.
var steps = map[string]string{
	"placed": "confirmed", "confirmed": "preparing", "preparing": "ready", "ready": "out_for_delivery", "out_for_delivery": "delivered",
}

// stepRule: an order takes the steps of the contract, by who may take them.
type stepRule struct{ f *findings }

func (r *stepRule) event(e *event, w *world) {
	b := &e.body
	if !slices.Contains([]string{orderPlaced, orderChanged, orderAssigned, orderCancelled}, e.typ) {
		return
	}
	r.f.look(ruleSteps)
	var status, agent, customer string
	if o := w.orders[b.OrderID]; o != nil {
		status, agent, customer = o.status, o.agent, o.customer
	}
	role, user := e.meta.Role, e.meta.UserID
	switch e.typ {
	case orderPlaced:
		if status != "" {
			r.f.add(ruleSteps, "order %s is placed a second time at seq %d", b.OrderID, e.seq)
		}
	case orderChanged:
		if b.From != status || steps[status] != b.To {
			r.f.add(ruleSteps, "order %s is %s and goes from %s to %s at seq %d", b.OrderID, status, b.From, b.To, e.seq)
		}
		part := b.To == "out_for_delivery" || b.To == "delivered"
		if role != "admin" && (role != "delivery" || user != agent || !part) {
			r.f.add(ruleSteps, "order %s is set to %s at seq %d by %s %s, who may not: its courier is %q", b.OrderID, b.To, e.seq, role, user, agent)
		}
	case orderAssigned:
		if status == "" || status == "delivered" || status == "cancelled" || role != "admin" {
			r.f.add(ruleSteps, "order %s is %s and assigned at seq %d by %s %s", b.OrderID, status, e.seq, role, user)
		}
	case orderCancelled:
		asAdmin := role == "admin" && status != "" && status != "delivered" && status != "cancelled"
		asCustomer := role == "customer" && user == customer && (status == "placed" || status == "confirmed")
		if !asAdmin && !asCustomer {
			r.f.add(ruleSteps, "order %s is %s and cancelled at seq %d by %s %s", b.OrderID, status, e.seq, role, user)
		}
	}
}

func (r *stepRule) end(*world) {}

// priceRule: an order costs what the menu and its offer say at that moment, and none is taken while the business is
// closed.
type priceRule struct{ f *findings }

func (r *priceRule) event(e *event, w *world) {
	if e.typ != orderPlaced {
		return
	}
	r.f.look(rulePrices)
	b := &e.body
	if !w.open {
		r.f.add(rulePrices, "order %s is placed at seq %d, and the business is closed", b.OrderID, e.seq)
	}
	var subtotal int64
	for _, it := range b.Items {
		p := w.products[it.Product]
		switch {
		case p == nil || p.archived || !p.available:
			r.f.add(rulePrices, "order %s has product %s at seq %d, which is not to be had", b.OrderID, it.Product, e.seq)
		case p.price != it.UnitPrice || it.Total != it.UnitPrice*it.Quantity:
			r.f.add(rulePrices, "order %s has %d × %s for %d at seq %d, which costs %d each", b.OrderID, it.Quantity, it.Product, it.Total, e.seq, p.price)
		}
		subtotal += it.Total
	}
	if subtotal != b.Subtotal || b.TotalAmount != b.Subtotal-b.Discount || b.Discount < 0 || b.Discount > b.Subtotal {
		r.f.add(rulePrices, "order %s has items of %d, subtotal %d, discount %d and total %d at seq %d", b.OrderID, subtotal, b.Subtotal, b.Discount, b.TotalAmount, e.seq)
	}
	if want := discount(w, b); want != b.Discount {
		r.f.add(rulePrices, "order %s has a discount of %d at seq %d, and offer %q gives %d", b.OrderID, b.Discount, e.seq, b.OfferCode, want)
	}
}

// discount is what an order's offer takes off; -1 when it may not be used.
func discount(w *world, b *body) int64 {
	if b.OfferCode == "" {
		return 0
	}
	o := w.offers[offerKey(b.OfferCode)]
	if o == nil || o.withdrawn || b.Subtotal < o.minOrder {
		return -1
	}
	off := o.discountValue
	if o.discountType == "percent" {
		off = b.Subtotal * o.discountValue / 100
	}
	if o.maxDiscount > 0 {
		off = min(off, o.maxDiscount)
	}
	return min(off, b.Subtotal)
}

func (r *priceRule) end(*world) {}

// courierRule: no courier carries two orders, who is given one is online, and the order says so too.
type courierRule struct{ f *findings }

func (r *courierRule) event(e *event, w *world) {
	b := &e.body
	switch e.typ {
	case courierTook:
		r.f.look(ruleCouriers)
		c := w.couriers[b.AgentID]
		switch {
		case c == nil || c.chosen != "online":
			r.f.add(ruleCouriers, "courier %s is given order %s at seq %d, and is not online", b.AgentID, b.OrderID, e.seq)
		case c.order != "":
			r.f.add(ruleCouriers, "courier %s is given order %s at seq %d, and carries %s", b.AgentID, b.OrderID, e.seq, c.order)
		}
	case courierReleased:
		if c := w.couriers[b.AgentID]; c == nil || c.order != b.OrderID {
			r.f.add(ruleCouriers, "courier %s lets go of order %s at seq %d, which it does not carry", b.AgentID, b.OrderID, e.seq)
		}
	}
}

func (r *courierRule) end(w *world) {
	for id, c := range w.couriers {
		if o := w.orders[c.order]; c.order != "" && (o == nil || o.agent != id || o.status == "delivered" || o.status == "cancelled") {
			r.f.add(ruleCouriers, "courier %s carries order %s at the end, and that order is done or somebody else's", id, c.order)
		}
	}
	carried := map[string]bool{}
	for _, c := range w.couriers {
		carried[c.order] = true
	}
	for id, o := range w.orders {
		if o.agent != "" && o.status != "delivered" && o.status != "cancelled" && !carried[id] {
			r.f.add(ruleCouriers, "order %s is assigned to %s at the end, who does not carry it", id, o.agent)
		}
	}
}
