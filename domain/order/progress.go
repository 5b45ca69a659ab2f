package order

import (
	"fmt"
	"slices"

	"github.com/orderlog/orderlog/domain"
)

const (
	maxMessage = 500 // characters
	maxReason  = 500 // characters
)

// ChangeStatus asks to move an order on.
type ChangeStatus struct {
	By      domain.Actor
	To      Status
	Message string // for the customer; empty: the default of the status
}

// Cancel asks to give an order up.
type Cancel struct {
	By        domain.Actor
	Reason    string
	RefundDue int64 // what the customer is owed then, in minor units of the order's currency
}

// ChangeStatus decides on the next step of an order. Admins may take every step, the
// assigned courier those from ready to delivered, nobody else any.
func (o Order) ChangeStatus(cmd ChangeStatus) ([]domain.Event, error) {
	to, err := ParseStatus(string(cmd.To))
	if err != nil {
		return nil, err
	}
	if err := domain.CheckText("message", cmd.Message, 0, maxMessage); err != nil {
		return nil, err
	}
	if o.Version == 0 {
		return nil, errNoOrder()
	}
	if err := o.mayChangeStatus(cmd.By, to); err != nil {
		return nil, err
	}
	next, ok := steps[o.Status]
	if !ok || next.to != to {
		return nil, o.refuseStep(to, o.Status.Next())
	}
	message := cmd.Message
	if message == "" {
		message = next.message
	}
	return []domain.Event{StatusChanged{
		OrderID: o.ID, OrderNumber: o.OrderNumber, CustomerID: o.CustomerID, AgentID: o.AgentID,
		From: o.Status, To: to, Message: message,
	}}, nil
}

// Cancel decides whether an order is given up. Its customer may until it is prepared,
// an admin until it is delivered.
func (o Order) Cancel(cmd Cancel) ([]domain.Event, error) {
	if err := domain.CheckText("reason", cmd.Reason, 1, maxReason); err != nil {
		return nil, err
	}
	if o.Version == 0 {
		return nil, errNoOrder()
	}
	var from []Status
	switch {
	case cmd.By.Role == domain.RoleAdmin:
		from = []Status{StatusPlaced, StatusConfirmed, StatusPreparing, StatusReady, StatusOutForDelivery}
	case cmd.By.Role == domain.RoleCustomer && cmd.By.UserID == o.CustomerID:
		from = []Status{StatusPlaced, StatusConfirmed}
	default:
		return nil, domain.Errorf(domain.CodeForbidden, "only its customer or an admin may cancel an order")
	}
	if !slices.Contains(from, o.Status) {
		return nil, o.refuseStep(StatusCancelled, []Status{})
	}
	if cmd.RefundDue < 0 {
		return nil, fmt.Errorf("cancel order %s: %d is due, which is less than nothing", o.ID, cmd.RefundDue)
	}
	return []domain.Event{Cancelled{
		OrderID: o.ID, OrderNumber: o.OrderNumber, CustomerID: o.CustomerID, AgentID: o.AgentID,
		From: o.Status, Reason: cmd.Reason, RefundDue: cmd.RefundDue,
	}}, nil
}

func (o Order) mayChangeStatus(by domain.Actor, to Status) error {
	switch by.Role {
	case domain.RoleAdmin:
		return nil
	case domain.RoleDelivery:
		if o.AgentID == "" || o.AgentID != by.UserID {
			return domain.Errorf(domain.CodeForbidden, "this order is not assigned to you: ask an admin to assign it")
		}
		if to != StatusOutForDelivery && to != StatusDelivered {
			return domain.Errorf(domain.CodeForbidden,
				"a courier may set an order only to out_for_delivery and delivered")
		}
		return nil
	default:
		return domain.Errorf(domain.CodeForbidden, "only an admin or the assigned courier may change an order's status")
	}
}

func (o Order) refuseStep(to Status, allowed []Status) error {
	var message string
	switch {
	case to == StatusCancelled && len(allowed) > 0:
		message = fmt.Sprintf("an order is not cancelled by its status: ask to cancel it; from %s it can go on to %s", o.Status, allowed[0])
	case to == StatusCancelled && !o.Status.Final():
		message = fmt.Sprintf("an order that is %s can no longer be cancelled by its customer: ask the business", o.Status)
	case len(allowed) == 0:
		message = fmt.Sprintf("an order that is %s stays so: nothing can be done about it any more", o.Status)
	default:
		message = fmt.Sprintf("an order that is %s can only go on to %s, not to %s", o.Status, allowed[0], to)
	}
	return domain.Errorf(domain.CodeInvalidTransition, "%s", message).
		With("from", o.Status).With("to", to).With("allowed", allowed)
}

func errNoOrder() error {
	return domain.Errorf(domain.CodeNotFound, "there is no such order: list the orders to see those that are")
}
