package commands

import (
	"context"
	"fmt"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/eventstore"
)

// AddProduct asks for a new product on the menu.
type AddProduct struct {
	Name        string
	Description string
	Price       int64 // minor units
	Currency    string
	Available   bool
}

// UpdateProduct asks to set the fields of a product that are not nil.
type UpdateProduct struct {
	ProductID   uuid.UUID
	Name        *string
	Description *string
	Price       *int64 // minor units
	Currency    *string
	Available   *bool
}

// ArchiveProduct asks to take a product off the menu for good.
type ArchiveProduct struct {
	ProductID uuid.UUID
}

// AddProduct adds a product to the menu. Admins may.
func (s *Service) AddProduct(ctx context.Context, req Request, cmd AddProduct) (Outcome[menu.Product], error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome[menu.Product]{}, fmt.Errorf("make a product id: %w", err)
	}
	add := menu.Add{
		ProductID: id, Name: cmd.Name, Description: cmd.Description,
		Price: cmd.Price, Currency: cmd.Currency, Available: cmd.Available,
	}
	return execute(ctx, s, req, editMenu(cmd), func(context.Context) (change[menu.Product], error) {
		none := loaded[menu.Product]{stream: productStream(id)}
		events, err := none.state.Add(add)
		if err != nil {
			return change[menu.Product]{}, err
		}
		return decided(none, events)
	})
}

// UpdateProduct changes a product that is on the menu. Admins may.
func (s *Service) UpdateProduct(ctx context.Context, req Request, cmd UpdateProduct) (Outcome[menu.Product], error) {
	update := menu.Update{
		Name: cmd.Name, Description: cmd.Description, Price: cmd.Price, Currency: cmd.Currency, Available: cmd.Available,
	}
	return execute(ctx, s, req, editMenu(cmd), onStream(s, productStream(cmd.ProductID), menu.Product{},
		func(p menu.Product) ([]domain.Event, error) { return p.Update(update) }))
}

// ArchiveProduct takes a product off the menu; doing so again changes nothing. Admins may.
func (s *Service) ArchiveProduct(ctx context.Context, req Request, cmd ArchiveProduct) (Outcome[menu.Product], error) {
	return execute(ctx, s, req, editMenu(cmd), onStream(s, productStream(cmd.ProductID), menu.Product{}, menu.Product.Archive))
}

func editMenu(cmd any) command {
	return command{name: "change the menu", roles: []domain.Role{domain.RoleAdmin}, asked: cmd}
}

func productStream(id uuid.UUID) eventstore.StreamID {
	return eventstore.StreamID{Type: menu.StreamType, ID: id}
}
