package ws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/orderlog/orderlog/delivery/session"
)

// request is one message of a client.
type request struct {
	Event string
	Data  json.RawMessage // nil or null when there is none
	ID    json.RawMessage // a JSON number or string to be given back, nil when no answer is asked for
}

var errShape = errors.New(`a message is one JSON object {"event": NAME, "data": {…}, "id": N}`)

// decode reads one message. Every error means that the client does not speak the protocol.
func decode(text []byte) (request, error) {
	if !utf8.Valid(text) { // it would be replaced, and an id be another one
		return request{}, fmt.Errorf("%w: it is not UTF-8", errShape)
	}
	var m struct {
		Event string          `json:"event"`
		Data  json.RawMessage `json:"data"`
		ID    json.RawMessage `json:"id"`
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return request{}, fmt.Errorf("%w: %w", errShape, err)
	}
	if m.Event == "" {
		return request{}, fmt.Errorf("%w: it has no event", errShape)
	}
	r := request{Event: m.Event, Data: m.Data, ID: m.ID}
	if string(r.ID) == "null" {
		r.ID = nil
	}
	const longestID = 64
	if len(r.ID) > longestID || (r.ID != nil && bytes.IndexByte([]byte(`"-0123456789`), r.ID[0]) < 0) {
		return request{}, fmt.Errorf("%w: the id is a number, or a string of at most %d bytes", errShape, longestID-2)
	}
	return r, nil
}

func decodeRegistration(data json.RawMessage) (session.Register, error) {
	var r session.Register
	if data == nil {
		return r, nil
	}
	if err := json.Unmarshal(data, &r); err != nil {
		return r, fmt.Errorf("the data of register: %w", err)
	}
	if r.LastSeq != nil && *r.LastSeq < 0 {
		return r, errors.New("lastSeq is negative")
	}
	return r, nil
}

// answer is a message to the client that does not come from the log.
type answer struct {
	Event string           `json:"event,omitempty"`
	Ack   json.RawMessage  `json:"ack,omitempty"`
	Data  any              `json:"data,omitempty"`
	Error *session.Failure `json:"error,omitempty"`
}

// encodeAnswer cannot fail: answers are made of what can be encoded.
func encodeAnswer(a answer) []byte {
	line, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("ws: an answer that cannot be encoded: %v", err))
	}
	return line
}
