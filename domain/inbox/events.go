package inbox

import (
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
)

// Entered says that a user's inbox has a new entry. OrderID is the order it is about, nil when it is about none.
type Entered struct {
	ID      uuid.UUID  `json:"id"`
	UserID  string     `json:"userId"`
	Title   string     `json:"title"`
	Message string     `json:"message"`
	Type    string     `json:"type"`
	OrderID *uuid.UUID `json:"orderId,omitempty"`
}

// Read says that the user read an entry.
type Read struct {
	ID     uuid.UUID `json:"id"`
	UserID string    `json:"userId"`
}

// AllRead says that the user read every entry that was in the inbox before this event.
type AllRead struct {
	UserID string `json:"userId"`
}

// EventType is "inbox.entered".
func (Entered) EventType() string { return "inbox.entered" }

// EventType is "inbox.read".
func (Read) EventType() string { return "inbox.read" }

// EventType is "inbox.all_read".
func (AllRead) EventType() string { return "inbox.all_read" }

func init() {
	domain.Register[Entered](1)
	domain.Register[Read](1)
	domain.Register[AllRead](1)
}
