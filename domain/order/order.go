// Package order is the aggregate of an order, from placed to delivered or cancelled.
// An order keeps the names and prices of the moment it was placed, takes the steps of
// its life one at a time and in order, and never leaves a final status.
package order

import (
	"slices"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of an order's stream in the log; the stream's id is the order's.
const StreamType = "order"

// Order is the state of an order, and what clients read of it. All amounts are minor
// units of Currency.
type Order struct {
	ID              uuid.UUID `json:"id"`
	OrderNumber     string    `json:"orderNumber"`
	Status          Status    `json:"status"`
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
	AgentID         string    `json:"agentId"`   // the assigned courier; empty: none
	PaymentID       string    `json:"paymentId"` // the live payment; empty: none
	CancelReason    string    `json:"cancelReason"`
	PlacedAt        time.Time `json:"placedAt"`
	UpdatedAt       time.Time `json:"updatedAt"`
	Version         int64     `json:"version"` // 0: does not exist
}

// Apply returns the state after an event that was recorded at a time. An event that
// says nothing about an order changes nothing. The state it was called on stays as it
// was; it shares no memory with the event.
func (o Order) Apply(e domain.Event, at time.Time) Order {
	at = at.UTC()
	switch e := e.(type) {
	case Placed:
		o.ID, o.OrderNumber, o.Status = e.OrderID, e.OrderNumber, StatusPlaced
		o.CustomerID, o.CustomerName = e.CustomerID, e.CustomerName
		o.Items = slices.Clone(e.Items)
		o.Subtotal, o.Discount, o.TotalAmount, o.Currency = e.Subtotal, e.Discount, e.TotalAmount, e.Currency
		o.DeliveryAddress, o.PaymentMethod = e.DeliveryAddress, e.PaymentMethod
		o.Note, o.OfferCode = e.Note, e.OfferCode
		o.PlacedAt = at
	case StatusChanged:
		o.Status, o.AgentID = e.To, e.AgentID
	case Assigned:
		o.AgentID = e.AgentID
	case PaymentOpened:
		o.PaymentID = e.PaymentID.String()
	case PaymentClosed:
		if o.PaymentID == e.PaymentID.String() {
			o.PaymentID = ""
		}
	case Cancelled:
		o.Status, o.AgentID, o.CancelReason = StatusCancelled, e.AgentID, e.Reason
	default:
		return o
	}
	o.UpdatedAt = at
	o.Version++
	return o
}

// Stamp fills in the times of a state whose last event was applied with the zero time.
func (o Order) Stamp(at time.Time) Order {
	o.UpdatedAt = at.UTC()
	if o.PlacedAt.IsZero() {
		o.PlacedAt = o.UpdatedAt
	}
	return o
}
