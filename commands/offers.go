package commands

import (
	"context"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// CreateOffer asks for a new offer.
type CreateOffer struct {
	offer.Terms
}

// UpdateOffer asks to change the terms of an offer.
type UpdateOffer struct {
	Code   string
	Change offer.Change
}

// WithdrawOffer asks to end an offer.
type WithdrawOffer struct {
	Code string
}

// CheckOffer asks what an offer would take off an order.
type CheckOffer struct {
	Code  string
	Items []OrderItem
}

// OfferCheck is what an offer takes off an order. Amounts are minor units of Currency.
type OfferCheck struct {
	Code        string `json:"code"`
	Subtotal    int64  `json:"subtotal"`
	Discount    int64  `json:"discount"`
	TotalAmount int64  `json:"totalAmount"`
	Currency    string `json:"currency"`
}

// CreateOffer makes a new offer. Codes that differ only in case are the same, and none is ever used again. Admins may.
func (s *Service) CreateOffer(ctx context.Context, req Request, cmd CreateOffer) (Outcome[offer.Offer], error) {
	return execute(ctx, s, req, editOffers(cmd), s.onOffer(cmd.Code,
		func(o offer.Offer) ([]domain.Event, error) { return o.Create(cmd.Terms) }))
}

// UpdateOffer changes the terms of an offer for the orders that are still to come. Admins may.
func (s *Service) UpdateOffer(ctx context.Context, req Request, cmd UpdateOffer) (Outcome[offer.Offer], error) {
	asked := struct { // as JSON, a time that is to be removed looks like one that was not given
		UpdateOffer
		SetsStart, SetsEnd bool
	}{cmd, cmd.Change.StartsAt != nil, cmd.Change.EndsAt != nil}
	return execute(ctx, s, req, editOffers(asked), s.onOffer(cmd.Code,
		func(o offer.Offer) ([]domain.Event, error) { return o.Update(cmd.Change) }))
}

// WithdrawOffer ends an offer; doing so again changes nothing. Orders that used it keep their discount. Admins may.
func (s *Service) WithdrawOffer(ctx context.Context, req Request, cmd WithdrawOffer) (Outcome[offer.Offer], error) {
	return execute(ctx, s, req, editOffers(cmd), s.onOffer(cmd.Code, offer.Offer.Withdraw))
}

// onOffer is the way of a command that changes an offer. Its uses are read for the answer alone, which is not held to
// them: they change with every order.
func (s *Service) onOffer(code string, decide func(offer.Offer) ([]domain.Event, error)) func(context.Context) (change[offer.Offer], error) {
	return func(ctx context.Context) (change[offer.Offer], error) {
		l, err := load(ctx, s, offerStream(code), offer.Offer{})
		if err != nil {
			return change[offer.Offer]{}, err
		}
		events, err := decide(l.state)
		if err != nil {
			return change[offer.Offer]{}, err
		}
		stream := tallyStream(code, "")
		last, err := s.newest(ctx, stream)
		if err != nil {
			return change[offer.Offer]{}, err
		}
		all, err := foldLast(stream, offer.Tally{}, last)
		if err != nil {
			return change[offer.Offer]{}, err
		}
		l.state.Uses = all.state.Uses
		return decided(l, events)
	}
}

// CheckOffer tells what an offer would take off an order of the actor, a customer, if it were placed now; or refuses,
// naming the rule that fails. It goes by the log, so that a code that works here works for the order. The int64 is
// the seq of the newest event that counted for the answer.
func (s *Service) CheckOffer(ctx context.Context, actor Actor, cmd CheckOffer) (OfferCheck, int64, error) {
	c := command{name: "check an offer", roles: []domain.Role{domain.RoleCustomer}}
	if err := (Request{Actor: actor}).check(c); err != nil {
		return OfferCheck{}, 0, err
	}
	items, err := placeItems(cmd.Items)
	if err != nil {
		return OfferCheck{}, 0, err
	}
	streams, err := s.read(ctx, append(productStreams(items), offerStream(cmd.Code)))
	if err != nil {
		return OfferCheck{}, 0, err
	}
	asked, err := existingOffer(cmd.Code, streams)
	if err != nil {
		return OfferCheck{}, 0, err
	}
	products, err := foldProducts(items, streams)
	if err != nil {
		return OfferCheck{}, 0, err
	}
	_, subtotal, err := order.Price(items, onMenu(products))
	if err != nil {
		return OfferCheck{}, 0, err
	}
	uses, err := s.tallies(ctx, asked.state.Code, actor.UserID)
	if err != nil {
		return OfferCheck{}, 0, err
	}
	discount, err := asked.state.Discount(subtotal.Amount, s.opts.Now(), uses.all.state, uses.own.state)
	if err != nil {
		return OfferCheck{}, 0, err
	}
	seq := max(asked.seq, uses.all.seq, uses.own.seq)
	for _, p := range products {
		seq = max(seq, p.seq)
	}
	return OfferCheck{
		Code: asked.state.Code, Subtotal: subtotal.Amount, Discount: discount,
		TotalAmount: subtotal.Amount - discount, Currency: subtotal.Currency,
	}, seq, nil
}

func editOffers(cmd any) command {
	return command{name: "change the offers", roles: []domain.Role{domain.RoleAdmin}, asked: cmd}
}

func offerStream(code string) eventstore.StreamID {
	return eventstore.StreamID{Type: offer.StreamType, ID: offer.StreamID(code)}
}
