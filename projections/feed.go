package projections

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// Notification is what the outside is told of one event: at most one for each seq of the log.
type Notification struct {
	Seq   int64
	Event string
	// Channels that carry it: "all", "role:ROLE", "user:ID", "order:ID", "delivery:AGENT".
	Channels []string
	Data     json.RawMessage
	At       time.Time
}

// Page is a part of the notification log.
type Page struct {
	// Items are in rising order of seq.
	Items []Notification
	// Position is the seq up to which Items is complete: the last item's when there is More, else the
	// feed's checkpoint in the snapshot that was read.
	Position int64
	More     bool
}

// Bounds of the notification log, from one snapshot.
type Bounds struct {
	LogID uuid.UUID
	// Floor: every notification with a greater seq is held; up to it, retention may have dropped some.
	Floor int64
	// Position is the feed's checkpoint.
	Position int64
	// Head is the seq of the newest event in the log; Position follows it.
	Head int64
}
