package order

import (
	"github.com/orderlog/orderlog/domain"
)

// Assign asks to give an order to a courier.
type Assign struct {
	By      domain.Actor
	AgentID string
}

// Assign decides who carries an order. Admins may, as long as it is on its way to its
// customer; giving it to the courier who has it already is no event. Whether that courier
// can take it is the courier's decision.
func (o Order) Assign(cmd Assign) ([]domain.Event, error) {
	if err := domain.CheckLine("agentId", cmd.AgentID, 1, domain.MaxUserID); err != nil {
		return nil, err
	}
	if o.Version == 0 {
		return nil, errNoOrder()
	}
	if cmd.By.Role != domain.RoleAdmin {
		return nil, domain.Errorf(domain.CodeForbidden, "only an admin may assign an order: ask one to")
	}
	if o.Status.Final() {
		return nil, o.refuseInactive("assign one that is neither delivered nor cancelled")
	}
	if o.AgentID == cmd.AgentID {
		return nil, nil
	}
	return []domain.Event{Assigned{
		OrderID: o.ID, OrderNumber: o.OrderNumber, CustomerID: o.CustomerID,
		AgentID: cmd.AgentID, PreviousAgentID: o.AgentID,
	}}, nil
}

// CheckActive refuses what can only be done until an order is delivered or cancelled.
func (o Order) CheckActive() error {
	if o.Version == 0 {
		return errNoOrder()
	}
	if o.Status.Final() {
		return o.refuseInactive("choose one that is neither delivered nor cancelled")
	}
	return nil
}

// refuseInactive says that an order is at its end, and what to do instead.
func (o Order) refuseInactive(instead string) error {
	return domain.Errorf(domain.CodeOrderNotActive, "order %s is %s: %s", o.OrderNumber, o.Status, instead).
		With("orderId", o.ID).With("orderStatus", o.Status)
}
