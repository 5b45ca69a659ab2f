package commands

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// StartPayment asks to pay for an order.
type StartPayment struct {
	OrderID uuid.UUID
	Method  string // cod, card, upi or wallet
}

// CollectPayment says that the cash of a payment was taken.
type CollectPayment struct {
	PaymentID uuid.UUID
}

// RefundPayment asks to give money back.
type RefundPayment struct {
	PaymentID uuid.UUID
	Amount    *int64 // minor units; nil: all that can be
	Reason    string
}

// StartPayment begins to pay for an order, all of it. Its customer may, and admins. An order has one live payment at a
// time: who starts another while there is one is told which.
//
// Unless it is cash, the provider is asked for a checkout before anything is stored. A checkout whose payment is then
// refused, or whose answer came too late, is one that nobody is shown.
func (s *Service) StartPayment(ctx context.Context, req Request, cmd StartPayment) (Outcome[payment.Payment], error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome[payment.Payment]{}, fmt.Errorf("make a payment id: %w", err)
	}
	p := starting{service: s, id: id, actor: req.Actor, cmd: cmd}
	c := command{name: "pay for an order", roles: []domain.Role{domain.RoleCustomer, domain.RoleAdmin}, asked: cmd}
	return execute(ctx, s, req, c, p.decide)
}

// starting is one StartPayment over all its attempts.
type starting struct {
	service *Service
	id      uuid.UUID
	actor   Actor
	cmd     StartPayment
	opened  *payment.Opened // the checkout, once it is open
}

func (p *starting) decide(ctx context.Context) (change[payment.Payment], error) {
	method, err := payment.ParseMethod(p.cmd.Method)
	if err != nil {
		return change[payment.Payment]{}, err
	}
	o, err := load(ctx, p.service, orderStream(p.cmd.OrderID), order.Order{})
	if err != nil {
		return change[payment.Payment]{}, err
	}
	if o.version > 0 && p.actor.Role == domain.RoleCustomer && o.state.CustomerID != p.actor.UserID {
		return change[payment.Payment]{}, domain.Errorf(domain.CodeForbidden, "only its customer or an admin may pay for an order")
	}
	opens, err := o.state.OpenPayment(p.id)
	if err != nil {
		return change[payment.Payment]{}, err
	}
	start := payment.Start{PaymentID: p.id, Order: o.state, Method: string(method)}
	if method != payment.MethodCash {
		if err := p.openCheckout(ctx, o.state, method); err != nil {
			return change[payment.Payment]{}, err
		}
		start.Reference, start.CheckoutURL = p.opened.Reference, p.opened.URL
	}
	none := loaded[payment.Payment]{stream: paymentStream(p.id)}
	events, err := none.state.Start(start)
	if err != nil {
		return change[payment.Payment]{}, err
	}
	opened, err := o.add(opens)
	if err != nil {
		return change[payment.Payment]{}, err
	}
	return decided(none, events, opened)
}

// openCheckout has the provider open a checkout, once: an order's amount never changes.
func (p *starting) openCheckout(ctx context.Context, o order.Order, method payment.Method) error {
	if p.opened != nil {
		return nil
	}
	limited, cancel := context.WithTimeout(ctx, p.service.opts.ProviderTimeout)
	defer cancel()
	defer Aside(ctx)()
	opened, err := p.service.provider.OpenCheckout(limited, payment.Checkout{
		PaymentID: p.id, OrderNumber: o.OrderNumber, Amount: o.TotalAmount, Currency: o.Currency, Method: method,
	})
	switch {
	case err != nil && ctx.Err() != nil:
		return refusal(ctx.Err())
	case err != nil:
		return errProvider(err)
	}
	p.opened = &opened
	return nil
}

// CollectPayment says that the cash of a payment was taken. Admins may, and the courier to whom the order is assigned.
func (s *Service) CollectPayment(ctx context.Context, req Request, cmd CollectPayment) (Outcome[payment.Payment], error) {
	c := command{name: "collect cash", roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery}, asked: cmd}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[payment.Payment], error) {
		p, err := s.loadPaid(ctx, cmd.PaymentID)
		if err != nil {
			return change[payment.Payment]{}, err
		}
		assigned := p.order.state.AgentID != "" && p.order.state.AgentID == req.Actor.UserID
		events, err := p.payment.state.Collect(req.Actor, assigned)
		if err != nil {
			return change[payment.Payment]{}, err
		}
		return p.change(events, nil)
	})
}

// RefundPayment gives money back, never more than came in. Admins may. Unless it was cash the provider is told by a
// reaction to the event, see [Service.SettleRefund].
func (s *Service) RefundPayment(ctx context.Context, req Request, cmd RefundPayment) (Outcome[payment.Payment], error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome[payment.Payment]{}, fmt.Errorf("make a refund id: %w", err)
	}
	c := command{name: "refund a payment", roles: []domain.Role{domain.RoleAdmin}, asked: cmd, reason: cmd.Reason}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[payment.Payment], error) {
		p, err := s.loadPaid(ctx, cmd.PaymentID)
		if err != nil {
			return change[payment.Payment]{}, err
		}
		events, err := p.payment.state.Refund(payment.RefundRequest{RefundID: id.String(), Amount: cmd.Amount, Reason: cmd.Reason})
		if err != nil {
			return change[payment.Payment]{}, err
		}
		return p.change(events, p.closedWhenGivenBack(events))
	})
}

// paid is a payment and the order it is for, which change together.
type paid struct {
	payment loaded[payment.Payment]
	order   loaded[order.Order]
}

func (s *Service) loadPaid(ctx context.Context, id uuid.UUID) (paid, error) {
	var p paid
	var err error
	if p.payment, err = load(ctx, s, paymentStream(id), payment.Payment{}); err != nil {
		return p, err
	}
	if p.payment.version == 0 {
		return p, domain.Errorf(domain.CodeNotFound, "there is no payment %s", id)
	}
	p.order, err = load(ctx, s, orderStream(p.payment.state.OrderID), order.Order{})
	return p, err
}

// change is what the events of a payment, and those of its order, change. Both are held to what was read.
func (p paid) change(events, ofOrder []domain.Event) (change[payment.Payment], error) {
	o, err := p.order.add(ofOrder)
	if err != nil {
		return change[payment.Payment]{}, err
	}
	return decided(p.payment, events, o)
}

// closedWhenGivenBack makes room for another payment of the order when the events give back all that came in.
func (p paid) closedWhenGivenBack(events []domain.Event) []domain.Event {
	if len(events) == 0 || p.payment.after(events).Status != payment.StatusRefunded {
		return nil
	}
	return p.order.state.ClosePayment(p.payment.state.ID)
}

func errProvider(err error) error {
	return domain.Errorf(domain.CodeProviderUnavailable,
		"the payment provider does not answer: nothing was done, try again in a moment, or pay in cash").WithCause(err)
}

func paymentStream(id uuid.UUID) eventstore.StreamID {
	return eventstore.StreamID{Type: payment.StreamType, ID: id}
}
