package commands

import (
	"context"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/offer"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// tallies are how often an offer was used: by all customers, and by one of them. They are read by their newest events:
// a tally is as long as its offer is popular.
type tallies struct {
	code, customerID string
	all, own         loaded[offer.Tally]
}

func (s *Service) tallies(ctx context.Context, code, customerID string) (tallies, error) {
	t := tallies{code: code, customerID: customerID}
	all, own := tallyStream(code, ""), tallyStream(code, customerID)
	last, err := s.newest(ctx, all, own)
	if err != nil {
		return t, err
	}
	if t.all, err = foldLast(all, offer.Tally{}, last); err != nil {
		return t, err
	}
	t.own, err = foldLast(own, offer.Tally{}, last)
	return t, err
}

// count adds a use to both tallies, at the versions they had: two orders never take the same last use.
func (t tallies) count(orderID uuid.UUID) ([]eventstore.StreamAppend, error) {
	return t.add(func(tally offer.Tally, scope offer.Scope) []domain.Event {
		return tally.Count(t.code, scope, t.customerID, orderID)
	})
}

func (t tallies) add(decide func(offer.Tally, offer.Scope) []domain.Event) ([]eventstore.StreamAppend, error) {
	all, err := t.all.add(decide(t.all.state, offer.ScopeAll))
	if err != nil {
		return nil, err
	}
	own, err := t.own.add(decide(t.own.state, offer.ScopeCustomer))
	return []eventstore.StreamAppend{all, own}, err
}

// returnUse takes the use that an order made of an offer from both tallies, if it made one.
func (s *Service) returnUse(ctx context.Context, o order.Order) ([]eventstore.StreamAppend, error) {
	if o.OfferCode == "" {
		return nil, nil
	}
	t, err := s.tallies(ctx, o.OfferCode, o.CustomerID)
	if err != nil {
		return nil, err
	}
	return t.add(func(tally offer.Tally, scope offer.Scope) []domain.Event {
		return tally.Return(t.code, scope, t.customerID, o.ID)
	})
}

// tallyStream is the tally of one customer's uses, or, with an empty customerID, of all.
func tallyStream(code, customerID string) eventstore.StreamID {
	return eventstore.StreamID{Type: offer.TallyStreamType, ID: offer.TallyID(code, customerID)}
}
