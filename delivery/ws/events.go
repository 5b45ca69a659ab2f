package ws

import (
	"context"
	"encoding/json"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// ClientEvent is one kind of message that clients send.
type ClientEvent struct {
	Name    string
	Summary string
	Data    any // the zero value of the message's data; nil: none
	Ack     any // the zero value of the data of the acknowledgement that a message with an id gets

	serve func(*reader, context.Context, request)
}

// Bare says that the data may also be the bare id of the room, as the clients of the system before this one send it.
func (e ClientEvent) Bare() bool {
	switch e.Data.(type) {
	case OrderRoom, DeliveryRoom:
		return true
	}
	return false
}

// ClientEvents are all the events that a client may send: nothing else is served.
func ClientEvents() []ClientEvent { return append([]ClientEvent(nil), clientEvents...) }

const eventRegister = "register"

var clientEvents = []ClientEvent{
	{
		eventRegister, "Says who the client is and from where on it wants to be told. It comes first, within 10 s, and once.",
		Register{},
		Registered{},
		(*reader).register,
	},
	{
		"refresh", "Brings a new token for the same user and role, before the old one expires.",
		Refresh{},
		Empty{},
		(*reader).refresh,
	},
	{
		"ping", "Is answered by pong.",
		nil,
		Empty{},
		(*reader).ping,
	},
	{
		"join:order", "Adds the room of an order to the stream. The data may be the bare id.",
		OrderRoom{},
		Joined{},
		(*reader).joinOrder,
	},
	{
		"leave:order", "Takes the room of an order out of the stream. The data may be the bare id.",
		OrderRoom{},
		Joined{},
		(*reader).leaveOrder,
	},
	{
		"join:delivery", "Adds the room of a delivery agent to the stream. The data may be the bare id.",
		DeliveryRoom{},
		Joined{},
		(*reader).joinDelivery,
	},
	{
		"leave:delivery", "Takes the room of a delivery agent out of the stream. The data may be the bare id.",
		DeliveryRoom{},
		Joined{},
		(*reader).leaveDelivery,
	},
	{
		"delivery:location", "Says where the order is that the client delivers. At most one a second is kept.",
		Location{},
		Located{},
		(*reader).locate,
	},
}

var clientEventsByName = func() map[string]ClientEvent {
	byName := make(map[string]ClientEvent, len(clientEvents))
	for _, e := range clientEvents {
		byName[e.Name] = e
	}
	return byName
}()

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

// ServerMessage is one kind of message that the server sends, other than acknowledgements and the events of the log.
type ServerMessage struct {
	Name    string
	Summary string
	Data    any // the zero value of the message's data; nil: none
}

// ServerMessages are all the messages that the server sends, other than acknowledgements and the events of the log.
func ServerMessages() []ServerMessage {
	return []ServerMessage{
		{"registered", "Answers register.", Registered{}},
		{"caught_up", "Everything after lastSeq was sent, up to seq; what follows is live.", Position{}},
		{"checkpoint", "There is nothing for this connection up to seq.", Position{}},
		{"resync", "What came after lastSeq cannot be given: read the state anew. The stream goes on after seq.", Resync{}},
		{"left", "The right to a room was lost, and the connection is in it no more.", Left{}},
		{"pong", "Answers ping.", nil},
		{"error", "Answers a message without an id that could not be served.", Failure{}},
		{"reconnect", "The server goes away: come back after the time it says. Code 1001 follows.", Reconnect{}},
	}
}

// What the server sends as data.
type (
	// Registered is the data of `registered`.
	Registered struct {
		UserID    string      `json:"userId"`
		Role      domain.Role `json:"role" enum:"customer,admin,delivery"`
		Log       uuid.UUID   `json:"log" format:"uuid" doc:"The log's id, to be given with lastSeq."`
		Seq       int64       `json:"seq" doc:"Where the stream begins, or with recovered, where it is live."`
		Recovered bool        `json:"recovered" doc:"Everything after lastSeq will come."`
		Channels  []string    `json:"channels"`
		Refused   []string    `json:"refused" doc:"Rooms that were asked for and may not be joined."`
	}
	// Position is the data of `caught_up` and `checkpoint`.
	Position struct {
		Seq int64 `json:"seq"`
	}
	// Resync is the data of `resync`.
	Resync struct {
		Seq    int64        `json:"seq"`
		Reason ResyncReason `json:"reason" enum:"expired,ahead,different_log"`
	}
	// Left is the data of `left`.
	Left struct {
		Room string `json:"room" doc:"order:ID or delivery:AGENT"`
	}
	// Reconnect is the data of `reconnect`.
	Reconnect struct {
		AfterMs int64 `json:"afterMs" doc:"Milliseconds to wait."`
	}
	// Failure says what went wrong: the data of `error`, and the `error` of an acknowledgement.
	Failure struct {
		Code    domain.Code `json:"code"`
		Message string      `json:"message"`
	}
	// Empty is an acknowledgement that says nothing but that it is done.
	Empty struct{}
	// Joined acknowledges that a room was joined or left.
	Joined struct {
		Room   string            `json:"room" doc:"order:ID or delivery:AGENT"`
		Seq    int64             `json:"seq" doc:"The stream carries the room after it; with more, the last seq in events."`
		Events []json.RawMessage `json:"events" doc:"What the room carried after lastSeq, up to seq."`
		More   bool              `json:"more" doc:"There is more than one answer holds: join again with seq as lastSeq."`
	}
)

// ResyncReason says why a client has to read the state anew.
type ResyncReason string

// The reasons.
const (
	ReasonExpired      ResyncReason = "expired"
	ReasonAhead        ResyncReason = "ahead"
	ReasonDifferentLog ResyncReason = "different_log"
)
