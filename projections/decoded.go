package projections

import (
	"fmt"
	"sync/atomic"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

const (
	// decodedEvents is how many events are kept decoded, decodedBytes how large one may be as JSON.
	decodedEvents = 4096
	decodedBytes  = 16 << 10
)

// decoded keeps the newest events that the groups of a runner have decoded, so that each is decoded once and not once a
// group. It is bounded, in events and in their size, and safe for concurrent use; nobody waits in it. What is in it is
// shared: models only read bodies.
type decoded struct {
	slots [decodedEvents]atomic.Pointer[Event] // an event is in slot seq % decodedEvents, or not there
}

// event returns an event with its body.
func (d *decoded) event(r eventstore.Recorded) (Event, error) {
	slot := &d.slots[r.Seq%decodedEvents]
	if e := slot.Load(); e != nil && e.ID == r.ID && e.Seq == r.Seq {
		return *e, nil
	}
	body, err := domain.Decode(r.Type, r.Data)
	if err != nil {
		return Event{}, fmt.Errorf("seq %d: %w", r.Seq, err)
	}
	e := Event{Recorded: r, Body: body}
	if len(r.Data) <= decodedBytes {
		slot.Store(&e)
	}
	return e, nil
}
