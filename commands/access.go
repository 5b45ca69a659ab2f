package commands

import (
	"context"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// MayFollow tells whether an actor may be told what becomes of an order: its customer, the courier it is
// assigned to, and admins may. It goes by the log and not by a read model, so that whoever has just placed
// an order may follow it at once, and whoever has just lost it may not. [domain.CodeNotFound] if there is
// no such order.
func (s *Service) MayFollow(ctx context.Context, actor Actor, orderID uuid.UUID) (bool, error) {
	stream := orderStream(orderID)
	streams, err := s.read(ctx, []eventstore.StreamID{stream})
	if err != nil {
		return false, err
	}
	l, err := fold(stream, order.Order{}, streams[stream])
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
