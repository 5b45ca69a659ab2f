package replay

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
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
	limit, err := checkPage(q.After, q.To, q.Limit)
	if err != nil {
		return History{}, err
	}
	to := q.To
	if to == 0 {
		to = math.MaxInt64
	}
	var h History
	var seqs []int64
	row := l.pool.QueryRow(ctx, sqlOrderSeqs, planned, q.OrderID, q.After, to, limit+1)
	if err := row.Scan(&h.Seq, (*[16]byte)(&h.LogID), &seqs); err != nil {
		return History{}, fmt.Errorf("find the events of order %s: %w", q.OrderID, err)
	}
	l.position.Saw(h.Seq)
	if len(seqs) > limit {
		seqs = seqs[:limit]
		h.Next = seqs[limit-1]
	}
	if len(seqs) == 0 {
		first, err := l.placed(ctx, q.OrderID, h.Seq)
		if err == nil && q.After < first && first <= to {
			err = mismatch("it has nothing of order %s, which was placed with seq %d", q.OrderID, first)
		}
		return h, err
	}
	events, err := l.read(ctx, seqs)
	if err != nil {
		return h, err
	}
	if err := l.checkPage(ctx, q, h, events); err != nil {
		return h, err
	}
	var d differ
	if q.Changes {
		earlier, err := l.orderEvents(ctx, q.OrderID, q.After, false)
		if err != nil {
			return h, err
		}
		if err := d.skip(earlier); err != nil {
			return h, err
		}
	}
	h.Entries = make([]Entry, len(events))
	for i, e := range events {
		body, err := domain.Decode(e.Type, e.Data)
		h.Entries[i] = entry(e, body)
		h.Entries[i].Unknown = err != nil
		if q.Changes {
			if h.Entries[i].Changes, err = d.changes(e, body); err != nil {
				return h, err
			}
		}
	}
	return h, nil
}

// checkPage finds out whether the index has left out an event of the streams that are all about one order: between those
// of the page, and where the page is all there is, before and after them, too.
func (l *Log) checkPage(ctx context.Context, q HistoryQuery, h History, events []eventstore.Recorded) error {
	if q.After == 0 && h.Next == 0 {
		upTo := h.Seq
		if q.To > 0 {
			upTo = min(upTo, q.To)
		}
		return l.checkWhole(ctx, q.OrderID, upTo, events, true)
	}
	last := make(map[eventstore.StreamID]int64)
	for _, e := range events {
		switch e.Stream.Type {
		case order.StreamType, payment.StreamType, courier.TrackStreamType:
		default:
			continue
		}
		before, seen := last[e.Stream]
		if seen && e.Version != before+1 {
			return mismatch("it has version %d of %s, seq %d, and not version %d", e.Version, e.Stream, e.Seq, before+1)
		}
		last[e.Stream] = e.Version
	}
	return nil
}

// placed returns where an order begins; [domain.CodeNotFound] if it does not by a seq.
func (l *Log) placed(ctx context.Context, orderID uuid.UUID, by int64) (int64, error) {
	b, found, err := l.bounds(ctx, eventstore.StreamID{Type: order.StreamType, ID: orderID})
	if err == nil && (!found || b.first > by) {
		err = domain.Errorf(domain.CodeNotFound, "there is no order %s", orderID)
	}
	return b.first, err
}

// entry is an event as history shows it. body is nil when this program does not know what it says.
func entry(e eventstore.Recorded, body domain.Event) Entry {
	meta := metaOf(e)
	return Entry{
		Seq: e.Seq, ID: e.ID, Stream: e.Stream.String(), Version: e.Version, Type: e.Type, At: e.RecordedAt,
		Actor: Actor{UserID: meta.UserID, Role: meta.Role}, Reason: reason(e, meta), Summary: summary(e, body),
		CorrelationID: meta.CorrelationID, CausationID: meta.CausationID, IdempotencyKey: meta.IdempotencyKey,
		RemoteAddr: meta.RemoteAddr, Data: e.Data, Meta: e.Meta,
	}
}

// metaOf reads an event's meta, whatever JSON that is. What is not text is left out.
func metaOf(e eventstore.Recorded) eventstore.Meta {
	of := func(name string) string { return text(member(e.Meta, name)) }
	return eventstore.Meta{
		UserID: of("userId"), Role: of("role"), CorrelationID: of("correlationId"), CausationID: of("causationId"),
		IdempotencyKey: of("idempotencyKey"), RemoteAddr: of("remoteAddr"), Reason: of("reason"),
	}
}

// reason is why an event happened, in the words of whoever caused it.
func reason(e eventstore.Recorded, meta eventstore.Meta) string {
	if meta.Reason != "" {
		return meta.Reason
	}
	if why := text(member(e.Data, "reason")); why != "" {
		return why
	}
	if e.Stream.Type == inbox.StreamType { // its message is what was told, not why
		return ""
	}
	return text(member(e.Data, "message"))
}
