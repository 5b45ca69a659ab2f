package commands

import (
	"context"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// MayFollow tells whether an actor may be told what becomes of an order: its customer, the courier it is
// assigned to, and admins may. It goes by the log and not by a read model, so that whoever has just placed
// an order may follow it at once, and whoever has just lost it may not. [domain.CodeNotFound] if there is
// no such order.
func (s *Service) MayFollow(ctx context.Context, actor Actor, orderID uuid.UUID) (bool, error) {
	l, err := load(ctx, s, orderStream(orderID), order.Order{})
	if err != nil {
		return false, err
	}
	if l.version == 0 {
		return false, domain.Errorf(domain.CodeNotFound, "there is no order %s", orderID)
	}
	switch actor.Role {
	case domain.RoleAdmin:
		return true, nil
	case domain.RoleCustomer:
		return l.state.CustomerID == actor.UserID, nil
	case domain.RoleDelivery:
		return l.state.AgentID != "" && l.state.AgentID == actor.UserID, nil
	}
	return false, nil
}

// MayFollowCourier tells whether an actor may be told what a courier does: admins may, the courier itself, and a
// customer whose order it carries now. It goes by the log, as [Service.MayFollow] does, and costs the same however
// many orders the courier has carried.
//
// since is the seq from which on: a customer may not be told what the courier did before, which is of the orders of
// others. For all others it is 0.
func (s *Service) MayFollowCourier(ctx context.Context, actor Actor, agentID string) (since int64, ok bool, err error) {
	switch actor.Role {
	case domain.RoleAdmin:
		return 0, true, nil
	case domain.RoleDelivery:
		return 0, actor.UserID != "" && actor.UserID == agentID, nil
	case domain.RoleCustomer:
		return s.carriesFor(ctx, agentID, actor.UserID)
	}
	return 0, false, nil
}

// carriesFor tells whether a courier carries an order of a customer, and since which seq.
func (s *Service) carriesFor(ctx context.Context, agentID, customerID string) (since int64, ok bool, err error) {
	stream := courierStream(agentID)
	last, err := s.newest(ctx, stream)
	if err != nil {
		return 0, false, err
	}
	newest, ok := last[stream]
	if !ok {
		return 0, false, nil
	}
	e, err := domain.Decode(newest.Type, newest.Data)
	if err != nil {
		return 0, false, err
	}
	current := currentOrder(e)
	if current == nil {
		return 0, false, nil
	}
	streams, err := s.read(ctx, []eventstore.StreamID{orderStream(*current)})
	if err != nil {
		return 0, false, err
	}
	events := streams[orderStream(*current)]
	o, err := fold(orderStream(*current), order.Order{}, events)
	if err != nil {
		return 0, false, err
	}
	for _, e := range events {
		if domain.TypeName(e.Type) == (order.Assigned{}).EventType() {
			since = e.Seq
		}
	}
	// The two are read one after the other: the order's own word is the newer one.
	return since, o.state.CustomerID == customerID && o.state.AgentID == agentID && !o.state.Status.Final(), nil
}

// currentOrder is the order that a courier carries after an event, nil for none: each of its events says it.
func currentOrder(e domain.Event) *uuid.UUID {
	switch e := e.(type) {
	case courier.StatusChanged:
		return e.CurrentOrder
	case courier.OrderTaken:
		return &e.OrderID
	}
	return nil
}
