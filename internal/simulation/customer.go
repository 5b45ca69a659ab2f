package simulation

import (
	"context"
	"fmt"
	"math/rand/v2"
)

// customer is somebody who orders, with one device or two.
type customer struct {
	*user
	devices []*client
	address string
}

var (
	firstNames = []string{"Ada", "Carl", "Mira", "Jonas", "Priya", "Tom", "Lea", "Omar", "Nina", "Kofi", "Ines", "Ravi", "Sofie", "Luca", "Maya", "Finn"}
	streets    = []string{"Via Roma", "Elm Street", "Canal Road", "Station Square", "Orchard Lane", "Mill Street", "Harbour Walk"}
)

func someName(rng *rand.Rand) string {
	return firstNames[rng.IntN(len(firstNames))] + " " + string("ABCDEFGHIJKLMNOPRSTVWZ"[rng.IntN(22)]) + "."
}

func someAddress(rng *rand.Rand) string {
	return fmt.Sprintf("%s %d", streets[rng.IntN(len(streets))], 1+rng.IntN(120))
}

// wanted are the lines of an order as it is asked for, and what they cost by the menu.
func (e *evening) wanted(o *order) (items []map[string]any, cost int64) {
	for _, l := range o.plan.lines {
		items = append(items, map[string]any{"product": e.shop.products[l.dish], "quantity": l.quantity})
		cost += dishes[l.dish].price * int64(l.quantity)
	}
	return items, cost
}

// place orders. A code that is refused, because it is used up or the order too small, is left out the second time.
func (e *evening) place(ctx context.Context, o *order) error {
	items, cost := e.wanted(o)
	body := map[string]any{
		"items": items, "deliveryAddress": o.customer.address, "customerName": o.customer.name,
		"paymentMethod": o.plan.method, "note": o.plan.note,
	}
	if o.plan.offer {
		body["offerCode"] = e.shop.offer.Code
		if o.plan.asks {
			if err := e.askOffer(ctx, o, items, cost); err != nil {
				return err
			}
		}
	}
	var made orderBody
	seq, err := e.api.post(ctx, o.customer.user, "/orders", body, &made)
	if said, ok := refused(err, "offer_not_applicable"); ok && o.plan.offer {
		if err := e.refusedOffer(said, cost); err != nil {
			return err
		}
		o.plan.offer = false
		delete(body, "offerCode")
		seq, err = e.api.post(ctx, o.customer.user, "/orders", body, &made)
	}
	if err != nil {
		return err
	}
	o.id, o.placedSeq, o.status = made.ID, seq, made.Status
	o.subtotal, o.discount, o.total = made.Subtotal, made.Discount, made.TotalAmount
	e.stats.placed.Add(1)
	discount := int64(0)
	if o.plan.offer {
		o.withOffer = true
		e.shop.offer.uses.Add(1)
		e.stats.offers.Add(1)
		discount = e.shop.offer.discount(cost)
	}
	if made.Status != "placed" || made.Subtotal != cost || made.Discount != discount || made.TotalAmount != cost-discount {
		return fmt.Errorf("it should cost %d less %d and is %s for %d less %d, in total %d",
			cost, discount, made.Status, made.Subtotal, made.Discount, made.TotalAmount)
	}
	if o.plan.follows {
		room, data := "order:"+o.id, map[string]any{"orderId": o.id}
		if _, err := o.customer.devices[0].join(ctx, room, "join:order", data, o.placedSeq-1); err != nil {
			return err
		}
	}
	return nil
}

// askOffer asks what a code is worth for a basket.
func (e *evening) askOffer(ctx context.Context, o *order, items []map[string]any, cost int64) error {
	var worth struct {
		Discount int64 `json:"discount"`
	}
	_, err := e.api.post(ctx, o.customer.user, "/offers/"+e.shop.offer.Code+"/check", map[string]any{"items": items}, &worth)
	if said, ok := refused(err, "offer_not_applicable"); ok {
		return e.refusedOffer(said, cost)
	}
	if err != nil {
		return err
	}
	if want := e.shop.offer.discount(cost); worth.Discount != want {
		return fmt.Errorf("the offer says it is worth %d and should be %d", worth.Discount, want)
	}
	return nil
}

