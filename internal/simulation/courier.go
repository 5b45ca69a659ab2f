package simulation

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

// courier is somebody on a scooter.
type courier struct {
	*user
	*client
}

// How a ride is pressed into the evening: so many points, so far apart. The server keeps one a second.
const (
	fewestPoints  = 3
	mostPoints    = 6
	betweenPoints = time.Second
	quickPoints   = 100 * time.Millisecond // as fast as possible
)

// status sets whether a courier takes orders.
func (e *evening) status(ctx context.Context, c *courier, status string) error {
	_, err := e.api.patch(ctx, c.user, "/delivery/status", map[string]any{"status": status}, nil)
	return err
}

// pickUp takes the order out of the shop. Customers who want to see the courier on a map join its room.
func (e *evening) pickUp(ctx context.Context, o *order) error {
	if err := e.work(ctx, o, reading); err != nil {
		return err
	}
	if err := e.step(ctx, o, o.courier.user, "out_for_delivery"); err != nil {
		return err
	}
	if !o.plan.tracks {
		return nil
	}
	device := o.customer.devices[0]
	if err := e.hears(ctx, device, "out_for_delivery", o); err != nil {
		return err
	}
	data := map[string]any{"deliveryId": o.courier.id}
	joined, err := device.join(ctx, "delivery:"+o.courier.id, "join:delivery", data, noPast)
	if joined {
		o.tracked = o.courier.id
	}
	return err
}

// deliver rides to the customer, takes cash, and closes the order.
func (e *evening) deliver(ctx context.Context, o *order) error {
	c := o.courier
	if err := e.ride(ctx, o); err != nil {
		return err
	}
	cash := o.plan.method == "cod"
	if cash && !o.plan.cashLast {
		if err := e.collect(ctx, o); err != nil {
			return err
		}
	}
	if err := e.step(ctx, o, c.user, "delivered"); err != nil {
		return err
	}
	if cash && o.plan.cashLast {
		if err := e.collect(ctx, o); err != nil {
			return err
		}
	}
	if err := e.hears(ctx, o.customer.devices[0], "delivered", o); err != nil {
		return err
	}
	if err := e.putAway(ctx, o, c.client); err != nil {
		return err
	}
	if err := e.rest(ctx, o); err != nil {
		return err
	}
	o.courier = nil
	e.free <- c // there is room for all
	return nil
}

// rest lets a courier have a break now and then.
func (e *evening) rest(ctx context.Context, o *order) error {
	if !o.plan.rests {
		return nil
	}
	for _, status := range []string{"busy", "offline", "online"} {
		if err := e.status(ctx, o.courier, status); err != nil {
			return err
		}
		if err := e.work(ctx, o, reading); err != nil && status == "online" {
			return err
		}
	}
	return nil
}

// collect takes the money at the door.
func (e *evening) collect(ctx context.Context, o *order) error {
	var now paid
	if _, err := e.api.post(ctx, o.courier.user, "/payments/"+o.payment.ID+"/collect", nil, &now); err != nil {
		return err
	}
	if now.Status != "captured" {
		return fmt.Errorf("its cash was collected and the payment is %s", now.Status)
	}
	e.tookIn(o)
	return nil
}

// ride moves along the roads and reports where it is, over the socket or, when that is away, over REST.
func (e *evening) ride(ctx context.Context, o *order) error {
	way := some(e.town.ride(o.rng), fewestPoints+o.rng.IntN(mostPoints-fewestPoints+1))
	apart := betweenPoints
	if e.cfg.Rate <= 0 {
		apart = quickPoints
	}
	for n, f := range way {
		if n > 0 && !pause(ctx, apart) {
			return ctx.Err()
		}
		if err := e.reportPoint(ctx, o, f, n%4 == 3); err != nil {
			return err
		}
	}
	return nil
}

// point is where the courier of an order is.
type point struct {
	OrderID string `json:"orderId"`
	fix
}

// reportPoint says where the courier is. A point whose answer was lost with the connection may be on the track or not.
func (e *evening) reportPoint(ctx context.Context, o *order, f fix, overREST bool) error {
	e.stats.points.Add(1)
	p := point{o.id, f}
	var answer struct {
		Kept bool `json:"kept"`
	}
	if !overREST {
		err := o.courier.tellLocation(ctx, p, &answer)
		var said *wireError
		switch {
		case err == nil:
			e.keep(o, answer.Kept)
			return nil
		case errors.As(err, &said) && said.Code == lost:
			o.unsure++
		case !errors.Is(err, errBusy):
			return fmt.Errorf("its courier's location was not taken: %w", err)
		}
	}
	_, err := e.api.do(ctx, request{as: o.courier.user, method: http.MethodPost, path: "/delivery/location", body: p, into: &answer})
	if err != nil {
		return err
	}
	e.keep(o, answer.Kept)
	return nil
}

func (e *evening) keep(o *order, kept bool) {
	if kept {
		o.kept++
		e.stats.kept.Add(1)
	}
}
