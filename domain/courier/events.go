package courier

import (
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StatusChanged says that a courier set its status. Status is what others see from then on, Chosen what the courier
// asked for: one that carries an order is seen as busy. CurrentOrder is the order it carries, nil for none.
type StatusChanged struct {
	AgentID      string     `json:"agentId"`
	Name         string     `json:"name"`
	Chosen       Status     `json:"chosen"`
	Status       Status     `json:"status"`
	CurrentOrder *uuid.UUID `json:"currentOrder"`
}

// OrderTaken says that a courier carries an order from then on. Status is what others see of it.
type OrderTaken struct {
	AgentID     string    `json:"agentId"`
	OrderID     uuid.UUID `json:"orderId"`
	OrderNumber string    `json:"orderNumber"`
	CustomerID  string    `json:"customerId"`
	Status      Status    `json:"status"`
}

// OrderReleased says that a courier no longer carries an order. Status is what others see of it from then on.
type OrderReleased struct {
	AgentID     string    `json:"agentId"`
	OrderID     uuid.UUID `json:"orderId"`
	OrderNumber string    `json:"orderNumber"`
	CustomerID  string    `json:"customerId"`
	Status      Status    `json:"status"`
	Reason      Reason    `json:"reason"`
}

// Located says where the courier of an order was. It is in the order's track, a stream of its own: the order and the
// courier are decided on without reading it.
type Located struct {
	OrderID    uuid.UUID `json:"orderId"`
	CustomerID string    `json:"customerId"`
	AgentID    string    `json:"agentId"`
	Point
}

// Point is a place as a phone reports it.
type Point struct {
	Latitude  float64  `json:"latitude"`           // degrees north, -90 to 90
	Longitude float64  `json:"longitude"`          // degrees east, -180 to 180
	Speed     *float64 `json:"speed,omitempty"`    // metres a second, 0 to 500
	Heading   *float64 `json:"heading,omitempty"`  // degrees from north, clockwise, 0 to 360
	Accuracy  *float64 `json:"accuracy,omitempty"` // metres, 0 to 100,000
}

// EventType is "courier.status_changed".
func (StatusChanged) EventType() string { return "courier.status_changed" }

// EventType is "courier.order_taken".
func (OrderTaken) EventType() string { return "courier.order_taken" }

// EventType is "courier.order_released".
func (OrderReleased) EventType() string { return "courier.order_released" }

// EventType is "courier.located".
func (Located) EventType() string { return "courier.located" }

func init() {
	domain.Register[StatusChanged](1)
	domain.Register[OrderTaken](1)
	domain.Register[OrderReleased](1)
	domain.Register[Located](1)
}
