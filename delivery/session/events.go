package session

import (
	"context"
	"encoding/json"
)

// ClientEvent is one kind of message that clients send.
type ClientEvent struct {
	Name    string
	Summary string
	Data    any // the zero value of the message's data; nil: none
	Ack     any // the zero value of the data of the acknowledgement that a message with an id gets

	serve func(*Session, context.Context, json.RawMessage) (Reply, error) // nil: the transport serves it itself
}

// Bare says that the data may also be the bare id of the room, as the clients of the system before this one send it.
func (e ClientEvent) Bare() bool {
	switch e.Data.(type) {
	case OrderRoom, DeliveryRoom:
		return true
	}
	return false
}

// ClientEvents are all the events that a client may send: nothing else is served. Session.Do serves all but register
// and ping, which are the transport's.
func ClientEvents() []ClientEvent { return append([]ClientEvent(nil), clientEvents...) }

var clientEvents = []ClientEvent{
	{
		"register", "Says who the client is and from where on it wants to be told. It comes first, within 10 s, and once.",
		Register{},
		Registered{},
		nil,
	},
	{
		"refresh", "Brings a new token for the same user and role, before the old one expires.",
		Refresh{},
		Empty{},
		(*Session).refresh,
	},
	{
		"ping", "Is answered by pong.",
		nil,
		Empty{},
		nil,
	},
	{
		"join:order", "Adds the room of an order to the stream. The data may be the bare id.",
		OrderRoom{},
		Joined{},
		(*Session).joinOrder,
	},
	{
		"leave:order", "Takes the room of an order out of the stream. The data may be the bare id.",
		OrderRoom{},
		Joined{},
		(*Session).leaveOrder,
	},
	{
		"join:delivery", "Adds the room of a delivery agent to the stream. The data may be the bare id.",
		DeliveryRoom{},
		Joined{},
		(*Session).joinDelivery,
	},
	{
		"leave:delivery", "Takes the room of a delivery agent out of the stream. The data may be the bare id.",
		DeliveryRoom{},
		Joined{},
		(*Session).leaveDelivery,
	},
	{
		"delivery:location", "Says where the order is that the client delivers. At most one a second is kept.",
		Location{},
		Located{},
		(*Session).locate,
	},
}

// What clients send as data.
type (
	// Register is the data of `register`. UserID and Role are accepted for the clients of the system before this one:
	// they must be the token's.
	Register struct {
		Token   string   `json:"token,omitempty" doc:"A JWT. It may be in the handshake's Authorization header instead."`
		LastSeq *int64   `json:"lastSeq,omitempty" minimum:"0" doc:"The last seq the client was told of. Without it the stream is live from now on; 0 is all that is kept."`
		Log     string   `json:"log,omitempty" format:"uuid" doc:"The log that lastSeq is of, as registered told it."`
		Rooms   []string `json:"rooms,omitempty" doc:"Rooms to be in from the beginning: order:ID and delivery:AGENT."`
		UserID  *string  `json:"userId,omitempty"`
		Role    *string  `json:"role,omitempty" enum:"customer,admin,delivery"`
	}
	// Refresh is the data of `refresh`.
	Refresh struct {
		Token string `json:"token"`
	}
	// OrderRoom is the data of `join:order` and `leave:order`.
	OrderRoom struct {
		OrderID string `json:"orderId" format:"uuid"`
		LastSeq *int64 `json:"lastSeq,omitempty" minimum:"0" doc:"To join with the room's events after it in the answer."`
	}
	// DeliveryRoom is the data of `join:delivery` and `leave:delivery`.
	DeliveryRoom struct {
		DeliveryID string `json:"deliveryId" minLength:"1" maxLength:"128" doc:"The agent's user id."`
		LastSeq    *int64 `json:"lastSeq,omitempty" minimum:"0" doc:"To join with the room's events after it in the answer. A customer gets none: what came before may be of others' orders."`
	}
	// Location is the data of `delivery:location`. Members that are null are taken as not given.
	Location struct {
		OrderID   string   `json:"orderId" format:"uuid"`
		Latitude  *float64 `json:"latitude" minimum:"-90" maximum:"90" doc:"Degrees north."`
		Longitude *float64 `json:"longitude" minimum:"-180" maximum:"180" doc:"Degrees east."`
		Speed     *float64 `json:"speed,omitempty" minimum:"0" maximum:"500" doc:"Metres a second."`
		Heading   *float64 `json:"heading,omitempty" minimum:"0" maximum:"360" doc:"Degrees from north, clockwise."`
		Accuracy  *float64 `json:"accuracy,omitempty" minimum:"0" maximum:"100000" doc:"Metres."`
	}
)
