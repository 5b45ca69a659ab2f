package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"slices"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

type startPaymentInput struct {
	ByID
	Repeatable
	Body struct {
		Method string `json:"method" enum:"cod,card,upi,wallet" doc:"cod is cash on delivery."`
	}
}

type paymentInput struct {
	ByID
	MinSeq
}

type collectPaymentInput struct {
	ByID
	Repeatable
}

type refundPaymentInput struct {
	ByID
	Repeatable
	Body struct {
		Amount refundAmount `json:"amount,omitempty" doc:"In minor units of the payment's currency; all that is left of the capture when absent."`
		Reason string       `json:"reason" minLength:"1" maxLength:"500"`
	}
}

// refundAmount is an amount that may be absent, but not null: an empty field of a form must not give back all there is.
type refundAmount struct{ given *int64 }

// UnmarshalJSON is called only when the field is there.
func (a *refundAmount) UnmarshalJSON(data []byte) error {
	var amount int64
	if string(data) == "null" {
		return errors.New("amount must be a whole number of minor units, or be left out to give back all that is left")
	}
	if err := json.Unmarshal(data, &amount); err != nil {
		return err
	}
	a.given = &amount
	return nil
}

// Schema describes it as the number it is.
func (refundAmount) Schema(huma.Registry) *huma.Schema {
	least := 1.0
	return &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: &least}
}

func (s *server) payments(api huma.API) {
	tags := []string{"Payments"}
	register(s, api, huma.Operation{
		OperationID: "start-payment", Method: http.MethodPost, Path: prefix + "/orders/{id}/payments", Tags: tags,
		Summary: "Start the payment of an order", DefaultStatus: http.StatusCreated,
		Description: "Of the order's whole total; an order has at most one live payment. Unless it is cash, checkoutUrl in the " +
			"answer is where the customer pays, and the provider's webhook says what came of it.",
		Responses: conflict("payment_exists: the member paymentId names the live one. order_not_active: the order is cancelled. " +
			"nothing_to_pay: its total is 0."),
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleCustomer}}, s.startPayment)
	register(s, api, huma.Operation{
		OperationID: "list-order-payments", Method: http.MethodGet, Path: prefix + "/orders/{id}/payments", Tags: tags,
		Summary:     "The payments of an order, oldest first",
		Description: "All of them on one page, so that next is always null. The assigned courier gets those it collects, of method cod.",
	}, anyRole, s.listOrderPayments)
	register(s, api, huma.Operation{
		OperationID: "get-payment", Method: http.MethodGet, Path: prefix + "/payments/{id}", Tags: tags,
		Summary:     "A payment",
		Description: "For its customer and admins; one of method cod also for the courier the order is assigned to.",
	}, anyRole, s.getPayment)
	register(s, api, huma.Operation{
		OperationID: "collect-payment", Method: http.MethodPost, Path: prefix + "/payments/{id}/collect", Tags: tags,
		Summary:     "Take the cash of a payment",
		Description: "By the courier the order is assigned to, or an admin. The whole amount is captured.",
		Responses: conflict("invalid_transition: the payment is not cash, or not pending. order_not_active: the order is cancelled. " +
			"version_conflict: it changed too often meanwhile; try again."),
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery}}, func(ctx context.Context, c *call, in *collectPaymentInput) (*done[payment.Payment], error) {
		return answerOf(s.cfg.Commands.CollectPayment(ctx, c.request(), commands.CollectPayment{PaymentID: in.ID}))
	})
	register(s, api, huma.Operation{
		OperationID: "refund-payment", Method: http.MethodPost, Path: prefix + "/payments/{id}/refund", Tags: tags,
		Summary:     "Give back what was captured, or a part of it",
		Description: "The provider is told afterwards: until it has accepted, the refund is requested, and then done. Cash is given back by hand.",
		Responses:   conflict("refund_exceeds_capture: the members captured, refunded and refundable say what is left."),
	}, admins, func(ctx context.Context, c *call, in *refundPaymentInput) (*done[payment.Payment], error) {
		return answerOf(s.cfg.Commands.RefundPayment(ctx, c.request(), commands.RefundPayment{
			PaymentID: in.ID, Amount: in.Body.Amount.given, Reason: in.Body.Reason,
		}))
	})
}

func (s *server) startPayment(ctx context.Context, c *call, in *startPaymentInput) (*done[payment.Payment], error) {
	out, err := answerOf(s.cfg.Commands.StartPayment(ctx, c.request(), commands.StartPayment{OrderID: in.ID, Method: in.Body.Method}))
	if err != nil {
		return nil, err
	}
	out.Location = prefix + "/payments/" + out.Body.ID.String()
	return out, nil
}

func (s *server) listOrderPayments(ctx context.Context, c *call, in *orderInput) (*read[list[payment.Payment]], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	if err := s.checkOrder(ctx, c.user(), in.ID); err != nil {
		return nil, err
	}
	found, seq, err := s.cfg.Views.OrderPayments(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	if c.user().Role == domain.RoleDelivery {
		found = slices.DeleteFunc(found, func(p payment.Payment) bool { return p.Method != payment.MethodCash })
	}
	return listOf(projections.List[payment.Payment]{Items: found, Seq: seq}), nil
}

func (s *server) getPayment(ctx context.Context, c *call, in *paymentInput) (*read[payment.Payment], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, seq, err := s.cfg.Views.Payment(ctx, in.ID)
	if err != nil {
		return nil, asOf(seq, err)
	}
	if err := s.checkPayment(ctx, c.user(), found); err != nil {
		return nil, asOf(seq, err)
	}
	return &read[payment.Payment]{Seq: seq, Body: found}, nil
}

// checkPayment refuses a payment that its reader may not see. A courier sees what it has to collect, and nothing of
// how else a customer pays.
func (s *server) checkPayment(ctx context.Context, id auth.Identity, p payment.Payment) error {
	switch {
	case id.Role == domain.RoleAdmin:
		return nil
	case id.Role == domain.RoleCustomer && p.CustomerID == id.UserID:
		return nil
	case id.Role == domain.RoleDelivery && p.Method == payment.MethodCash:
		return s.checkOrder(ctx, id, p.OrderID)
	}
	return problem(domain.CodeForbidden, "this payment is somebody else's")
}
