package ws

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
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
	if !utf8.Valid(text) { // it would be replaced, and an id be another one
		return request{}, fmt.Errorf("%w: it is not UTF-8", errShape)
	}
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

func decodeRegistration(data json.RawMessage) (Register, error) {
	var r Register
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

// decodeData reads the data of a message. What is wrong is told by the member's name.
func decodeData(data json.RawMessage, into any, shape string) error {
	err := errShape
	if data != nil {
		err = json.Unmarshal(data, into)
	}
	var odd *json.UnmarshalTypeError
	switch {
	case err == nil:
		return nil
	case errors.As(err, &odd) && odd.Field != "":
		return domain.Invalid(odd.Field, "must be %s", kindName(odd.Type.Kind())).WithCause(err)
	}
	return domain.Invalid("data", "must be %s", shape).WithCause(err)
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.Float64:
		return "a number"
	case reflect.Int64:
		return "an integer of 64 bits"
	}
	return "text"
}

// decodeLocation reads the data of `delivery:location`.
func decodeLocation(data json.RawMessage) (orderID uuid.UUID, p courier.Point, _ error) {
	var d Location
	if err := decodeData(data, &d, "{orderId, latitude, longitude, speed?, heading?, accuracy?}"); err != nil {
		return orderID, p, err
	}
	orderID, err := uuid.Parse(d.OrderID)
	switch {
	case err != nil:
		return orderID, p, domain.Invalid("orderId", "must be a UUID").WithCause(err)
	case d.Latitude == nil:
		return orderID, p, domain.Invalid("latitude", "must be given, in degrees north")
	case d.Longitude == nil:
		return orderID, p, domain.Invalid("longitude", "must be given, in degrees east")
	}
	p = courier.Point{Latitude: *d.Latitude, Longitude: *d.Longitude, Speed: d.Speed, Heading: d.Heading, Accuracy: d.Accuracy}
	return orderID, p, p.Validate()
}

// answer is a message to the client that does not come from the log.
type answer struct {
	Event string          `json:"event,omitempty"`
	Ack   json.RawMessage `json:"ack,omitempty"`
	Data  any             `json:"data,omitempty"`
	Error *Failure        `json:"error,omitempty"`
}

// encodeAnswer cannot fail: answers are made of what can be encoded.
func encodeAnswer(a answer) []byte {
	line, err := json.Marshal(a)
	if err != nil {
		panic(fmt.Sprintf("ws: an answer that cannot be encoded: %v", err))
	}
	return line
}
