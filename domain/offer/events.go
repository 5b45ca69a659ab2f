package offer

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// Terms are what an offer gives, and to whom. Amounts are minor units of the currency of the order it is used for.
type Terms struct {
	Code           string       `json:"code"`
	Description    string       `json:"description"`
	DiscountType   DiscountType `json:"discountType"`
	DiscountValue  int64        `json:"discountValue"`      // per cent, 1 to 100, or an amount
	MinOrder       int64        `json:"minOrder"`           // the least subtotal; 0: none
	MaxDiscount    int64        `json:"maxDiscount"`        // the most it takes off; 0: no bound
	MaxUses        int64        `json:"maxUses"`            // by all customers; 0: no bound
	MaxUsesPerUser int64        `json:"maxUsesPerUser"`     // by one customer; 0: no bound
	StartsAt       *time.Time   `json:"startsAt,omitempty"` // nil: at once
	EndsAt         *time.Time   `json:"endsAt,omitempty"`   // nil: never
}

// Created says that there is a new offer.
type Created struct{ Terms }

// Updated says that an offer's terms are others from then on: all of them are given.
type Updated struct{ Terms }

// Withdrawn says that an offer can no longer be used. Its terms are those it had.
type Withdrawn struct{ Terms }

// Counted says that an order used an offer. It is in a tally: that of all customers, where CustomerID says who it was,
// or that of one customer. Uses is the tally's count after it.
type Counted struct {
	Code       string    `json:"code"`
	Scope      Scope     `json:"scope"`
	CustomerID string    `json:"customerId"`
	OrderID    uuid.UUID `json:"orderId"`
	Uses       int64     `json:"uses"`
}

// Returned says that an order which had used an offer was cancelled, and the use may be had again. Uses is the
// tally's count after it.
type Returned struct {
	Code       string    `json:"code"`
	Scope      Scope     `json:"scope"`
	CustomerID string    `json:"customerId"`
	OrderID    uuid.UUID `json:"orderId"`
	Uses       int64     `json:"uses"`
}

// EventType is "offer.created".
func (Created) EventType() string { return "offer.created" }

// EventType is "offer.updated".
func (Updated) EventType() string { return "offer.updated" }

// EventType is "offer.withdrawn".
func (Withdrawn) EventType() string { return "offer.withdrawn" }

// EventType is "offer.use_counted".
func (Counted) EventType() string { return "offer.use_counted" }

// EventType is "offer.use_returned".
func (Returned) EventType() string { return "offer.use_returned" }

func init() {
	domain.Register[Created](1)
	domain.Register[Updated](1)
	domain.Register[Withdrawn](1)
	domain.Register[Counted](1)
	domain.Register[Returned](1)
}
