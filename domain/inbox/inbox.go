// Package inbox is the aggregate of an entry in a user's inbox. Each entry is a stream of its own, so that no inbox
// grows too long to be decided on; that a user read all is one event in a stream of the user's.
package inbox

import (
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of an entry's stream in the log; the stream's id is the entry's.
const StreamType = "inbox_entry"

// ReaderStreamType is the type of the stream of a user's [AllRead] events; see [ReaderID].
const ReaderStreamType = "inbox_reader"

// Entry is the state of an entry, and what its user reads.
type Entry struct {
	ID        uuid.UUID  `json:"id"`
	UserID    string     `json:"userId"`
	Title     string     `json:"title"`
	Message   string     `json:"message"`
	Type      string     `json:"type"`
	OrderID   *uuid.UUID `json:"orderId,omitempty"`
	Read      bool       `json:"read"`
	ReadAt    *time.Time `json:"readAt,omitempty"`
	CreatedAt time.Time  `json:"createdAt"`
	Version   int64      `json:"version"` // 0: does not exist
}

var (
	readers = uuid.MustParse("0b5e55e5-0000-4000-8000-0000000000b0")
	causes  = uuid.MustParse("0b5e55e5-0000-4000-8000-0000000000b1")
)

// ReaderID is the id of the stream of a user's AllRead events.
func ReaderID(userID string) uuid.UUID { return uuid.NewSHA1(readers, []byte(userID)) }

// EntryID is the id of the entry that an event causes: an event causes at most one, however often it is handled.
func EntryID(cause uuid.UUID) uuid.UUID { return uuid.NewSHA1(causes, cause[:]) }

// Apply returns the state after an event that was recorded at a time. An event of another kind changes nothing.
func (n Entry) Apply(e domain.Event, at time.Time) Entry {
	at = at.UTC()
	switch e := e.(type) {
	case Entered:
		n.ID, n.UserID, n.Title, n.Message, n.Type, n.OrderID = e.ID, e.UserID, e.Title, e.Message, e.Type, e.OrderID
		n.CreatedAt = at
	case Read:
		n.Read, n.ReadAt = true, &at
	default:
		return n
	}
	n.Version++
	return n
}

// Stamp fills in the times of a state whose last event was applied with the zero time.
func (n Entry) Stamp(at time.Time) Entry {
	at = at.UTC()
	if n.CreatedAt.IsZero() {
		n.CreatedAt = at
	}
	if n.ReadAt != nil && n.ReadAt.IsZero() {
		n.ReadAt = &at
	}
	return n
}
