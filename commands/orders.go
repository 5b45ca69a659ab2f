package commands

import (
	"context"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// ChangeOrderStatus asks to move an order one step on.
type ChangeOrderStatus struct {
	OrderID uuid.UUID
	Status  string
	Message string // for the customer; empty: a default
}

// CancelOrder asks to give an order up.
type CancelOrder struct {
	OrderID uuid.UUID
	Reason  string
}

// ChangeOrderStatus moves an order one step on. Admins may take every step, the courier
// it is assigned to those after ready.
func (s *Service) ChangeOrderStatus(ctx context.Context, req Request, cmd ChangeOrderStatus) (Outcome[order.Order], error) {
	c := command{
		name: "change an order's status", roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery},
		asked: cmd, reason: cmd.Message,
	}
	return execute(ctx, s, req, c, onStream(s, orderStream(cmd.OrderID), order.Order{},
		func(o order.Order) ([]domain.Event, error) {
			return o.ChangeStatus(order.ChangeStatus{By: req.Actor, To: order.Status(cmd.Status), Message: cmd.Message})
		}))
}

// CancelOrder gives an order up. Its customer may until it is prepared, admins until it
// is delivered.
func (s *Service) CancelOrder(ctx context.Context, req Request, cmd CancelOrder) (Outcome[order.Order], error) {
	c := command{
		name: "cancel an order", roles: []domain.Role{domain.RoleAdmin, domain.RoleCustomer},
		asked: cmd, reason: cmd.Reason,
	}
	return execute(ctx, s, req, c, onStream(s, orderStream(cmd.OrderID), order.Order{},
		func(o order.Order) ([]domain.Event, error) {
			return o.Cancel(order.Cancel{By: req.Actor, Reason: cmd.Reason})
		}))
}

func orderStream(id uuid.UUID) eventstore.StreamID {
	return eventstore.StreamID{Type: order.StreamType, ID: id}
}
