package courier

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// TrackStreamType is the type of the stream of an order's recorded points; the stream's id is the order's.
const TrackStreamType = "track"

// MinInterval is the least time between two points that are kept of an order.
const MinInterval = time.Second

const (
	maxSpeed    = 500.0     // metres a second
	maxAccuracy = 100_000.0 // metres
)

// Track is the state of an order's track that decisions need: its newest point.
type Track struct {
	Last    Located   `json:"last"`
	At      time.Time `json:"at"`
	Version int64     `json:"version"` // how many points there are
}

// Locate asks to record where the courier of an order is.
type Locate struct {
	OrderID    uuid.UUID
	CustomerID string
	AgentID    string
	Point      Point
	Since      time.Duration // the age of the order's newest point; below 0: there is none
}

// Locate decides whether a point is kept: not one that comes less than [MinInterval] after the newest.
func (t Track) Locate(cmd Locate) ([]domain.Event, error) {
	if err := cmd.Point.Validate(); err != nil {
		return nil, err
	}
	if cmd.Since >= 0 && cmd.Since < MinInterval {
		return nil, nil
	}
	return []domain.Event{Located{
		OrderID: cmd.OrderID, CustomerID: cmd.CustomerID, AgentID: cmd.AgentID, Point: cmd.Point.clone(),
	}}, nil
}

// Validate refuses a point that is nowhere, and what is not a number.
func (p Point) Validate() error {
	for _, c := range []struct {
		field           string
		value           *float64 // nil: not given
		lowest, highest float64
		unit            string
	}{
		{"latitude", &p.Latitude, -90, 90, "degrees north"},
		{"longitude", &p.Longitude, -180, 180, "degrees east"},
		{"speed", p.Speed, 0, maxSpeed, "metres a second"},
		{"heading", p.Heading, 0, 360, "degrees from north, clockwise"},
		{"accuracy", p.Accuracy, 0, maxAccuracy, "metres"},
	} {
		// What is not a number is neither above nor below a bound, so it must be seen to be within.
		if c.value != nil && !(*c.value >= c.lowest && *c.value <= c.highest) {
			return domain.Invalid(c.field, "must be a number of %s from %v to %v", c.unit, c.lowest, c.highest)
		}
	}
	return nil
}

func (p Point) clone() Point {
	for _, v := range []**float64{&p.Speed, &p.Heading, &p.Accuracy} {
		if *v != nil {
			*v = new(**v)
		}
	}
	return p
}

// Apply returns the state after an event that was recorded at a time. An event of another kind changes nothing. The
// state shares no memory with the event.
func (t Track) Apply(e domain.Event, at time.Time) Track {
	if e, ok := e.(Located); ok {
		e.Point = e.clone()
		t.Last, t.At = e, at.UTC()
		t.Version++
	}
	return t
}

// Stamp fills in the time of a state whose last event was applied with the zero time.
func (t Track) Stamp(at time.Time) Track {
	t.At = at.UTC()
	return t
}
