package session

import (
	"context"
	"encoding/json"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

// room is a channel that a client joins: an order's, or a delivery agent's.
type room struct {
	name  string    // of the channel
	order uuid.UUID // when it is an order's
	agent string    // else
	since int64     // the seq that gave the user the right to it; 0: before any
}

func orderRoom(id uuid.UUID) room { return room{name: projections.ChannelOrder(id), order: id} }

// deliveryRoom answers false when no user can have the id.
func deliveryRoom(agent string) (room, bool) {
	// The decoder puts U+FFFD where there was no UTF-8.
	if domain.CheckLine("deliveryId", agent, 1, domain.MaxUserID) != nil || strings.ContainsRune(agent, utf8.RuneError) {
		return room{}, false
	}
	return room{name: projections.ChannelCourier(agent), agent: agent}, true
}

// parseRoom reads a room's name as `register` gives it.
func parseRoom(name string) (room, bool) {
	if agent, ok := strings.CutPrefix(name, "delivery:"); ok {
		return deliveryRoom(agent)
	}
	raw, ok := strings.CutPrefix(name, "order:")
	if !ok {
		return room{}, false
	}
	id, err := uuid.Parse(raw)
	return orderRoom(id), err == nil
}

// open says whether a user may be in the room now, and since which seq.
func (m room) open(ctx context.Context, access Access, user auth.Identity) (since int64, open bool, err error) {
	if m.agent != "" {
		return access.CanSeeCourier(ctx, user, m.agent)
	}
	open, err = access.CanSeeOrder(ctx, user, m.order)
	return 0, open, err
}

// hasPast says whether a user who may be in the room may also see what it carried before. A customer follows an agent
// for the sake of one order: what came before may be of the orders of others.
func (m room) hasPast(user auth.Identity) bool {
	return m.agent == "" || user.Role != domain.RoleCustomer
}

// roomRequest is the data of a message about a room.
type roomRequest struct {
	room
	lastSeq *int64
}

func decodeOrderRoom(data json.RawMessage) (roomRequest, error) {
	var d OrderRoom
	if err := decodeRoom(data, &d, &d.OrderID, "{orderId, lastSeq?}"); err != nil {
		return roomRequest{}, err
	}
	id, err := uuid.Parse(d.OrderID)
	if err != nil {
		return roomRequest{}, domain.Invalid("orderId", "must be a UUID").WithCause(err)
	}
	return roomRequest{orderRoom(id), d.LastSeq}, checkLastSeq(d.LastSeq)
}

func decodeDeliveryRoom(data json.RawMessage) (roomRequest, error) {
	var d DeliveryRoom
	if err := decodeRoom(data, &d, &d.DeliveryID, "{deliveryId, lastSeq?}"); err != nil {
		return roomRequest{}, err
	}
	m, ok := deliveryRoom(d.DeliveryID)
	if !ok {
		return roomRequest{}, domain.Invalid("deliveryId", "must have 1 to 128 characters, and no control characters")
	}
	return roomRequest{m, d.LastSeq}, checkLastSeq(d.LastSeq)
}

// decodeRoom reads an object, or the bare id that the clients of the system before this one send.
func decodeRoom(data json.RawMessage, object any, id *string, shape string) error {
	if len(data) > 0 && data[0] == '"' {
		return decodeData(data, id, shape)
	}
	return decodeData(data, object, shape)
}

func checkLastSeq(seq *int64) error {
	if seq != nil && *seq < 0 {
		return domain.Invalid("lastSeq", "must not be negative")
	}
	return nil
}
