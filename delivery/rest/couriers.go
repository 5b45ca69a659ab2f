package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/projections"
)

type courierStatusInput struct {
	Repeatable
	Body struct {
		Status string `json:"status" enum:"online,offline,busy"`
	}
}

type couriersInput struct {
	MinSeq
	Paging
	Status string `query:"status" enum:"online,offline,busy" doc:"As others see it."`
}

type courierInput struct {
	MinSeq
	ID string `path:"id" minLength:"1" maxLength:"128" doc:"The courier's user id."`
}

type locationInput struct {
	Repeatable
	Body struct {
		OrderID   uuid.UUID `json:"orderId" format:"uuid"`
		Latitude  float64   `json:"latitude" minimum:"-90" maximum:"90" doc:"Degrees north."`
		Longitude float64   `json:"longitude" minimum:"-180" maximum:"180" doc:"Degrees east."`
		Speed     *float64  `json:"speed,omitempty" minimum:"0" maximum:"500" doc:"Metres a second."`
		Heading   *float64  `json:"heading,omitempty" minimum:"0" maximum:"360" doc:"Degrees from north, clockwise."`
		Accuracy  *float64  `json:"accuracy,omitempty" minimum:"0" maximum:"100000" doc:"Metres."`
	}
}

// keptLocation is a commands.Location under another name: the API's description has a Location already, a place.
type keptLocation struct {
	OrderID uuid.UUID `json:"orderId" format:"uuid"`
	Kept    bool      `json:"kept" doc:"false: it came less than a second after the one before."`
	At      time.Time `json:"at" doc:"When the newest point that is kept was taken in."`
}

type trackInput struct {
	ByID
	MinSeq
	Paging
}

var couriersOnly = access{roles: []domain.Role{domain.RoleDelivery}}

func (s *server) couriers(api huma.API) {
	tags := []string{"Delivery"}
	register(s, api, huma.Operation{
		OperationID: "set-courier-status", Method: http.MethodPatch, Path: prefix + "/delivery/status", Tags: tags,
		Summary: "Set the caller's own status",
		Description: "Only a courier who is online and carries nothing is given an order. One that carries an order is seen as busy; " +
			"what it chose, in the member chosen, holds again when the order is off its hands.",
	}, couriersOnly, func(ctx context.Context, c *call, in *courierStatusInput) (*done[courier.Courier], error) {
		return answerOf(s.cfg.Commands.SetCourierStatus(ctx, c.request(), commands.SetCourierStatus{Status: in.Body.Status}))
	})
	register(s, api, huma.Operation{
		OperationID: "list-couriers", Method: http.MethodGet, Path: prefix + "/delivery/agents", Tags: tags,
		Summary: "The couriers who were ever heard of",
	}, admins, s.listCouriers)
	register(s, api, huma.Operation{
		OperationID: "get-courier", Method: http.MethodGet, Path: prefix + "/delivery/agents/{id}", Tags: tags,
		Summary:     "A courier",
		Description: "For admins, and for the courier itself. 404 until it first set its status.",
	}, access{roles: []domain.Role{domain.RoleAdmin, domain.RoleDelivery}}, s.getCourier)
	register(s, api, huma.Operation{
		OperationID: "report-location", Method: http.MethodPost, Path: prefix + "/delivery/location", Tags: tags,
		Summary:     "Say where the courier of an order is",
		Description: "For the courier the order is assigned to. At most one point a second is kept of an order; kept says whether this one was.",
		Responses:   conflict("order_not_active: the order is delivered or cancelled."),
	}, couriersOnly, s.reportLocation)
	register(s, api, huma.Operation{
		OperationID: "track-order", Method: http.MethodGet, Path: prefix + "/delivery/orders/{id}/track", Tags: tags,
		Summary:     "Where an order's couriers were, oldest point first",
		Description: "For the order's customer, the courier it is assigned to, and admins.",
	}, anyRole, func(ctx context.Context, c *call, in *trackInput) (*read[list[projections.TrackPoint]], error) {
		if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
			return nil, err
		}
		if err := s.checkOrder(ctx, c.user(), in.ID); err != nil {
			return nil, err
		}
		found, err := s.cfg.Views.Track(ctx, projections.TrackQuery{OrderID: in.ID, Limit: in.Limit, After: in.Cursor})
		return listOf(found), err
	})
}

func (s *server) reportLocation(ctx context.Context, c *call, in *locationInput) (*done[keptLocation], error) {
	out, err := answerOf(s.cfg.Commands.ReportLocation(ctx, c.request(), commands.ReportLocation{
		OrderID: in.Body.OrderID,
		Point: courier.Point{
			Latitude: in.Body.Latitude, Longitude: in.Body.Longitude,
			Speed: in.Body.Speed, Heading: in.Body.Heading, Accuracy: in.Body.Accuracy,
		},
	}))
	if err != nil {
		return nil, err
	}
	return &done[keptLocation]{Seq: out.Seq, Replayed: out.Replayed, Body: keptLocation(out.Body)}, nil
}

func (s *server) listCouriers(ctx context.Context, _ *call, in *couriersInput) (*read[list[courier.Courier]], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Views.Couriers(ctx, projections.CourierQuery{Status: in.Status, Limit: in.Limit, After: in.Cursor})
	return listOf(found), err
}

func (s *server) getCourier(ctx context.Context, c *call, in *courierInput) (*read[courier.Courier], error) {
	if id := c.user(); id.Role != domain.RoleAdmin && id.UserID != in.ID {
		return nil, problem(domain.CodeForbidden, "a courier may only read about itself")
	}
	if domain.CheckText("id", in.ID, 1, domain.MaxUserID) != nil {
		return nil, problem(domain.CodeInvalidRequest, "the id in the path must be a user id").at("path.id", "must be a user id")
	}
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, seq, err := s.cfg.Views.Courier(ctx, in.ID)
	return &read[courier.Courier]{Seq: seq, Body: found}, asOf(seq, err)
}
