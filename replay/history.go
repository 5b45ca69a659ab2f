package replay

import (
	"context"
	"encoding/json"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/eventstore"
)

// maxPage is the most that one page has.
const maxPage = 1000

// HistoryQuery selects events of an order, its payments, its courier's work on it and its messages, in the order of seq.
type HistoryQuery struct {
	OrderID uuid.UUID
	// After and To bound the seqs: those above After, up to and including To. 0 as To: to the end.
	After, To int64
	// Limit is the most entries of a page, up to 1000. 0: 1000.
	Limit int
	// Changes asks for what each event changed, too.
	Changes bool
}

// History is a page of what happened to an order.
type History struct {
	Entries []Entry
	// Next is the After of the next page; 0 on the last one.
	Next int64
	// Seq: the page includes every event up to it and none after.
	Seq   int64
	LogID uuid.UUID
}

// Actor is who caused an event. Both are empty when the log names nobody.
type Actor struct {
	UserID string `json:"userId"`
	Role   string `json:"role"`
}

// Entry is an event of an order's history: what, when, by whom, from which request, and why.
type Entry struct {
	Seq     int64     `json:"seq"`
	ID      uuid.UUID `json:"id"`
	Stream  string    `json:"stream"` // "order/UUID"
	Version int64     `json:"version"`
	Type    string    `json:"type"` // as it is stored
	At      time.Time `json:"at"`
	Actor   Actor     `json:"actor"`
	// Reason is why: what the command was given, or the event's own reason or message. Empty: none was given.
	Reason string `json:"reason"`
	// Summary is a sentence for people; the type's name when there is none for it.
	Summary        string          `json:"summary"`
	CorrelationID  string          `json:"correlationId"`
	CausationID    string          `json:"causationId"`
	IdempotencyKey string          `json:"idempotencyKey"`
	RemoteAddr     string          `json:"remoteAddr"`
	Data           json.RawMessage `json:"data"`
	Meta           json.RawMessage `json:"meta"`
	// Unknown says that this program does not know the event's type, which a newer one wrote, or cannot read its data:
	// Changes leave out what it changed.
	Unknown bool `json:"unknown,omitempty"`
	// Changes are what the event changed in [State], if they were asked for: then empty when it changed nothing there.
	Changes []Change `json:"changes,omitzero"`
}

// History returns a page of what happened to an order. Besides the refusals of the query there is
// [domain.CodeNotFound] for an order that is not there as of Seq, which is then set.
func (l *Log) History(ctx context.Context, q HistoryQuery) (History, error) {
	panic("not implemented")
}

// OrderEvents returns all events of an order's history up to a seq, in order; 0: up to the audit's checkpoint. It is an
// error if they are not whole: the versions of the order's stream, of its track and of its payments must be 1, 2, 3 … up
// to that seq. [domain.CodeNotFound] if the order was not placed by then, [domain.CodeProjectionBehind] if the audit has
// not come that far.
func (l *Log) OrderEvents(ctx context.Context, orderID uuid.UUID, upTo int64) ([]eventstore.Recorded, error) {
	panic("not implemented")
}
