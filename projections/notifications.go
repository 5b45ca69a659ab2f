package projections

import (
	"encoding/json"
	"fmt"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain/business"
	"github.com/orderlog/orderlog/domain/order"
)

// Channels of the notification log. A connection is in ChannelAll, in the channel of its role and in that
// of its user; orders and couriers have channels that it may join.
const ChannelAll = "all"

// ChannelRole is the channel of everyone with a role.
func ChannelRole[R ~string](role R) string { return "role:" + string(role) }

// ChannelUser is the channel of one user.
func ChannelUser(id string) string { return "user:" + id }

// ChannelOrder is the channel of those who follow one order.
func ChannelOrder(id uuid.UUID) string { return "order:" + id.String() }

// Payloads, with the fields that clients of the old server know.
type (
	businessStatus struct {
		IsOpen       bool   `json:"isOpen"`
		BusinessName string `json:"businessName"`
		Message      string `json:"message"`
	}
	orderNew struct {
		OrderID      uuid.UUID    `json:"orderId"`
		OrderNumber  string       `json:"orderNumber"`
		CustomerName string       `json:"customerName"`
		Items        []order.Item `json:"items"`
		TotalAmount  int64        `json:"totalAmount"`
		Currency     string       `json:"currency"`
	}
	orderStatus struct {
		OrderID     uuid.UUID    `json:"orderId"`
		OrderNumber string       `json:"orderNumber"`
		Status      order.Status `json:"status"`
		Message     string       `json:"message"`
	}
	orderCancelled struct {
		OrderID     uuid.UUID `json:"orderId"`
		OrderNumber string    `json:"orderNumber"`
		Reason      string    `json:"reason"`
	}
)

// Notify is the whole mapping from what happened to what the outside is told, and through which channels:
// a pure function of the event. ok is false for an event that nobody is told of.
func Notify(e Event) (n Notification, ok bool, err error) {
	switch b := e.Body.(type) {
	case business.Opened:
		return e.tell("business:status:update", businessStatus{true, b.BusinessName, b.Message}, ChannelAll)
	case business.Closed:
		return e.tell("business:status:update", businessStatus{false, b.BusinessName, b.Message}, ChannelAll)
	case order.Placed:
		return e.tell("order:new", orderNew{b.OrderID, b.OrderNumber, b.CustomerName, b.Items, b.TotalAmount, b.Currency},
			ChannelRole("admin"), ChannelRole("delivery"))
	case order.StatusChanged:
		return e.tell("order:status:update", orderStatus{b.OrderID, b.OrderNumber, b.To, b.Message},
			parties(b.OrderID, b.CustomerID, b.AgentID)...)
	case order.Cancelled:
		return e.tell("order:cancelled", orderCancelled{b.OrderID, b.OrderNumber, b.Reason},
			parties(b.OrderID, b.CustomerID, b.AgentID)...)
	}
	return Notification{}, false, nil
}

// parties are the channels of everyone who has to do with an order.
func parties(id uuid.UUID, customer, agent string) []string {
	channels := []string{ChannelUser(customer), ChannelRole("admin"), ChannelOrder(id)}
	if agent != "" {
		channels = append(channels, ChannelUser(agent))
	}
	return channels
}

func (e Event) tell(event string, payload any, channels ...string) (Notification, bool, error) {
	data, err := json.Marshal(payload)
	if err != nil {
		return Notification{}, false, fmt.Errorf("payload of %s for seq %d: %w", event, e.Seq, err)
	}
	return Notification{Seq: e.Seq, Event: event, Channels: channels, Data: data, At: e.RecordedAt}, true, nil
}
