package session

import (
	"encoding/json"
	"errors"
	"reflect"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
)

var errNoData = errors.New("there is no data")

// decodeData reads the data of a message. What is wrong is told by the member's name.
func decodeData(data json.RawMessage, into any, shape string) error {
	err := errNoData
	if data != nil && string(data) != "null" {
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
