package commands

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// ChangeOrderStatus asks to move an order one step on.
type ChangeOrderStatus struct {
	OrderID uuid.UUID
	Status  string
	Message string // for the customer; empty: a default
}

// AssignOrder asks to give an order to a courier.
type AssignOrder struct {
	OrderID uuid.UUID
	AgentID string // the courier's user id
}

// CancelOrder asks to give an order up.
type CancelOrder struct {
	OrderID uuid.UUID
	Reason  string
}

// ChangeOrderStatus moves an order one step on. Admins may take every step, the courier
// it is assigned to those after ready. The courier of one that is delivered is free again.
func (s *Service) ChangeOrderStatus(ctx context.Context, req Request, cmd ChangeOrderStatus) (Outcome[order.Order], error) {
	c := command{
		name: "change an order's status", roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery},
		asked: cmd, reason: cmd.Message,
	}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[order.Order], error) {
		o, err := load(ctx, s, orderStream(cmd.OrderID), order.Order{})
		if err != nil {
			return change[order.Order]{}, err
		}
		events, err := o.state.ChangeStatus(order.ChangeStatus{By: req.Actor, To: order.Status(cmd.Status), Message: cmd.Message})
		if err != nil {
			return change[order.Order]{}, err
		}
		var freed []eventstore.StreamAppend
		if o.after(events).Status.Final() {
			if freed, err = s.release(ctx, o.state, courier.ReasonDelivered); err != nil {
				return change[order.Order]{}, err
			}
		}
		return decided(o, events, freed...)
	})
}

// AssignOrder gives an order to a courier who is online and carries none, and takes it
// from the one who had it. Giving it to whoever has it already changes nothing. Admins may.
//
// The order and both couriers are held at the versions that were read: that is why no
// courier ever carries two orders, however many are assigned at once.
func (s *Service) AssignOrder(ctx context.Context, req Request, cmd AssignOrder) (Outcome[order.Order], error) {
	c := command{name: "assign an order", roles: []domain.Role{domain.RoleAdmin}, asked: cmd}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[order.Order], error) {
		return s.assign(ctx, req.Actor, cmd)
	})
}

func (s *Service) assign(ctx context.Context, by Actor, cmd AssignOrder) (change[order.Order], error) {
	o, err := load(ctx, s, orderStream(cmd.OrderID), order.Order{})
	if err != nil {
		return change[order.Order]{}, err
	}
	events, err := o.state.Assign(order.Assign{By: by, AgentID: cmd.AgentID})
	if err != nil {
		return change[order.Order]{}, err
	}
	if len(events) == 0 {
		return decided(o, nil)
	}
	agent, err := load(ctx, s, courierStream(cmd.AgentID), courier.Initial(cmd.AgentID))
	if err != nil {
		return change[order.Order]{}, err
	}
	taken, err := agent.state.Take(courier.Take{
		OrderID: o.state.ID, OrderNumber: o.state.OrderNumber, CustomerID: o.state.CustomerID,
	})
	if err != nil {
		return change[order.Order]{}, err
	}
	takes, err := agent.add(taken)
	if err != nil {
		return change[order.Order]{}, err
	}
	others, err := s.release(ctx, o.state, courier.ReasonReassigned)
	if err != nil {
		return change[order.Order]{}, err
	}
	return decided(o, events, append(others, takes)...)
}

// release frees the courier of an order, if it has one.
func (s *Service) release(ctx context.Context, o order.Order, why courier.Reason) ([]eventstore.StreamAppend, error) {
	if o.AgentID == "" {
		return nil, nil
	}
	agent, err := load(ctx, s, courierStream(o.AgentID), courier.Initial(o.AgentID))
	if err != nil {
		return nil, err
	}
	events, err := agent.state.Release(o.ID, why)
	if err != nil {
		return nil, err
	}
	freed, err := agent.add(events)
	return []eventstore.StreamAppend{freed}, err
}

// CancelOrder gives an order up. Its customer may until it is prepared, admins until it
// is delivered. With it, its courier is free again, the use of its offer may be had again,
// what was not paid is not to be paid any more, and what was paid is to be given back.
func (s *Service) CancelOrder(ctx context.Context, req Request, cmd CancelOrder) (Outcome[order.Order], error) {
	c := command{
		name: "cancel an order", roles: []domain.Role{domain.RoleAdmin, domain.RoleCustomer},
		asked: cmd, reason: cmd.Reason,
	}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[order.Order], error) {
		return s.cancel(ctx, req.Actor, cmd)
	})
}

func (s *Service) cancel(ctx context.Context, by Actor, cmd CancelOrder) (change[order.Order], error) {
	o, err := load(ctx, s, orderStream(cmd.OrderID), order.Order{})
	if err != nil {
		return change[order.Order]{}, err
	}
	ask := order.Cancel{By: by, Reason: cmd.Reason}
	if _, err := o.state.Cancel(ask); err != nil { // before more is read for it
		return change[order.Order]{}, err
	}
	var others []eventstore.StreamAppend
	var closed []domain.Event
	if o.state.PaymentID != "" {
		p, events, err := s.giveUpPayment(ctx, o.state, cmd.Reason)
		if err != nil {
			return change[order.Order]{}, err
		}
		add, err := p.add(events)
		if err != nil {
			return change[order.Order]{}, err
		}
		others = append(others, add)
		after := p.after(events)
		ask.RefundDue = after.RefundDue
		if after.Status == payment.StatusVoided {
			closed = o.state.ClosePayment(after.ID)
		}
	}
	events, err := o.state.Cancel(ask)
	if err != nil {
		return change[order.Order]{}, err
	}
	freed, err := s.release(ctx, o.state, courier.ReasonCancelled)
	if err != nil {
		return change[order.Order]{}, err
	}
	returned, err := s.returnUse(ctx, o.state)
	if err != nil {
		return change[order.Order]{}, err
	}
	others = append(append(others, freed...), returned...)
	return decided(o, append(events, closed...), others...)
}

// giveUpPayment loads an order's live payment and decides what becomes of it when the order is cancelled.
func (s *Service) giveUpPayment(ctx context.Context, o order.Order, why string) (loaded[payment.Payment], []domain.Event, error) {
	id, err := uuid.Parse(o.PaymentID)
	if err != nil {
		return loaded[payment.Payment]{}, nil, fmt.Errorf("payment of order %s: %w", o.ID, err)
	}
	p, err := load(ctx, s, paymentStream(id), payment.Payment{})
	if err != nil {
		return p, nil, err
	}
	events, err := p.state.OrderCancelled(why)
	return p, events, err
}

func orderStream(id uuid.UUID) eventstore.StreamID {
	return eventstore.StreamID{Type: order.StreamType, ID: id}
}
