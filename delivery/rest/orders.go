package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

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
		Items           []wantedItem `json:"items" minItems:"1" maxItems:"100" nullable:"false" doc:"Prices are the menu's."`
		DeliveryAddress string       `json:"deliveryAddress" minLength:"1" maxLength:"500"`
		CustomerName    string       `json:"customerName,omitempty" maxLength:"200" doc:"The token's name when empty."`
		OfferCode       string       `json:"offerCode,omitempty"`
		PaymentMethod   string       `json:"paymentMethod" enum:"cod,card,upi,wallet"`
		Note            string       `json:"note,omitempty" maxLength:"500"`
		Reckoned
		Subtotal    any `json:"subtotal,omitempty" doc:"Passed over: what an order costs is reckoned from the menu."`
		Discount    any `json:"discount,omitempty" doc:"Passed over."`
		TotalAmount any `json:"totalAmount,omitempty" doc:"Passed over."`
	}
}

// Reckoned is what an order and its lines have that the server alone decides. A client that sends it is not refused,
// and changes nothing.
type Reckoned struct {
	Currency any `json:"currency,omitempty" doc:"Passed over."`
}

type wantedItem struct {
	Product  string `json:"product" format:"uuid" doc:"The product's id."`
	Quantity int64  `json:"quantity" minimum:"1" maximum:"999"`
	Reckoned
	Name      any `json:"name,omitempty" doc:"Passed over."`
	Price     any `json:"price,omitempty" doc:"Passed over: prices are the menu's."`
	UnitPrice any `json:"unitPrice,omitempty" doc:"Passed over."`
	Total     any `json:"total,omitempty" doc:"Passed over."`
}

type orderStatusInput struct {
	ByID
	Repeatable
	Body struct {
		Status  string `json:"status" enum:"placed,confirmed,preparing,ready,out_for_delivery,delivered,cancelled"`
		Message string `json:"message,omitempty" maxLength:"500" doc:"What the customer is told; a default when empty."`
	}
}

type cancelOrderInput struct {
	ByID
	Repeatable
	Body struct {
		Reason string `json:"reason" minLength:"1" maxLength:"500"`
	}
}

type assignOrderInput struct {
	ByID
	Repeatable
	Body struct {
		AgentID string `json:"agentId" minLength:"1" maxLength:"128" doc:"The courier's user id."`
	}
}

func (s *server) orders(api huma.API) {
	tags := []string{"Orders"}
	register(s, api, huma.Operation{
		OperationID: "place-order", Method: http.MethodPost, Path: prefix + "/orders", Tags: tags,
		Summary: "Place an order", DefaultStatus: http.StatusCreated,
		Responses: conflict("business_closed. product_unavailable: one of the items cannot be ordered. " + ruleFailed),
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
		found, seq, err := s.visibleOrder(ctx, c.user(), in.ID)
		return &read[order.Order]{Seq: seq, Body: found}, err
	})
	register(s, api, huma.Operation{
		OperationID: "change-order-status", Method: http.MethodPatch, Path: prefix + "/orders/{id}/status", Tags: tags,
		Summary:     "Move an order one step on",
		Description: "placed → confirmed → preparing → ready → out_for_delivery → delivered. Admins take every step, the assigned courier those after ready.",
		Responses: conflict("invalid_transition: the member allowed lists the statuses possible now. " +
			"version_conflict: the order changed too often meanwhile; try again."),
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery}}, func(ctx context.Context, c *call, in *orderStatusInput) (*done[order.Order], error) {
		return answerOf(s.cfg.Commands.ChangeOrderStatus(ctx, c.request(), commands.ChangeOrderStatus{
			OrderID: in.ID, Status: in.Body.Status, Message: in.Body.Message,
		}))
	})
	register(s, api, huma.Operation{
		OperationID: "cancel-order", Method: http.MethodPost, Path: prefix + "/orders/{id}/cancel", Tags: tags,
		Summary: "Cancel an order",
		Description: "Its customer may until it is preparing, an admin until it is delivered. What was paid is due to be given back, " +
			"its courier is free again, and the use of its offer may be had again.",
		Responses: conflict("invalid_transition: it is too late to cancel it. version_conflict: the order changed too often meanwhile; try again."),
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleCustomer}}, func(ctx context.Context, c *call, in *cancelOrderInput) (*done[order.Order], error) {
		return answerOf(s.cfg.Commands.CancelOrder(ctx, c.request(), commands.CancelOrder{OrderID: in.ID, Reason: in.Body.Reason}))
	})
	register(s, api, huma.Operation{
		OperationID: "assign-order", Method: http.MethodPost, Path: prefix + "/orders/{id}/assign", Tags: tags,
		Summary:     "Give an order to a courier",
		Description: "Again to another moves it; again to the same changes nothing. The courier before loses its right to follow the order at once.",
		Responses: conflict("agent_unavailable: the courier is offline or busy, as the member agentStatus says; currentOrder is the order it carries, if any. " +
			"order_not_active: the order is delivered or cancelled. version_conflict: it changed too often meanwhile; try again."),
	}, admins, s.assignOrder)
}

func (s *server) assignOrder(ctx context.Context, c *call, in *assignOrderInput) (*done[order.Order], error) {
	return answerOf(s.cfg.Commands.AssignOrder(ctx, c.request(), commands.AssignOrder{OrderID: in.ID, AgentID: in.Body.AgentID}))
}

func (s *server) placeOrder(ctx context.Context, c *call, in *placeOrderInput) (*done[order.Order], error) {
	cmd := commands.PlaceOrder{
		Items: orderItems(in.Body.Items), DeliveryAddress: in.Body.DeliveryAddress,
		CustomerName: in.Body.CustomerName, OfferCode: in.Body.OfferCode, PaymentMethod: in.Body.PaymentMethod, Note: in.Body.Note,
	}
	out, err := answerOf(s.cfg.Commands.PlaceOrder(ctx, c.request(), cmd))
	if err != nil {
		return nil, err
	}
	out.Location = prefix + "/orders/" + out.Body.ID.String()
	return out, nil
}

func orderItems(wanted []wantedItem) []commands.OrderItem {
	items := make([]commands.OrderItem, len(wanted))
	for i, item := range wanted {
		items[i] = commands.OrderItem{Product: item.Product, Quantity: item.Quantity}
	}
	return items
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

// visibleOrder reads an order that its reader may see.
func (s *server) visibleOrder(ctx context.Context, id auth.Identity, orderID uuid.UUID) (order.Order, int64, error) {
	found, seq, err := s.cfg.Views.Order(ctx, orderID)
	if err == nil && !maySee(id, found) {
		err = problem(domain.CodeForbidden, "this order is somebody else's")
	}
	return found, seq, asOf(seq, err)
}

// checkOrder refuses what is about an order that the caller may not see.
func (s *server) checkOrder(ctx context.Context, id auth.Identity, orderID uuid.UUID) error {
	_, _, err := s.visibleOrder(ctx, id, orderID)
	return err
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
