// Package courier is the aggregate of a person who delivers, called delivery agent on the wire: whether they work,
// and which order they carry, of which there is at most one. Where they were is in a track, a stream of each order.
package courier

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of a courier's stream in the log; see [StreamID].
const StreamType = "courier"

// Status is whether a courier takes orders.
type Status string

// The statuses of the wire. Only one who is online is given an order.
const (
	StatusOnline  Status = "online"
	StatusOffline Status = "offline"
	StatusBusy    Status = "busy"
)

// Reason is why a courier no longer carries an order.
type Reason string

// The reasons.
const (
	ReasonDelivered  Reason = "delivered"
	ReasonCancelled  Reason = "cancelled"
	ReasonReassigned Reason = "reassigned"
)

// Courier is the state of a courier, and what admins read of it. One that was never heard of is offline. Apply needs
// none of the fields that the JSON leaves out, so that a read model may be folded on from its JSON; the decisions do,
// and take a state folded from the log.
type Courier struct {
	ID              string     `json:"id"` // the user id
	Name            string     `json:"name"`
	Status          Status     `json:"status"`       // as others see it
	Chosen          Status     `json:"chosen"`       // as the courier set it; what Status is again when an order is off its hands
	CurrentOrder    *uuid.UUID `json:"currentOrder"` // nil: none
	CurrentNumber   string     `json:"-"`            // that order's number
	CurrentCustomer string     `json:"-"`            // whose order that is
	UpdatedAt       time.Time  `json:"updatedAt"`
	Version         int64      `json:"version"` // 0: never heard of
}

var namespace = uuid.MustParse("0b5e55e5-0000-4000-8000-0000000000c0")

// StreamID is the id of a courier's stream: user ids are text, and streams are named by UUIDs.
func StreamID(userID string) uuid.UUID { return uuid.NewSHA1(namespace, []byte(userID)) }

// Initial is a courier of whom nothing is known yet.
func Initial(userID string) Courier {
	return Courier{ID: userID, Status: StatusOffline, Chosen: StatusOffline}
}

// Apply returns the state after an event that was recorded at a time. An event of another aggregate changes nothing.
func (c Courier) Apply(e domain.Event, at time.Time) Courier {
	switch e := e.(type) {
	case StatusChanged:
		c.ID, c.Name, c.Chosen, c.Status = e.AgentID, e.Name, e.Chosen, e.Status
	case OrderTaken:
		id := e.OrderID
		c.ID, c.CurrentOrder, c.Status = e.AgentID, &id, e.Status
		c.CurrentNumber, c.CurrentCustomer = e.OrderNumber, e.CustomerID
	case OrderReleased:
		c.ID, c.CurrentOrder, c.Status = e.AgentID, nil, e.Status
		c.CurrentNumber, c.CurrentCustomer = "", ""
	default:
		return c
	}
	c.UpdatedAt = at.UTC()
	c.Version++
	return c
}

// Stamp fills in the time of a state whose last event was applied with the zero time.
func (c Courier) Stamp(at time.Time) Courier {
	c.UpdatedAt = at.UTC()
	return c
}
