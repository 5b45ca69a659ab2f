package ws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// request is one message of a client.
type request struct {
	Event string
	Data  json.RawMessage // nil when there is none
	ID    json.RawMessage // a JSON number or string to be given back, nil when no answer is asked for
}

var errShape = errors.New(`a message is one JSON object {"event": NAME, "data": {…}, "id": N}`)

// decode reads one message. Every error means that the client does not speak the protocol.
func decode(text []byte) (request, error) {
	var m struct {
		Event *string         `json:"event"`
		Data  json.RawMessage `json:"data"`
		ID    json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return request{}, fmt.Errorf("%w: %w", errShape, err)
	}
	if m.Event == nil || *m.Event == "" {
		return request{}, fmt.Errorf("%w: it has no event", errShape)
	}
	r := request{Event: *m.Event, Data: given(m.Data), ID: given(m.ID)}
	const longestID = 64
	if len(r.ID) > longestID || (r.ID != nil && bytes.IndexByte([]byte(`"-0123456789`), r.ID[0]) < 0) {
		return request{}, fmt.Errorf("%w: the id is a number, or a string of at most %d bytes", errShape, longestID-2)
	}
	return r, nil
}

// given makes nil of a JSON null.
func given(raw json.RawMessage) json.RawMessage {
	if string(raw) == "null" {
		return nil
	}
	return raw
}

// registration is the data of `register`.
type registration struct {
	Token   string   `json:"token"`
	UserID  *string  `json:"userId"`
	Role    *string  `json:"role"`
	LastSeq *int64   `json:"lastSeq"`
	Log     string   `json:"log"`
	Rooms   []string `json:"rooms"`
}

func decodeRegistration(data json.RawMessage) (registration, error) {
	var r registration
	if data == nil {
		return r, nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("the data of register: %w", err)
	}
	if r.LastSeq != nil && *r.LastSeq < 0 {
		return r, errors.New("lastSeq is negative")
	}
	// The clients of the system before this one sent the header's value.
	if bare, ok := auth.Bearer(r.Token); ok {
		r.Token = bare
	}
	return r, nil
}

// roomRequest is the data of `join:order` and `leave:order`: an object, or the bare id.
type roomRequest struct {
	OrderID uuid.UUID
	LastSeq *int64
}

func (r roomRequest) room() string { return orderRoom(r.OrderID) }

func orderRoom(id uuid.UUID) string { return "order:" + id.String() }

func decodeRoomRequest(data json.RawMessage) (roomRequest, error) {
	var d struct {
		OrderID string `json:"orderId"`
		LastSeq *int64 `json:"lastSeq"`
	}
	target := any(&d)
	if len(data) > 0 && data[0] == '"' {
		target = &d.OrderID
	}
	if err := json.Unmarshal(data, target); err != nil {
		return roomRequest{}, domain.Invalid("data", "must be {orderId, lastSeq?}").WithCause(err)
	}
	id, err := uuid.Parse(d.OrderID)
	if err != nil {
		return roomRequest{}, domain.Invalid("orderId", "must be a UUID").WithCause(err)
	}
	if d.LastSeq != nil && *d.LastSeq < 0 {
		return roomRequest{}, domain.Invalid("lastSeq", "must not be negative")
	}
	return roomRequest{OrderID: id, LastSeq: d.LastSeq}, nil
}

// parseOrderRoom reads a room's name as `register` gives it.
func parseOrderRoom(room string) (uuid.UUID, bool) {
	raw, ok := strings.CutPrefix(room, "order:")
	if !ok {
		return uuid.UUID{}, false
	}
	id, err := uuid.Parse(raw)
	return id, err == nil
}

// answer is a message to the client that does not come from the log.
type answer struct {
	Event string          `json:"event,omitempty"`
	Ack   json.RawMessage `json:"ack,omitempty"`
	Data  any             `json:"data,omitempty"`
	Error *failure        `json:"error,omitempty"`
}

type failure struct {
	Code    domain.Code `json:"code"`
	Message string      `json:"message"`
}

type registered struct {
	UserID    string      `json:"userId"`
	Role      domain.Role `json:"role"`
	Log       uuid.UUID   `json:"log"`
	Seq       int64       `json:"seq"`
	Recovered bool        `json:"recovered"`
	Channels  []string    `json:"channels"`
	Refused   []string    `json:"refused"`
}

type told struct {
	Seq    int64        `json:"seq"`
	Reason resyncReason `json:"reason,omitempty"`
}

// resyncReason says why a client has to read the state anew.
type resyncReason string

const (
	reasonExpired      resyncReason = "expired"
	reasonAhead        resyncReason = "ahead"
	reasonDifferentLog resyncReason = "different_log"
)

type joined struct {
	Room   string            `json:"room"`
	Seq    int64             `json:"seq"`
	Events []json.RawMessage `json:"events"`
	More   bool              `json:"more"`
}

type reconnect struct {
	AfterMs int64 `json:"afterMs"`
}

// encodeAnswer cannot fail: answers are made of what can be encoded.
func encodeAnswer(a answer) []byte {
	line, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("ws: an answer that cannot be encoded: %v", err))
	}
	return line
}
