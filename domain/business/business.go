// Package business is the aggregate of the one business that takes the orders: whether
// it is open, and what it tells its customers. It is closed until it is first opened.
package business

import (
	"cmp"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of the business's stream in the log.
const StreamType = "business"

// DefaultName is what the business is called until someone names it.
const DefaultName = "Orderlog"

const (
	maxName    = 200 // characters
	maxMessage = 500 // characters
)

// StreamID is the id of the only business. It is fixed, so that every node and every
// program finds the same stream.
var StreamID = uuid.MustParse("0b5e55e5-0000-4000-8000-000000000001")

// Business is the state of the business, and what clients read of it.
type Business struct {
	IsOpen       bool      `json:"isOpen"`
	BusinessName string    `json:"businessName"`
	Message      string    `json:"message"`
	UpdatedAt    time.Time `json:"updatedAt,omitzero"` // absent before the first event
	Version      int64     `json:"version"`            // 0: never opened or closed
}

// Initial is the business before its first event.
func Initial() Business { return Business{BusinessName: DefaultName} }

// SetStatus asks to open or close the business.
type SetStatus struct {
	IsOpen       bool
	BusinessName string // empty: as it was
	Message      string // for the customers; empty: a default
}

// SetStatus always yields an event, also when the business already is as asked: an
// announcement with a message is one too.
func (b Business) SetStatus(cmd SetStatus) ([]domain.Event, error) {
	if err := domain.CheckLine("businessName", cmd.BusinessName, 0, maxName); err != nil {
		return nil, err
	}
	if err := domain.CheckText("message", cmd.Message, 0, maxMessage); err != nil {
		return nil, err
	}
	name := cmp.Or(cmd.BusinessName, b.BusinessName, DefaultName)
	if cmd.IsOpen {
		message := cmp.Or(cmd.Message, "We are open and taking orders")
		return []domain.Event{Opened{BusinessName: name, Message: message}}, nil
	}
	message := cmp.Or(cmd.Message, "We are closed and take no orders for now")
	return []domain.Event{Closed{BusinessName: name, Message: message}}, nil
}

// CheckOpen refuses an order while the business is closed.
func (b Business) CheckOpen() error {
	if b.IsOpen {
		return nil
	}
	refusal := domain.Errorf(domain.CodeBusinessClosed, "the business is closed: order again when it has opened")
	if b.Message != "" {
		return refusal.With("businessMessage", b.Message)
	}
	return refusal
}

// Apply returns the state after an event that was recorded at a time.
// An event of another aggregate changes nothing.
func (b Business) Apply(e domain.Event, at time.Time) Business {
	switch e := e.(type) {
	case Opened:
		b.IsOpen, b.BusinessName, b.Message = true, e.BusinessName, e.Message
	case Closed:
		b.IsOpen, b.BusinessName, b.Message = false, e.BusinessName, e.Message
	default:
		return b
	}
	b.UpdatedAt = at.UTC()
	b.Version++
	return b
}

// Stamp fills in the time of a state whose last event was applied with the zero time.
func (b Business) Stamp(at time.Time) Business {
	b.UpdatedAt = at.UTC()
	return b
}
