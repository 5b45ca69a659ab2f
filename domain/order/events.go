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

// Assigned says that an order was given to a courier. PreviousAgentID is the courier it was taken from, empty when
// there was none.
type Assigned struct {
	OrderID         uuid.UUID `json:"orderId"`
	OrderNumber     string    `json:"orderNumber"`
	CustomerID      string    `json:"customerId"`
	AgentID         string    `json:"agentId"`
	PreviousAgentID string    `json:"previousAgentId"`
}

// PaymentOpened says that an order has a live payment, of which there is at most one.
type PaymentOpened struct {
	OrderID   uuid.UUID `json:"orderId"`
	PaymentID uuid.UUID `json:"paymentId"`
}

// PaymentClosed says that the order's live payment came to nothing, or was given back whole: another may be started.
type PaymentClosed struct {
	OrderID   uuid.UUID `json:"orderId"`
	PaymentID uuid.UUID `json:"paymentId"`
}

// Cancelled says that an order was given up. AgentID is as in StatusChanged. RefundDue is what the customer is owed
// because of it, in minor units of the order's currency.
type Cancelled struct {
	OrderID     uuid.UUID `json:"orderId"`
	OrderNumber string    `json:"orderNumber"`
	CustomerID  string    `json:"customerId"`
	AgentID     string    `json:"agentId"`
	From        Status    `json:"from"`
	Reason      string    `json:"reason"`
	RefundDue   int64     `json:"refundDue"`
}

// EventType is "order.placed".
func (Placed) EventType() string { return "order.placed" }

// EventType is "order.status_changed".
func (StatusChanged) EventType() string { return "order.status_changed" }

// EventType is "order.assigned".
func (Assigned) EventType() string { return "order.assigned" }

// EventType is "order.payment_opened".
func (PaymentOpened) EventType() string { return "order.payment_opened" }

// EventType is "order.payment_closed".
func (PaymentClosed) EventType() string { return "order.payment_closed" }

// EventType is "order.cancelled".
func (Cancelled) EventType() string { return "order.cancelled" }

func init() {
	domain.Register[Placed](1)
	domain.Register[StatusChanged](1)
	domain.Register[Assigned](1)
	domain.Register[PaymentOpened](1)
	domain.Register[PaymentClosed](1)
	domain.Register[Cancelled](1)
}
