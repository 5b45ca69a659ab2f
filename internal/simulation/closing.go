package simulation

import (
	"context"
	"fmt"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// quiet is how long no event may come for the evening to count as over: what follows from what happened, such as
	// entries in the inbox, has come then.
	quiet    = 1500 * time.Millisecond
	settling = 30 * time.Second
)

// closeShop ends the evening: what is still under way is cancelled, couriers go home, customers clear their inbox, and
// the business is left as it was found. It returns the seq that every client has to come to, when each has or had time
// enough to.
func (e *evening) closeShop(ctx context.Context) (int64, error) {
	if err := e.abandon(ctx); err != nil {
		return 0, err
	}
	for _, c := range e.clients {
		c.cuts.finish()
	}
	if err := e.goHome(ctx); err != nil {
		return 0, err
	}
	if err := e.tidy(ctx); err != nil {
		e.stats.complain(fmt.Sprintf("the menu and the offer of the evening cannot be taken back: %v", err))
	}
	e.settle(ctx)
	if err := e.clearInboxes(ctx); err != nil {
		return 0, err
	}
	last, err := e.lastCall(ctx)
	if err != nil {
		return 0, err
	}
	deadline := time.Now().Add(settling)
	for _, c := range e.clients {
		if !c.reaches(ctx, last, time.Until(deadline)) {
			e.stats.complain(fmt.Sprintf("%s was not told of seq %d within %s", c.name, last, settling))
		}
	}
	return last, nil
}

// abandon cancels the orders that are still under way.
func (e *evening) abandon(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, o := range e.orders {
		if o.id == "" || o.failed != nil || o.status == "delivered" || o.status == "cancelled" {
			continue
		}
		g.Go(func() error {
			if err := e.giveUp(ctx, o, e.admin(o).user, "The evening was cut short"); err != nil {
				return fmt.Errorf("order %d cannot be cancelled: %w", o.number, err)
			}
			if all := o.captured - o.refunded; all > 0 {
				return e.refund(ctx, o, all, "The evening was cut short")
			}
			return nil
		})
	}
	return g.Wait()
}

func (e *evening) goHome(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, c := range e.couriers {
		g.Go(func() error { return e.status(ctx, c, "offline") })
	}
	return g.Wait()
}

// settle waits until all are connected and nothing has come for a while. A server that others use too may never be
// quiet; then it goes on after a time.
func (e *evening) settle(ctx context.Context) {
	until := time.Now().Add(settling)
	before, since := e.stats.events.Load(), time.Now()
	for time.Now().Before(until) && pause(ctx, quiet/30) {
		count := e.stats.events.Load()
		if count != before || e.stats.online.Load() < int64(len(e.clients)) {
			before, since = count, time.Now()
		}
		if time.Since(since) >= quiet {
			return
		}
	}
}

// clearInboxes makes every third customer read all there is, after which nothing may be unread.
func (e *evening) clearInboxes(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for n, c := range e.customers {
		if n%3 != 0 {
			continue
		}
		g.Go(func() error {
			var left struct {
				Unread int64 `json:"unread"`
			}
			if _, err := e.api.post(ctx, c.user, "/notifications/read-all", nil, &left); err != nil {
				return err
			}
			var page struct {
				Items []struct{} `json:"items"`
			}
			if err := e.api.current(ctx, c.user, "/notifications?unread=true", &page); err != nil {
				return err
			}
			if left.Unread != 0 || len(page.Items) != 0 {
				e.stats.complain(fmt.Sprintf("%s has read all and %d are unread", c.name, max(left.Unread, int64(len(page.Items)))))
			}
			return nil
		})
	}
	return g.Wait()
}