// refusedOffer judges why a code was refused.
func (e *evening) refusedOffer(said *refusal, cost int64) error {
	switch {
	case said.Rule == "min_order" && cost < e.shop.offer.MinOrder:
		return nil
	case said.Rule == "max_uses", said.Rule == "max_uses_per_user":
		e.stats.usedUp.Add(1)
		return nil
	}
	return fmt.Errorf("the offer was refused for an order of %d by the rule %q", cost, said.Rule)
}

// cancel gives an order up: the customer while it may, later an admin.
func (e *evening) cancel(ctx context.Context, o *order) error {
	by, reason := o.customer.user, "Changed my mind"
	if o.plan.payment == payBroken {
		reason = "My card does not work"
	}
	if o.status != "placed" && o.status != "confirmed" {
		by, reason = e.admin(o).user, "The kitchen ran out"
	}
	if err := e.giveUp(ctx, o, by, reason); err != nil {
		return err
	}
	if err := e.hears(ctx, o.customer.devices[0], "order:cancelled", o); err != nil {
		return err
	}
	if err := e.putAway(ctx, o, e.admin(o).client); err != nil {
		return err
	}
	if err := e.giveBack(ctx, o); err != nil {
		return err
	}
	return e.lookIntoInbox(ctx, o)
}

// putAway leaves what the customer and somebody else had open to follow an order that is over.
func (e *evening) putAway(ctx context.Context, o *order, other *client) error {
	room, data := "order:"+o.id, map[string]any{"orderId": o.id}
	if err := other.leave(ctx, room, "leave:order", data); err != nil {
		return err
	}
	if err := o.customer.devices[0].leave(ctx, room, "leave:order", data); err != nil {
		return err
	}
	if o.tracked == "" {
		return nil
	}
	return e.outOf(ctx, o.customer.devices[0], "delivery:"+o.tracked)
}

func (e *evening) giveUp(ctx context.Context, o *order, by *user, reason string) error {
	var now orderBody
	if _, err := e.api.post(ctx, by, "/orders/"+o.id+"/cancel", map[string]any{"reason": reason}, &now); err != nil {
		return err
	}
	if now.Status != "cancelled" {
		return fmt.Errorf("it was cancelled and is %s", now.Status)
	}
	o.status = "cancelled"
	e.stats.cancelled.Add(1)
	if o.withOffer {
		e.shop.offer.uses.Add(-1)
	}
	c := o.courier
	if c == nil {
		return nil
	}
	o.courier = nil // the order is off its hands
	e.free <- c     // there is room for all
	return c.leave(ctx, "order:"+o.id, "leave:order", map[string]any{"orderId": o.id})
}

// lookIntoInbox reads what the customer was written, now and then.
func (e *evening) lookIntoInbox(ctx context.Context, o *order) error {
	if !o.plan.reads {
		return nil
	}
	var page struct {
		Items []struct {
			ID   string `json:"id"`
			Read bool   `json:"read"`
		} `json:"items"`
	}
	if _, err := e.api.get(ctx, o.customer.user, "/notifications?unread=true&limit=5", &page); err != nil {
		return err
	}
	for _, entry := range page.Items {
		if entry.Read {
			return fmt.Errorf("a notification that was read is listed as unread")
		}
	}
	if len(page.Items) == 0 {
		return nil
	}
	var entry struct {
		Read bool `json:"read"`
	}
	if _, err := e.api.patch(ctx, o.customer.user, "/notifications/"+page.Items[0].ID+"/read", nil, &entry); err != nil {
		return err
	}
	e.stats.read.Add(1)
	if !entry.Read {
		return fmt.Errorf("a notification that was read is unread")
	}
	return nil
}
