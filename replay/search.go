package replay

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
)

// eachPage is how many events one round of Each reads when it filters: few enough that they are in memory together
// whatever their size.
const eachPage = 500

// Query selects events. Zero fields do not filter.
type Query struct {
	// After and To bound the seqs: those above After, up to and including To. 0 as To: to the end.
	After, To int64
	// Types are names of event types, such as "order.placed"; each stands for all its versions, and may be one that only a
	// newer program knows, if the log has it.
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

// Events returns a page of the events that a query selects. Refusals are of [domain.CodeInvalidRequest].
func (l *Log) Events(ctx context.Context, q Query) (Page, error) {
	s, err := l.search(ctx, q)
	if err != nil {
		return Page{}, err
	}
	events, err := s.page(ctx, s.after, s.limit+1)
	p := Page{Events: events, Seq: s.seq}
	if len(events) > s.limit {
		p.Events = events[:s.limit]
		p.Next = p.Events[s.limit-1].Seq
	}
	return p, err
}

// Each calls each with all events that a query selects, in the order of seq, up to where the audit was when it began. It
// takes the same memory however many there are: an event's Data and Meta are only good until each returns. With filters
// no connection is held while each runs, so it may take its time. An error of each ends it and is returned as it is.
func (l *Log) Each(ctx context.Context, q Query, each func(eventstore.Recorded) error) error {
	s, err := l.search(ctx, q)
	if err != nil {
		return err
	}
	if !s.filters() {
		if s.after >= s.to {
			return nil
		}
		return l.store.Scan(ctx, s.after, s.to, each)
	}
	for after := s.after; ; {
		events, err := s.page(ctx, after, eachPage)
		if err != nil {
			return err
		}
		for _, e := range events {
			if err := each(e); err != nil {
				return err
			}
		}
		if len(events) < eachPage {
			return nil
		}
		after = events[len(events)-1].Seq
	}
}

// Range returns the bounds that Each would walk now: the seqs above after, up to and including to.
func (l *Log) Range(ctx context.Context, q Query) (after, to int64, err error) {
	s, err := l.search(ctx, q)
	return s.after, s.to, err
}

// search is a query whose bounds are seqs.
type search struct {
	log       *Log
	after, to int64
	types     []string // as they are stored
	actor     string
	byStream  bool
	streams   []stretch // those of the query, if byStream
	limit     int
	seq       int64 // what it covers
}

// stretch is a stream and where it is in the log.
type stretch struct {
	eventstore.StreamID
	first, last int64
}

func (s *search) filters() bool { return len(s.types) > 0 || s.actor != "" || s.byStream }

// search checks a query and finds out its bounds.
func (l *Log) search(ctx context.Context, q Query) (search, error) {
	s, stream, err := l.checked(q)
	if err != nil {
		return search{}, err
	}
	if s.types, err = l.storedTypes(ctx, q.Types); err != nil {
		return search{}, err
	}
	p, err := l.point(ctx)
	if err != nil {
		return search{}, err
	}
	s.seq = p.position
	// The last event before a time: recorded_at is in microseconds, and what is finer is cut off.
	if !q.Since.IsZero() {
		before, err := l.store.SeqAt(ctx, q.Since.Add(-1))
		if err != nil {
			return search{}, err
		}
		s.after = max(s.after, before)
	}
	if !q.Until.IsZero() {
		before, err := l.store.SeqAt(ctx, q.Until.Add(-1))
		if err != nil {
			return search{}, err
		}
		if !q.Until.After(p.now) { // what was until then will be the same whenever somebody asks
			if err := l.await(ctx, before); err != nil {
				return search{}, err
			}
			s.seq = max(s.seq, before)
		}
		s.to = min(s.to, before)
	}
	s.to = min(s.to, s.seq)
	if stream != nil {
		s.byStream = true
		s.streams, err = l.streams(ctx, *stream)
	}
	s.after = min(s.after, s.to) // nothing rather than less than that
	return s, err
}

func (l *Log) checked(q Query) (search, *streamName, error) {
	limit, err := checkPage(q.After, q.To, q.Limit)
	if err != nil {
		return search{}, nil, err
	}
	s := search{log: l, after: q.After, to: q.To, actor: q.Actor, limit: limit}
	if s.to == 0 {
		s.to = math.MaxInt64
	}
	if err := checkTimes(q.Since, q.Until); err != nil {
		return search{}, nil, err
	}
	if err := checkActor(q.Actor); err != nil {
		return search{}, nil, err
	}
	stream, err := parseStream(q.Stream)
	return s, stream, err
}

// page returns the first events behind a seq.
func (s *search) page(ctx context.Context, after int64, limit int) ([]eventstore.Recorded, error) {
	switch {
	case after >= s.to:
		return nil, nil
	case s.byStream:
		return s.streamPage(ctx, after, limit)
	case !s.filters():
		return s.wholeRange(ctx, after, limit)
	}
	args := []any{planned, after, s.to, limit}
	if s.actor != "" {
		args = append(args, s.actor)
	}
	for _, t := range s.types {
		args = append(args, t)
	}
	rows, err := s.log.pool.Query(ctx, sqlSearch(len(s.types), s.actor != ""), args...)
	if err != nil {
		return nil, fmt.Errorf("search the audit's index: %w", err)
	}
	seqs, err := pgx.CollectRows(rows, pgx.RowTo[int64])
	if err != nil {
		return nil, fmt.Errorf("search the audit's index: %w", err)
	}
	return s.log.read(ctx, seqs)
}

// wholeRange is page for all events; none may be missing.
func (s *search) wholeRange(ctx context.Context, after int64, limit int) ([]eventstore.Recorded, error) {
	events, err := s.log.query(ctx, sqlReadRange, after, s.to, limit)
	if err != nil {
		return nil, err
	}
	for i, want := 0, after+1; want <= s.to && i < limit; i, want = i+1, want+1 {
		if i >= len(events) {
			return nil, &eventstore.GapError{Want: want}
		}
		if events[i].Seq != want {
			return nil, &eventstore.GapError{Want: want, Got: events[i].Seq}
		}
	}
	return events, nil
}

// streamPage is page for the streams of one id: each by itself, because an index has them in order.
func (s *search) streamPage(ctx context.Context, after int64, limit int) ([]eventstore.Recorded, error) {
	var events []eventstore.Recorded
	for _, stream := range s.streams {
		from, to := max(after, stream.first-1), min(s.to, stream.last)
		if from >= to {
			continue
		}
		args := []any{stream.ID, stream.Type, from, to, limit, s.types}
		if s.actor != "" {
			args = append(args, s.actor)
		}
		found, err := s.log.query(ctx, sqlReadStreamRange(s.actor != ""), args...)
		if err != nil {
			return nil, err
		}
		events = append(events, found...)
	}
	slices.SortFunc(events, func(a, b eventstore.Recorded) int { return cmp.Compare(a.Seq, b.Seq) })
	return events[:min(len(events), limit)], nil
}
