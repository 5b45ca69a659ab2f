package order

import (
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// Item is a line of an order, with the menu's name and price of the moment it was placed.
type Item struct {
	Product   uuid.UUID `json:"product"`
	Name      string    `json:"name"`
	Quantity  int64     `json:"quantity"`
	UnitPrice int64     `json:"unitPrice"` // minor units
	Total     int64     `json:"total"`     // minor units; Quantity × UnitPrice
}

// Placed says that a customer ordered. All amounts are minor units of Currency;
// TotalAmount is Subtotal less Discount.
type Placed struct {
	OrderID         uuid.UUID `json:"orderId"`
	OrderNumber     string    `json:"orderNumber"`
	CustomerID      string    `json:"customerId"`
	CustomerName    string    `json:"customerName"`
	Items           []Item    `json:"items"`
	Subtotal        int64     `json:"subtotal"`
	Discount        int64     `json:"discount"`
	TotalAmount     int64     `json:"totalAmount"`
	Currency        string    `json:"currency"`
	DeliveryAddress string    `json:"deliveryAddress"`
	PaymentMethod   string    `json:"paymentMethod"`
	Note            string    `json:"note"`
	OfferCode       string    `json:"offerCode"`
}

// StatusChanged says that an order went one step on. AgentID is the courier it was
// assigned to at that moment, empty when there was none.
type StatusChanged struct {
	OrderID     uuid.UUID `json:"orderId"`
	OrderNumber string    `json:"orderNumber"`
	CustomerID  string    `json:"customerId"`
	AgentID     string    `json:"agentId"`
	From        Status    `json:"from"`
	To          Status    `json:"to"`
	Message     string    `json:"message"`
}

// Cancelled says that an order was given up. AgentID is as in StatusChanged.
type Cancelled struct {
	OrderID     uuid.UUID `json:"orderId"`
	OrderNumber string    `json:"orderNumber"`
	CustomerID  string    `json:"customerId"`
	AgentID     string    `json:"agentId"`
	From        Status    `json:"from"`
	Reason      string    `json:"reason"`
}

// EventType is "order.placed".
func (Placed) EventType() string { return "order.placed" }

// EventType is "order.status_changed".
func (StatusChanged) EventType() string { return "order.status_changed" }

// EventType is "order.cancelled".
func (Cancelled) EventType() string { return "order.cancelled" }

func init() {
	domain.Register[Placed](1)
	domain.Register[StatusChanged](1)
	domain.Register[Cancelled](1)
}
