package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

type ordersInput struct {
	MinSeq
	Paging
	Status   string    `query:"status" enum:"placed,confirmed,preparing,ready,out_for_delivery,delivered,cancelled"`
	Customer string    `query:"customer" maxLength:"128" doc:"The customer's user id; others than the caller's for admins only."`
	Agent    string    `query:"agent" maxLength:"128" doc:"The assigned courier's user id; a courier may only ask for its own."`
	From     time.Time `query:"from" doc:"Placed at this time or after it."`
	To       time.Time `query:"to" doc:"Placed before this time."`
}

type orderInput struct {
	ByID
	MinSeq
}

type placeOrderInput struct {
	Repeatable
	Body struct {
		_ struct{} `json:"-" additionalProperties:"true"`

		Items           []wantedItem `json:"items" minItems:"1" maxItems:"100" nullable:"false" doc:"Prices are the menu's."`
		DeliveryAddress string       `json:"deliveryAddress"`
		CustomerName    string       `json:"customerName,omitempty" doc:"The token's name when empty."`
		OfferCode       string       `json:"offerCode,omitempty"`
		PaymentMethod   string       `json:"paymentMethod" enum:"cod,card,upi,wallet"`
		Note            string       `json:"note,omitempty"`
	}
}

type wantedItem struct {
	_ struct{} `json:"-" additionalProperties:"true"`

	Product  string `json:"product" format:"uuid" doc:"The product's id."`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"999"`
}

type orderStatusInput struct {
	ByID
	Repeatable
	Body struct {
		_ struct{} `json:"-" additionalProperties:"true"`

		Status  string `json:"status" enum:"placed,confirmed,preparing,ready,out_for_delivery,delivered,cancelled"`
		Message string `json:"message,omitempty" doc:"What the customer is told; a default when empty."`
	}
}

type cancelOrderInput struct {
	ByID
	Repeatable
	Body struct {
		_ struct{} `json:"-" additionalProperties:"true"`

		Reason string `json:"reason"`
	}
}

func (s *server) orders(api huma.API) {
	tags := []string{"Orders"}
	register(s, api, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: prefix + "/orders", Tags: tags,
		Summary: "Place an order", DefaultStatus: http.StatusCreated,
	}, customers, s.placeOrder)
	register(s, api, huma.Operation{
		OperationID: "list-orders", Method: http.MethodGet, Path: prefix + "/orders", Tags: tags,
		Summary:     "Orders, newest first",
		Description: "A customer gets its own, a courier those assigned to it, an admin all.",
	}, anyRole, s.listOrders)
	register(s, api, huma.Operation{
		OperationID: "get-order", Method: http.MethodGet, Path: prefix + "/orders/{id}", Tags: tags,
		Summary: "An order",
	}, anyRole, func(ctx context.Context, c *call, in *orderInput) (*read[order.Order], error) {
		if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
			return nil, err
		}
		found, seq, err := s.cfg.Views.Order(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		if !maySee(c.user(), found) {
			return nil, problem(domain.CodeForbidden, "this order is somebody else's")
		}
		return &read[order.Order]{Seq: seq, Body: found}, nil
	})
	register(s, api, huma.Operation{
		OperationID: "change-order-status", Method: http.MethodPatch, Path: prefix + "/orders/{id}/status", Tags: tags,
		Summary:     "Move an order one step on",
		Description: "placed → confirmed → preparing → ready → out_for_delivery → delivered. Admins take every step, the assigned courier those after ready.",
		Responses: map[string]*huma.Response{"409": {Description: "invalid_transition: the member allowed lists the statuses possible now. " +
			"version_conflict: the order changed too often meanwhile; try again."}},
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery}}, func(ctx context.Context, c *call, in *orderStatusInput) (*done[order.Order], error) {
		return answerOf(s.cfg.Commands.ChangeOrderStatus(ctx, c.request(), commands.ChangeOrderStatus{
			OrderID: in.ID, Status: in.Body.Status, Message: in.Body.Message,
		}))
	})
	register(s, api, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: prefix + "/orders/{id}/cancel", Tags: tags,
		Summary:     "Cancel an order",
		Description: "Its customer may until it is preparing, an admin until it is delivered.",
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleCustomer}}, func(ctx context.Context, c *call, in *cancelOrderInput) (*done[order.Order], error) {
		return answerOf(s.cfg.Commands.CancelOrder(ctx, c.request(), commands.CancelOrder{OrderID: in.ID, Reason: in.Body.Reason}))
	})
}

func (s *server) placeOrder(ctx context.Context, c *call, in *placeOrderInput) (*done[order.Order], error) {
	cmd := commands.PlaceOrder{
		Items: make([]commands.OrderItem, len(in.Body.Items)), DeliveryAddress: in.Body.DeliveryAddress,
		CustomerName: in.Body.CustomerName, OfferCode: in.Body.OfferCode, PaymentMethod: in.Body.PaymentMethod, Note: in.Body.Note,
	}
	for i, item := range in.Body.Items {
		cmd.Items[i] = commands.OrderItem{Product: item.Product, Quantity: item.Quantity}
	}
	out, err := answerOf(s.cfg.Commands.PlaceOrder(ctx, c.request(), cmd))
	if err != nil {
		return nil, err
	}
	out.Location = prefix + "/orders/" + out.Body.ID.String()
	return out, nil
}

func (s *server) listOrders(ctx context.Context, c *call, in *ordersInput) (*read[list[order.Order]], error) {
	q := projections.OrderQuery{
		Status: in.Status, Customer: in.Customer, Agent: in.Agent, From: in.From, To: in.To, Limit: in.Limit, After: in.Cursor,
	}
	if err := checkFilters(q); err != nil {
		return nil, err
	}
	if err := narrow(&q, c.user()); err != nil {
		return nil, err
	}
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Views.Orders(ctx, q)
	return listOf(found), err
}

func checkFilters(q projections.OrderQuery) error {
	if !q.From.IsZero() && !q.To.IsZero() && q.From.After(q.To) {
		return domain.Invalid("from", "must not be after to")
	}
	if err := domain.CheckText("customer", q.Customer, 0, domain.MaxUserID); err != nil {
		return err
	}
	return domain.CheckText("agent", q.Agent, 0, domain.MaxUserID)
}

// narrow holds a list to what its reader may see. Asking for what is somebody else's is refused and not answered with
// nothing, which would look as if there were none.
func narrow(q *projections.OrderQuery, id auth.Identity) error {
	if id.Role == domain.RoleAdmin {
		return nil
	}
	if q.Customer != "" && q.Customer != id.UserID {
		return problem(domain.CodeForbidden, "customer may only be your own user id")
	}
	if q.Agent != "" && q.Agent != id.UserID {
		return problem(domain.CodeForbidden, "agent may only be your own user id")
	}
	if id.Role == domain.RoleDelivery {
		q.Agent = id.UserID
	} else {
		q.Customer = id.UserID
	}
	return nil
}

func maySee(id auth.Identity, o order.Order) bool {
	switch id.Role {
	case domain.RoleAdmin:
		return true
	case domain.RoleDelivery:
		return o.AgentID == id.UserID
	case domain.RoleCustomer:
		return o.CustomerID == id.UserID
	default:
		return false
	}
}
