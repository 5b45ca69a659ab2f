// Package eventstore is the append-only log: every change of an order, a payment, a delivery, an
// offer, the menu or the business, in PostgreSQL.
//
// Guarantees:
//
//   - Order. Every event has a seq; seq is dense (1, 2, 3 …) and in commit order, over all writers and
//     nodes. Whoever has read up to seq N will never see an event with a smaller seq appear later.
//   - Durability. [Store.Append] returns success only after its transaction was committed to disk.
//   - Atomicity. The events of one Append, over one or several streams, commit together or not at all.
//   - Once. An Append that repeats an idempotency key adds nothing and gets the first one's answer.
//   - Append-only. The database itself refuses to change or delete an event.
//
// The package knows envelopes, not what is in them: payloads are JSON that belongs to package domain.
package eventstore

import (
	"encoding/json"
	"time"

	"github.com/google/uuid"
)

// AnyVersion as [StreamAppend.Expected] appends whatever the stream's version is.
const AnyVersion int64 = -1

// StreamID names a stream: the history of one aggregate.
type StreamID struct {
	Type string
	ID   uuid.UUID
}

// String returns "type/uuid".
func (s StreamID) String() string { return s.Type + "/" + s.ID.String() }

// NewEvent is an event that is not in the log yet.
type NewEvent struct {
	// ID is the event's UUIDv7. The store makes one if it is zero.
	ID uuid.UUID
	// Type is the event's registered name, such as "order.placed".
	Type string
	// Data is the payload, a JSON value without the character U+0000 (PostgreSQL's jsonb has no place for it).
	Data json.RawMessage
}

// StreamAppend is what one [Append] asks of one stream.
type StreamAppend struct {
	Stream StreamID
	// Expected is the version the stream must have at commit: 0 means that it must not exist yet,
	// [AnyVersion] that it does not matter.
	Expected int64
	// Events are added in this order, at Expected+1 and on. With none, Expected is only checked: a way to
	// make a decision depend on a stream that it does not change.
	Events []NewEvent
}

// IdempotencyKey recognises a repeated command.
type IdempotencyKey struct {
	// Scope keeps the keys of different users apart; it is the user's id.
	Scope string
	Key   string
	// Fingerprint is a hash of what was asked. The same key with another one is [ErrIdempotencyMismatch].
	Fingerprint []byte
}

// Append is one command's change of the log: all of it is committed, or none.
type Append struct {
	Streams []StreamAppend
	Meta    Meta
	// Key is nil for a command that may be repeated.
	Key *IdempotencyKey
	// Answer is kept with Key and given back in [Result.Answer] to whoever repeats it. JSON or nil.
	Answer json.RawMessage
}

// Meta says who caused an event, from where and why. It is the same for all events of an [Append].
type Meta struct {
	UserID         string `json:"userId,omitempty"`
	Role           string `json:"role,omitempty"`
	CorrelationID  string `json:"correlationId,omitempty"`
	CausationID    string `json:"causationId,omitempty"`
	IdempotencyKey string `json:"idempotencyKey,omitempty"`
	RemoteAddr     string `json:"remoteAddr,omitempty"`
	Reason         string `json:"reason,omitempty"`
}

// Result tells where an [Append] stands in the log.
type Result struct {
	// FirstSeq and LastSeq bound the events that were added. An Append without events has FirstSeq 0 and
	// the log's head as LastSeq.
	FirstSeq, LastSeq int64
	// RecordedAt is the recording time of the events, by the database's clock, in UTC.
	RecordedAt time.Time
	// Replayed says that the idempotency key was there already and that nothing was added; the other
	// fields are then those of the first Append.
	Replayed bool
	Answer   json.RawMessage
}

// Recorded is an event in the log.
type Recorded struct {
	Seq     int64
	ID      uuid.UUID
	Stream  StreamID
	Version int64
	Type    string
	Data    json.RawMessage
	Meta    json.RawMessage
	// RecordedAt never falls as seq rises.
	RecordedAt time.Time
}

// Head is the end of the log.
type Head struct {
	// LogID tells logs apart, so that a cursor taken from another log, or from before a restore, is recognised.
	LogID      uuid.UUID
	Seq        int64
	RecordedAt time.Time
}
