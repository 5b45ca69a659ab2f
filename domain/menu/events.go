package menu

import (
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// Added says that the menu has a new product.
type Added struct {
	ProductID   uuid.UUID `json:"productId"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Price       int64     `json:"price"` // minor units
	Currency    string    `json:"currency"`
	Available   bool      `json:"available"`
}

// Updated says that fields of a product were set. A nil field was not.
type Updated struct {
	ProductID   uuid.UUID `json:"productId"`
	Name        *string   `json:"name,omitempty"`
	Description *string   `json:"description,omitempty"`
	Price       *int64    `json:"price,omitempty"` // minor units
	Currency    *string   `json:"currency,omitempty"`
	Available   *bool     `json:"available,omitempty"`
}

// Archived says that a product left the menu for good.
type Archived struct {
	ProductID uuid.UUID `json:"productId"`
}

// EventType is "product.added".
func (Added) EventType() string { return "product.added" }

// EventType is "product.updated".
func (Updated) EventType() string { return "product.updated" }

// EventType is "product.archived".
func (Archived) EventType() string { return "product.archived" }

func init() {
	domain.Register[Added](1)
	domain.Register[Updated](1)
	domain.Register[Archived](1)
}
