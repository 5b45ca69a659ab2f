package rest

import (
	"context"
	"slices"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/projections"
)

func (w *world) query(ctx context.Context, q any) error {
	if w.block {
		<-ctx.Done()
		return ctx.Err()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queries = append(w.queries, q)
	return w.fail
}

func (w *world) Business(ctx context.Context) (business.Business, int64, error) {
	return business.Business{IsOpen: true, BusinessName: "Kitchen"}, 42, w.query(ctx, "business")
}

func (w *world) Product(ctx context.Context, id uuid.UUID) (menu.Product, int64, error) {
	if id != productID {
		return menu.Product{}, 42, domain.Errorf(domain.CodeNotFound, "there is no product %s", id)
	}
	return menu.Product{ID: id, Name: "Dosa"}, 42, w.query(ctx, id)
}

func (w *world) Products(ctx context.Context, q projections.ProductQuery) (projections.List[menu.Product], error) {
	return projections.List[menu.Product]{Items: []menu.Product{{ID: productID}}, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) Order(ctx context.Context, id uuid.UUID) (order.Order, int64, error) {
	if id != orderID {
		return order.Order{}, 42, domain.Errorf(domain.CodeNotFound, "there is no order %s", id)
	}
	return w.order, 42, w.query(ctx, id)
}

func (w *world) Orders(ctx context.Context, q projections.OrderQuery) (projections.List[order.Order], error) {
	return projections.List[order.Order]{Items: nil, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) Payment(ctx context.Context, id uuid.UUID) (payment.Payment, int64, error) {
	for _, p := range w.payments {
		if p.ID == id {
			return p, 42, w.query(ctx, id)
		}
	}
	return payment.Payment{}, 42, domain.Errorf(domain.CodeNotFound, "there is no payment %s", id)
}

func (w *world) OrderPayments(ctx context.Context, id uuid.UUID) ([]payment.Payment, int64, error) {
	return slices.Clone(w.payments), 42, w.query(ctx, id)
}

func (w *world) Courier(ctx context.Context, id string) (courier.Courier, int64, error) {
	if id != "ravi" {
		return courier.Courier{}, 42, domain.Errorf(domain.CodeNotFound, "there is no courier %s", id)
	}
	return courier.Courier{ID: id, Status: courier.StatusBusy, Chosen: courier.StatusOnline, CurrentOrder: &orderID}, 42, w.query(ctx, id)
}

func (w *world) Couriers(ctx context.Context, q projections.CourierQuery) (projections.List[courier.Courier], error) {
	return projections.List[courier.Courier]{Items: []courier.Courier{{ID: "ravi", Status: courier.StatusOnline, Chosen: courier.StatusOnline}}, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) Track(ctx context.Context, q projections.TrackQuery) (projections.List[projections.TrackPoint], error) {
	return projections.List[projections.TrackPoint]{Items: []projections.TrackPoint{{Seq: 9, AgentID: "ravi"}}, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) Offer(ctx context.Context, code string) (offer.Offer, int64, error) {
	if !offer.SameCode(code, w.offer.Code) {
		return offer.Offer{}, 42, domain.Errorf(domain.CodeOfferNotFound, "there is no offer %q", code)
	}
	return w.offer, 42, w.query(ctx, code)
}

func (w *world) Offers(ctx context.Context, q projections.OfferQuery) (projections.List[offer.Offer], error) {
	return projections.List[offer.Offer]{Items: []offer.Offer{w.offer}, Next: w.more, Seq: 42}, w.query(ctx, q)
}

func (w *world) Inbox(ctx context.Context, q projections.InboxQuery) (projections.InboxPage, error) {
	return projections.InboxPage{
		List: projections.List[inbox.Entry]{Items: []inbox.Entry{w.entry}, Next: w.more, Seq: 42}, Unread: 3,
	}, w.query(ctx, q)
}

func (w *world) WaitFor(ctx context.Context, seq int64) error {
	w.mu.Lock()
	w.waited = append(w.waited, seq)
	w.mu.Unlock()
	if seq <= w.reached {
		return nil
	}
	<-ctx.Done()
	return ctx.Err()
}

func (w *world) ReadChannels(ctx context.Context, channels []string, after int64, limit int) (projections.Page, error) {
	if err := w.query(ctx, after); err != nil {
		return projections.Page{}, err
	}
	w.channels = channels
	if after < w.bounds.Floor {
		return projections.Page{}, projections.ErrExpired
	}
	page := projections.Page{Position: w.bounds.Position}
	for _, n := range w.feed {
		if n.Seq <= after || !slices.ContainsFunc(n.Channels, func(c string) bool { return slices.Contains(channels, c) }) {
			continue
		}
		if len(page.Items) == limit {
			page.More, page.Position = true, page.Items[limit-1].Seq
			break
		}
		page.Items = append(page.Items, n)
	}
	return page, nil
}

func (w *world) Bounds(context.Context) (projections.Bounds, error) { return w.bounds, w.fail }

func (w *world) Ready(context.Context) (Readiness, error) { return w.ready, w.readyErr }
