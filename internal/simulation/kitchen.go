package simulation

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// admin is somebody in the kitchen, with a screen that shows all orders.
type admin struct {
	*user
	*client
}

// admin is who looks after an order.
func (e *evening) admin(o *order) admin { return e.admins[o.number%len(e.admins)] }

// The longest that the kitchen takes for a step.
const (
	reading = 150 * time.Millisecond
	cooking = 600 * time.Millisecond
)

// confirm takes an order that the kitchen's screen shows.
func (e *evening) confirm(ctx context.Context, o *order) error {
	a := e.admin(o)
	if err := e.hears(ctx, a.client, "order:new", o); err != nil {
		return err
	}
	if err := e.work(ctx, o, reading); err != nil {
		return err
	}
	if o.plan.watched {
		room, data := "order:"+o.id, map[string]any{"orderId": o.id}
		if _, err := a.join(ctx, room, "join:order", data, o.placedSeq-1); err != nil {
			return err
		}
	}
	return e.step(ctx, o, a.user, "confirmed")
}

func (e *evening) prepare(ctx context.Context, o *order) error {
	if err := e.work(ctx, o, reading); err != nil {
		return err
	}
	return e.step(ctx, o, e.admin(o).user, "preparing")
}

func (e *evening) ready(ctx context.Context, o *order) error {
	if err := e.work(ctx, o, cooking); err != nil {
		return err
	}
	if err := e.step(ctx, o, e.admin(o).user, "ready"); err != nil {
		return err
	}
	if !o.plan.watched {
		return nil
	}
	return e.admin(o).leave(ctx, "order:"+o.id, "leave:order", map[string]any{"orderId": o.id})
}

// handOver gives an order to a courier, who picks it up. Some orders are given to another one first.
func (e *evening) handOver(ctx context.Context, o *order) error {
	first, err := e.freeCourier(ctx)
	if err != nil {
		return err
	}
	o.courier = first
	if err := e.assign(ctx, o); err != nil {
		return err
	}
	if o.plan.moves {
		if err := e.move(ctx, o); err != nil {
			return err
		}
	}
	return e.pickUp(ctx, o)
}

// freeCourier waits for a courier who carries nothing.
func (e *evening) freeCourier(ctx context.Context) (*courier, error) {
	late := time.NewTimer(2 * time.Minute)
	defer late.Stop()
	select {
	case c := <-e.free:
		return c, nil
	case <-late.C:
		return nil, errors.New("no courier was free for two minutes")
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// assign gives an order to its courier, who has to hear of it.
func (e *evening) assign(ctx context.Context, o *order) error {
	var now orderBody
	_, err := e.api.post(ctx, e.admin(o).user, "/orders/"+o.id+"/assign", map[string]any{"agentId": o.courier.id}, &now)
	if err != nil {
		return err
	}
	if now.AgentID != o.courier.id {
		return fmt.Errorf("it was assigned to %s and is with %q", o.courier.id, now.AgentID)
	}
	o.couriers[o.courier.id] = true
	if err := e.hears(ctx, o.courier.client, "order:assigned", o); err != nil {
		return err
	}
	_, err = o.courier.join(ctx, "order:"+o.id, "join:order", map[string]any{"orderId": o.id}, o.placedSeq-1)
	return err
}

// move gives an order to another courier, if one comes free soon. The first may then follow it no longer.
func (e *evening) move(ctx context.Context, o *order) error {
	var second *courier
	late := time.NewTimer(2 * time.Second)
	defer late.Stop()
	select {
	case second = <-e.free:
	case <-late.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
	first := o.courier
	o.courier = second
	err := e.assign(ctx, o)
	e.free <- first
	if err != nil {
		return err
	}
	e.stats.moved.Add(1)
	return e.outOf(ctx, first.client, "order:"+o.id)
}

// outOf waits until a client is out of a room to which it lost the right.
func (e *evening) outOf(ctx context.Context, c *client, room string) error {
	if c.await(ctx, hearing, func() bool { return c.journal.current(room) == nil }) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return fmt.Errorf("%s lost the right to %s and is still in it", c.name, room)
}

// afterwards gives money back for some orders that were delivered.
func (e *evening) afterwards(ctx context.Context, o *order) error {
	all := o.captured - o.refunded
	if all <= 0 {
		return nil
	}
	switch o.plan.refund {
	case refundPart:
		return e.refund(ctx, o, max(1, all/3), "Sorry for the cold soup")
	case refundAll:
		return e.refund(ctx, o, all, "It was the wrong order")
	case refundByProvider:
		return e.chargeBack(ctx, o, max(1, all/2))
	case refundNone:
	}
	return nil
}

// giveBack gives back what was paid for an order that is cancelled.
func (e *evening) giveBack(ctx context.Context, o *order) error {
	if o.plan.payment == payLate && o.payment.ID != "" {
		if err := e.captureLate(ctx, o); err != nil {
			return err
		}
	}
	if all := o.captured - o.refunded; all > 0 {
		return e.refund(ctx, o, all, "The order was cancelled")
	}
	return nil
}

func (e *evening) refund(ctx context.Context, o *order, amount int64, reason string) error {
	body := map[string]any{"reason": reason, "amount": amount}
	_, err := e.api.post(ctx, e.admin(o).user, "/payments/"+o.payment.ID+"/refund", body, nil)
	if said, ok := refused(err, "refund_exceeds_capture"); ok && o.status == "cancelled" && said.Refundable != nil && *said.Refundable == 0 {
		err = nil // the server gives back by itself what is due for a cancelled order
	}
	if err != nil {
		return err
	}
	o.refunded += amount
	e.stats.refunds.Add(1)
	e.stats.refundedSum.Add(amount)
	return nil
}
