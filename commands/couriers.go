package commands

import (
	"context"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/eventstore"
)

// SetCourierStatus asks to take orders, or none.
type SetCourierStatus struct {
	Status string // online, offline or busy
}

// ReportLocation says where the courier of an order is.
type ReportLocation struct {
	OrderID uuid.UUID
	Point   courier.Point
}

// Location is the answer to a ReportLocation.
type Location struct {
	OrderID uuid.UUID `json:"orderId"`
	Kept    bool      `json:"kept"` // false: it came too soon after the one before
	At      time.Time `json:"at"`   // of the newest point that is kept
}

// Apply returns the answer as it is: it is made whole by Stamp.
func (l Location) Apply(domain.Event, time.Time) Location { return l }

// Stamp fills in the time of a point that was kept.
func (l Location) Stamp(at time.Time) Location {
	l.At = at.UTC()
	return l
}

// SetCourierStatus sets whether the actor, a courier, takes orders. It may at any time; who carries an order is seen as
// busy whatever it says.
func (s *Service) SetCourierStatus(ctx context.Context, req Request, cmd SetCourierStatus) (Outcome[courier.Courier], error) {
	c := command{name: "set a courier's status", roles: []domain.Role{domain.RoleDelivery}, asked: cmd}
	id := req.Actor.UserID
	return execute(ctx, s, req, c, onStream(s, courierStream(id), courier.Initial(id),
		func(c courier.Courier) ([]domain.Event, error) { return c.SetStatus(cmd.Status, req.Actor.Name) }))
}

// ReportLocation records where the courier of an order is, for as long as the order is on its way. Only the courier to
// whom it is assigned may. Of an order at most one point a second is kept, by the database's clock; one that comes
// sooner is answered well, and forgotten. Of two that come at once the second meets a track that has changed, and is
// then one that came too soon.
//
// It costs the same however long the track is.
func (s *Service) ReportLocation(ctx context.Context, req Request, cmd ReportLocation) (Outcome[Location], error) {
	c := command{name: "report where an order is", roles: []domain.Role{domain.RoleDelivery}, asked: cmd}
	return execute(ctx, s, req, c, func(ctx context.Context) (change[Location], error) {
		return s.locate(ctx, req.Actor, cmd)
	})
}

func (s *Service) locate(ctx context.Context, by Actor, cmd ReportLocation) (change[Location], error) {
	if err := cmd.Point.Validate(); err != nil {
		return change[Location]{}, err
	}
	o, err := load(ctx, s, orderStream(cmd.OrderID), order.Order{})
	if err != nil {
		return change[Location]{}, err
	}
	if o.version > 0 && (o.state.AgentID == "" || o.state.AgentID != by.UserID) {
		return change[Location]{}, domain.Errorf(domain.CodeForbidden, "this order is not assigned to you")
	}
	if err := o.state.CheckActive(); err != nil {
		return change[Location]{}, err
	}
	stream := trackStream(cmd.OrderID)
	last, err := s.newest(ctx, stream)
	if err != nil {
		return change[Location]{}, err
	}
	track, err := foldLast(stream, courier.Track{}, last)
	if err != nil {
		return change[Location]{}, err
	}
	since := time.Duration(-1) // there is no point yet
	if newest, ok := last[stream]; ok {
		since = newest.Age
	}
	events, err := track.state.Locate(courier.Locate{
		OrderID: o.state.ID, CustomerID: o.state.CustomerID, AgentID: by.UserID, Point: cmd.Point, Since: since,
	})
	if err != nil {
		return change[Location]{}, err
	}
	located, err := track.add(events)
	if err != nil {
		return change[Location]{}, err
	}
	return change[Location]{
		streams: []eventstore.StreamAppend{located, o.check()},
		answer:  Location{OrderID: o.state.ID, Kept: len(events) > 0, At: track.state.At},
		seq:     track.seq,
	}, nil
}

func courierStream(userID string) eventstore.StreamID {
	return eventstore.StreamID{Type: courier.StreamType, ID: courier.StreamID(userID)}
}

func trackStream(orderID uuid.UUID) eventstore.StreamID {
	return eventstore.StreamID{Type: courier.TrackStreamType, ID: orderID}
}
