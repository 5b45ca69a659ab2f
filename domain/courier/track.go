package courier

import (
	"time"

	"github.com/orderlog/orderlog/domain"
)

// TrackStreamType is the type of the stream of an order's recorded points; the stream's id is the order's.
const TrackStreamType = "track"

// MinInterval is the least time between two points that are kept of an order.
const MinInterval = time.Second

// Track is the state of an order's track that decisions need: its newest point.
type Track struct {
	Last    Located   `json:"last"`
	At      time.Time `json:"at"`
	Version int64     `json:"version"` // how many points there are
}

// Apply returns the state after an event that was recorded at a time. An event of another kind changes nothing.
func (t Track) Apply(e domain.Event, at time.Time) Track {
	if e, ok := e.(Located); ok {
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
