// Package menu is the aggregate of a product on the menu. A product is added once, may
// change as often as wanted, and is archived at the end: orders keep the name and the
// price they were placed with, so nothing about it is ever removed.
package menu

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of a product's stream in the log; the stream's id is the
// product's.
const StreamType = "product"

const (
	maxName        = 200  // characters
	maxDescription = 2000 // characters
)

// Product is the state of a product, and what clients read of it.
type Product struct {
	ID          uuid.UUID `json:"id"`
	Name        string    `json:"name"`
	Description string    `json:"description"`
	Price       int64     `json:"price"` // minor units
	Currency    string    `json:"currency"`
	Available   bool      `json:"available"`
	Archived    bool      `json:"archived"`
	CreatedAt   time.Time `json:"createdAt"`
	UpdatedAt   time.Time `json:"updatedAt"`
	Version     int64     `json:"version"` // 0: does not exist
}

// Add asks for a new product.
type Add struct {
	ProductID   uuid.UUID
	Name        string
	Description string
	Price       int64 // minor units
	Currency    string
	Available   bool
}

// Update asks to set the fields that are not nil.
type Update struct {
	Name        *string
	Description *string
	Price       *int64 // minor units
	Currency    *string
	Available   *bool
}

// Add decides on a new product; the state must be that of none.
func (p Product) Add(cmd Add) ([]domain.Event, error) {
	if p.Version > 0 {
		return nil, domain.Errorf(domain.CodeVersionConflict, "product %s exists already", p.ID)
	}
	asked := Update{
		Name: &cmd.Name, Description: &cmd.Description, Price: &cmd.Price, Currency: &cmd.Currency,
	}
	if err := asked.Validate(); err != nil {
		return nil, err
	}
	return []domain.Event{Added(cmd)}, nil
}

// Update decides on a change. What was asked is recorded as it was asked, also where it
// is what was there: the log says who set the price, even to the same.
func (p Product) Update(cmd Update) ([]domain.Event, error) {
	if err := p.checkExists(); err != nil {
		return nil, err
	}
	if p.Archived {
		return nil, domain.Errorf(domain.CodeProductUnavailable,
			"product %s is archived and cannot change: add a new one", p.ID)
	}
	if cmd == (Update{}) {
		return nil, domain.Errorf(domain.CodeInvalidRequest,
			"nothing to change: give at least one of name, description, price, currency, available")
	}
	if err := cmd.Validate(); err != nil {
		return nil, err
	}
	return []domain.Event{Updated{
		ProductID: p.ID, Name: cmd.Name, Description: cmd.Description,
		Price: cmd.Price, Currency: cmd.Currency, Available: cmd.Available,
	}}, nil
}

// Archive decides that a product leaves the menu. Archiving it again is no event.
func (p Product) Archive() ([]domain.Event, error) {
	if err := p.checkExists(); err != nil {
		return nil, err
	}
	if p.Archived {
		return nil, nil
	}
	return []domain.Event{Archived{ProductID: p.ID}}, nil
}

// Validate checks the fields that are set, whatever product they are for.
func (u Update) Validate() error {
	if u.Name != nil {
		if err := domain.CheckLine("name", *u.Name, 1, maxName); err != nil {
			return err
		}
	}
	if u.Description != nil {
		if err := domain.CheckText("description", *u.Description, 0, maxDescription); err != nil {
			return err
		}
	}
	if u.Price != nil {
		if err := domain.CheckPrice("price", *u.Price); err != nil {
			return err
		}
	}
	if u.Currency != nil {
		return domain.CheckCurrency("currency", *u.Currency)
	}
	return nil
}

func (p Product) checkExists() error {
	if p.Version == 0 {
		return domain.Errorf(domain.CodeNotFound, "there is no such product")
	}
	return nil
}

// Apply returns the state after an event that was recorded at a time.
// An event of another aggregate changes nothing.
func (p Product) Apply(e domain.Event, at time.Time) Product {
	at = at.UTC()
	switch e := e.(type) {
	case Added:
		p.ID, p.Name, p.Description = e.ProductID, e.Name, e.Description
		p.Price, p.Currency, p.Available = e.Price, e.Currency, e.Available
		p.CreatedAt = at
	case Updated:
		set(&p.Name, e.Name)
		set(&p.Description, e.Description)
		set(&p.Price, e.Price)
		set(&p.Currency, e.Currency)
		set(&p.Available, e.Available)
	case Archived:
		p.Archived, p.Available = true, false
	default:
		return p
	}
	p.UpdatedAt = at
	p.Version++
	return p
}

// Stamp fills in the times of a state whose last event was applied with the zero time.
func (p Product) Stamp(at time.Time) Product {
	p.UpdatedAt = at.UTC()
	if p.CreatedAt.IsZero() {
		p.CreatedAt = p.UpdatedAt
	}
	return p
}

func set[T any](field *T, value *T) {
	if value != nil {
		*field = *value
	}
}
