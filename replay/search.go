package replay

import (
	"context"
	"time"

	"github.com/orderlog/orderlog/eventstore"
)

// Query selects events. Zero fields do not filter.
type Query struct {
	// After and To bound the seqs: those above After, up to and including To. 0 as To: to the end.
	After, To int64
	// Types are names of event types, such as "order.placed"; each stands for all its versions.
	Types []string
	// Stream is "TYPE/UUID", or a UUID: all streams of that id.
	Stream string
	// Actor is the user id of who caused the event.
	Actor string
	// Since and Until bound the time of recording: at or after Since, and before Until.
	Since, Until time.Time
	// Limit is the most events of a page, up to 1000. 0: 1000. [Log.Each] and [Log.Range] do not look at it.
	Limit int
}

// Page is a page of events, in the order of seq.
type Page struct {
	Events []eventstore.Recorded
	// Next is the After of the next page; 0 on the last one.
	Next int64
	// Seq: the search covers every event up to it and none after.
	Seq int64
}

// Events returns a page of the events that a query selects.
func (l *Log) Events(ctx context.Context, q Query) (Page, error) { panic("not implemented") }

// Each calls each with all events that a query selects, in the order of seq, up to where the audit was when it began. It
// takes the same memory however many there are: an event's Data and Meta are only good until each returns. With filters
// no connection is held while each runs, so it may take its time. An error of each ends it and is returned as it is.
func (l *Log) Each(ctx context.Context, q Query, each func(eventstore.Recorded) error) error {
	panic("not implemented")
}

// Range returns the bounds that Each would walk now: the seqs above after, up to and including to.
func (l *Log) Range(ctx context.Context, q Query) (after, to int64, err error) {
	panic("not implemented")
}
