package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/projections"
)

type productsInput struct {
	MinSeq
	Paging
	Archived bool `query:"archived" doc:"Archived products too; for admins."`
}

// ByID names the thing an operation is about.
type ByID struct {
	ID uuid.UUID `path:"id" format:"uuid"`
}

type productInput struct {
	ByID
	MinSeq
}

type addProductInput struct {
	Repeatable
	Body struct {
		Name        string `json:"name" minLength:"1" maxLength:"200"`
		Description string `json:"description,omitempty" maxLength:"2000"`
		Price       int64  `json:"price" minimum:"0" maximum:"10000000000" doc:"In minor units of the currency."`
		Currency    string `json:"currency" pattern:"^[A-Z]{3}$" patternDescription:"three upper-case letters, such as EUR" doc:"An ISO 4217 code." example:"INR"`
		Available   *bool  `json:"available,omitempty" default:"true"`
	}
}

type updateProductInput struct {
	ByID
	Repeatable
	Body struct {
		Name        *string `json:"name,omitempty" minLength:"1" maxLength:"200"`
		Description *string `json:"description,omitempty" maxLength:"2000"`
		Price       *int64  `json:"price,omitempty" minimum:"0" maximum:"10000000000" doc:"In minor units of the currency."`
		Currency    *string `json:"currency,omitempty" pattern:"^[A-Z]{3}$" patternDescription:"three upper-case letters, such as EUR" doc:"An ISO 4217 code."`
		Available   *bool   `json:"available,omitempty"`
	}
}

type archiveProductInput struct {
	ByID
	Repeatable
}

func (s *server) products(api huma.API) {
	tags := []string{"Menu"}
	register(s, api, huma.Operation{
		OperationID: "list-products", Method: http.MethodGet, Path: prefix + "/products", Tags: tags,
		Summary: "The menu, in the order in which products were added",
	}, everybody, s.listProducts)
	register(s, api, huma.Operation{
		OperationID: "get-product", Method: http.MethodGet, Path: prefix + "/products/{id}", Tags: tags,
		Summary: "A product, archived ones included",
	}, everybody, func(ctx context.Context, _ *call, in *productInput) (*read[menu.Product], error) {
		if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
			return nil, err
		}
		found, seq, err := s.cfg.Views.Product(ctx, in.ID)
		return &read[menu.Product]{Seq: seq, Body: found}, asOf(seq, err)
	})
	register(s, api, huma.Operation{
		OperationID: "add-product", Method: http.MethodPost, Path: prefix + "/products", Tags: tags,
		Summary: "Add a product", DefaultStatus: http.StatusCreated,
	}, admins, func(ctx context.Context, c *call, in *addProductInput) (*done[menu.Product], error) {
		out, err := answerOf(s.cfg.Commands.AddProduct(ctx, c.request(), commands.AddProduct{
			Name: in.Body.Name, Description: in.Body.Description, Price: in.Body.Price, Currency: in.Body.Currency,
			Available: in.Body.Available == nil || *in.Body.Available,
		}))
		if err != nil {
			return nil, err
		}
		out.Location = prefix + "/products/" + out.Body.ID.String()
		return out, nil
	})
	register(s, api, huma.Operation{
		OperationID: "update-product", Method: http.MethodPatch, Path: prefix + "/products/{id}", Tags: tags,
		Summary: "Change what is given of a product",
	}, admins, func(ctx context.Context, c *call, in *updateProductInput) (*done[menu.Product], error) {
		return answerOf(s.cfg.Commands.UpdateProduct(ctx, c.request(), commands.UpdateProduct{
			ProductID: in.ID, Name: in.Body.Name, Description: in.Body.Description, Price: in.Body.Price,
			Currency: in.Body.Currency, Available: in.Body.Available,
		}))
	})
	register(s, api, huma.Operation{
		OperationID: "archive-product", Method: http.MethodDelete, Path: prefix + "/products/{id}", Tags: tags,
		Summary:     "Take a product off the menu for good",
		Description: "Answers the archived product: orders keep it, and so does the log. Doing it again changes nothing.",
	}, admins, func(ctx context.Context, c *call, in *archiveProductInput) (*done[menu.Product], error) {
		return answerOf(s.cfg.Commands.ArchiveProduct(ctx, c.request(), commands.ArchiveProduct{ProductID: in.ID}))
	})
}

func (s *server) listProducts(ctx context.Context, c *call, in *productsInput) (*read[list[menu.Product]], error) {
	if in.Archived && (c.identity == nil || c.identity.Role != domain.RoleAdmin) {
		return nil, problem(domain.CodeForbidden, "archived products are listed for admins only: leave archived out")
	}
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Views.Products(ctx, projections.ProductQuery{IncludeArchived: in.Archived, Limit: in.Limit, After: in.Cursor})
	return listOf(found), err
}
