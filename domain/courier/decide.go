package courier

import (
	"cmp"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

const maxName = 200 // characters

// ParseStatus returns the status named s, or an invalid_request that lists them.
func ParseStatus(s string) (Status, error) {
	switch st := Status(s); st {
	case StatusOnline, StatusOffline, StatusBusy:
		return st, nil
	}
	return "", domain.Invalid("status", "must be one of online, offline, busy")
}

// SetStatus decides on the status that a courier chooses, which it may at any time; name is the courier's own, empty
// to leave it as it was. One that carries an order is seen as busy when it is online. What changes nothing is no event,
// but for the first time, from which on the courier is known.
func (c Courier) SetStatus(status, name string) ([]domain.Event, error) {
	chosen, err := ParseStatus(status)
	if err != nil {
		return nil, err
	}
	if err := domain.CheckLine("name", name, 0, maxName); err != nil {
		return nil, err
	}
	name = cmp.Or(name, c.Name)
	if c.Version > 0 && c.Chosen == chosen && c.Name == name {
		return nil, nil
	}
	e := StatusChanged{AgentID: c.ID, Name: name, Chosen: chosen, Status: shown(chosen, c.CurrentOrder != nil)}
	if c.CurrentOrder != nil {
		e.CurrentOrder = new(*c.CurrentOrder)
	}
	return []domain.Event{e}, nil
}

// Take asks to give a courier an order to carry.
type Take struct {
	OrderID     uuid.UUID
	OrderNumber string
	CustomerID  string
}

// Take decides whether a courier carries an order from then on: one who is online and carries none.
func (c Courier) Take(cmd Take) ([]domain.Event, error) {
	if c.Status != StatusOnline || c.CurrentOrder != nil {
		return nil, c.refuseOrder()
	}
	return []domain.Event{OrderTaken{
		AgentID: c.ID, OrderID: cmd.OrderID, OrderNumber: cmd.OrderNumber, CustomerID: cmd.CustomerID,
		Status: shown(c.Chosen, true),
	}}, nil
}

// Release decides that a courier no longer carries an order. It is no event when it does not.
func (c Courier) Release(orderID uuid.UUID, reason Reason) ([]domain.Event, error) {
	if c.CurrentOrder == nil || *c.CurrentOrder != orderID {
		return nil, nil
	}
	return []domain.Event{OrderReleased{
		AgentID: c.ID, OrderID: orderID, OrderNumber: c.CurrentNumber, CustomerID: c.CurrentCustomer,
		Status: shown(c.Chosen, false), Reason: reason,
	}}, nil
}

// shown is how others see a courier who chose a status.
func shown(chosen Status, carries bool) Status {
	if carries && chosen == StatusOnline {
		return StatusBusy
	}
	return chosen
}

func (c Courier) refuseOrder() error {
	why := "is " + string(cmp.Or(c.Status, StatusOffline))
	var current any // null in the answer when there is none
	if c.CurrentOrder != nil {
		why, current = "carries order "+c.CurrentNumber, c.CurrentOrder.String()
	}
	return domain.Errorf(domain.CodeAgentUnavailable, "courier %s %s: choose one who is online and carries no order", c.ID, why).
		With("agentId", c.ID).With("agentStatus", cmp.Or(c.Status, StatusOffline)).With("currentOrder", current)
}
