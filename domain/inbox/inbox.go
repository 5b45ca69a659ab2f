// Package inbox is the aggregate of an entry in a user's inbox. Each entry is a stream of its own, so that no inbox
// grows too long to be decided on; that a user read all is one event in a stream of the user's.
package inbox

import (
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// StreamType is the type of an entry's stream in the log; the stream's id is the entry's.
const StreamType = "inbox_entry"

// ReaderStreamType is the type of the stream of a user's [AllRead] events; see [ReaderID].
const ReaderStreamType = "inbox_reader"

// The bounds of an entry, in characters.
const (
	maxTitle   = 200
	maxMessage = 2000
	maxType    = 50

	typeLetters = "abcdefghijklmnopqrstuvwxyz0123456789_-"
)

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

// Enter decides on a new entry; the state must be that of none.
func (n Entry) Enter(e Entered) ([]domain.Event, error) {
	if n.Version > 0 {
		return nil, domain.Errorf(domain.CodeVersionConflict, "entry %s exists already: make a new one", n.ID)
	}
	for _, text := range []struct {
		field, text string
		highest     int
		check       func(field, text string, lowest, highest int) error
	}{
		{"userId", e.UserID, domain.MaxUserID, domain.CheckLine},
		{"title", e.Title, maxTitle, domain.CheckLine},
		{"message", e.Message, maxMessage, domain.CheckText},
		{"type", e.Type, maxType, domain.CheckLine},
	} {
		if err := text.check(text.field, text.text, 1, text.highest); err != nil {
			return nil, err
		}
	}
	if strings.Trim(e.Type, typeLetters) != "" {
		return nil, domain.Invalid("type", "must be of the letters a to z, digits, _ and -, such as order")
	}
	e.OrderID = clone(e.OrderID)
	return []domain.Event{e}, nil
}

// MarkRead decides that the entry was read. Only its user may; reading it again is no event.
func (n Entry) MarkRead(by string) ([]domain.Event, error) {
	switch {
	case n.Version == 0:
		return nil, domain.Errorf(domain.CodeNotFound, "there is no such entry: list the inbox to see those that are")
	case n.UserID != by:
		return nil, domain.Errorf(domain.CodeForbidden, "this entry is in another user's inbox: only that user may mark it as read")
	case n.Read:
		return nil, nil
	}
	return []domain.Event{Read{ID: n.ID, UserID: n.UserID}}, nil
}

func clone(id *uuid.UUID) *uuid.UUID {
	if id == nil {
		return nil
	}
	return new(*id)
}

// Apply returns the state after an event that was recorded at a time. An event of another kind changes nothing. The
// state shares no memory with the event.
func (n Entry) Apply(e domain.Event, at time.Time) Entry {
	at = at.UTC()
	switch e := e.(type) {
	case Entered:
		n.ID, n.UserID, n.Title, n.Message, n.Type = e.ID, e.UserID, e.Title, e.Message, e.Type
		n.OrderID = clone(e.OrderID)
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
