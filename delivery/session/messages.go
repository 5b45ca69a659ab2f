package session

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
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
	// Registered is the data of `registered`. Without a UserID, which is an anonymous client, it and the role are null.
	Registered struct {
		UserID    string      `json:"userId"`
		Role      domain.Role `json:"role" enum:"customer,admin,delivery"`
		Log       uuid.UUID   `json:"log" format:"uuid" doc:"The log's id, to be given with lastSeq."`
		Seq       int64       `json:"seq" doc:"Where the stream begins, or with recovered, where it is live."`
		Recovered bool        `json:"recovered" doc:"Everything after lastSeq will come."`
		Channels  []string    `json:"channels"`
		Refused   []string    `json:"refused" doc:"Rooms that were asked for and may not be joined."`
	}
	// Located acknowledges a location. One that comes too soon behind another is not kept.
	Located struct {
		OrderID uuid.UUID `json:"orderId" format:"uuid"` // set by the Session
		Kept    bool      `json:"kept"`
		At      time.Time `json:"at,omitzero" doc:"When it was recorded."`
		Seq     int64     `json:"seq,omitempty" doc:"The seq that tells of it."`
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

// Data is what is encoded: the same, with null for what an anonymous client does not have.
func (r Registered) Data() any {
	if r.UserID != "" {
		return (*registered)(&r)
	}
	return struct {
		UserID *string `json:"userId"`
		Role   *string `json:"role"`
		registered
	}{registered: registered(r)}
}

type registered Registered // is encoded by its members alone, which takes less than a Marshaler does

// MarshalJSON implements json.Marshaler.
func (r Registered) MarshalJSON() ([]byte, error) { return json.Marshal(r.Data()) }
