package rebuild

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

const (
	// segmentBytes bounds what the events of one transaction take, and passedBy how many that no model looks at go by
	// before the position is kept all the same, as a multiple of the segment.
	segmentBytes = 8 << 20
	passedBy     = 10

	// rounds bounds how often the shadow catches up before it does so with the group's checkpoint held. Each round is
	// about what came during the one before.
	rounds = 20

	// heldSegments bounds how much is left to be built while the checkpoint is held.
	heldSegments = 4
)

// errOutrun: the group moved on while the shadow caught up, by more than may be built while its checkpoint is held.
var errOutrun = errors.New("the group moves on faster than what is rebuilt can follow")

// ahead is how many segments may be read, decoded and derived ahead of the one that is written.
const ahead = 2

// segment is what one transaction takes: the models' events among all of them up to a seq.
type segment struct {
	events []projections.Event
	upTo   int64
	rows   projections.Rows // what the events leave, where that could be derived ahead; else nil
	err    error            // why the event at upTo+1 can't be read, if it can't
}

// catchUp brings the shadow close to its group.
func (r *run) catchUp(ctx context.Context) error {
	for range rounds {
		position, err := r.groupPosition(ctx)
		if err != nil {
			return err
		}
		if position < r.position {
			return r.putBack(position)
		}
		if position-r.position <= int64(r.opts.Segment/10) {
			return nil
		}
		if err := r.build(ctx, position); err != nil {
			return err
		}
	}
	return nil
}

func (r *run) putBack(position int64) error {
	return fmt.Errorf("group %s was put back to seq %d while this was built up to %d: run it again, it begins anew", r.group, position, r.position)
}

// groupPosition returns how far the live tables are: what is built never goes beyond it.
func (r *run) groupPosition(ctx context.Context) (position int64, err error) {
	err = r.pool.QueryRow(ctx, sqlPosition, r.group).Scan(&position)
	if errors.Is(err, pgx.ErrNoRows) {
		return 0, fmt.Errorf("there is no group %s", r.group)
	}
	if err != nil {
		return 0, fmt.Errorf("read the checkpoint of %s: %w", r.group, err)
	}
	return max(position, r.floor), nil
}

// build brings the shadow to a seq, in transactions of its own, while the next events are read, decoded and derived ahead.
func (r *run) build(ctx context.Context, upTo int64) error {
	if upTo <= r.position {
		return nil
	}
	r.meter.total = upTo
	r.meter.show(r, r.position)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	after := r.position
	segments := make(chan chan segment, ahead) // each gives one, so that they come in order
	read := make(chan error, 1)
	go func() {
		defer close(segments)
		read <- r.read(ctx, after, upTo, func(s segment) error {
			made := make(chan segment, 1)
			go func() { made <- r.derive(s) }()
			select {
			case segments <- made:
				return nil
			case <-ctx.Done():
				<-made
				return ctx.Err()
			}
		})
	}()
	var err error
	for made := range segments {
		s := <-made
		if err != nil {
			continue // only until the reader has heard of it
		}
		if err = r.keep(ctx, s); err == nil {
			err = s.err
		}
		if err != nil {
			stop()
		}
	}
	if readErr := <-read; err == nil {
		err = readErr
	}
	return err
}

// derive decodes a segment and, where the model can, derives what is to be written. It knows nothing of the database and is
// safe for concurrent use.
func (r *run) derive(s segment) segment {
	s = decode(s)
	if r.bulk != nil {
		// Where that fails the events are projected one by one in the end, and the one that can't be is named.
		_ = unpanicked(func() (err error) {
			s.rows, err = r.bulk.Derive(s.events)
			return err
		})
	}
	return s
}

// decode reads what the events of a segment say, up to the first that can't be read.
func decode(s segment) segment {
	for i := range s.events {
		e := &s.events[i]
		body, err := domain.Decode(e.Type, e.Data)
		if err != nil {
			s.err = fmt.Errorf("the event at seq %d can't be read; what is before it is kept: %w", e.Seq, err)
			s.events, s.upTo = s.events[:i], e.Seq-1
			break
		}
		e.Body = body
	}
	return s
}

// keep writes a segment and commits it with the position. One that fails is projected, and then by halves, so that what is
// before the event that fails is kept and the error names it.
func (r *run) keep(ctx context.Context, s segment) error {
	if s.upTo == r.position {
		return nil
	}
	err := r.inTx(ctx, func(tx pgx.Tx) error {
		if err := r.write(ctx, tx, s); err != nil {
			return err
		}
		return r.move(ctx, tx, s.upTo)
	})
	switch {
	case err == nil:
		r.result.Events += s.upTo - r.position
		r.position = s.upTo
		r.meter.show(r, r.position)
		return nil
	case ctx.Err() != nil, r.writer.Conn().IsClosed(), isOutside(err), len(s.events) == 0:
		return fmt.Errorf("build up to seq %d: %w", s.upTo, err)
	case s.rows != nil:
		return r.keep(ctx, segment{events: s.events, upTo: s.upTo})
	case len(s.events) == 1:
		e := s.events[0]
		return fmt.Errorf("the event at seq %d, %s of %s, can't be handled; what is before it is kept: %w", e.Seq, e.Type, e.Stream, err)
	}
	half := len(s.events) / 2
	if err := r.keep(ctx, segment{events: s.events[:half], upTo: s.events[half-1].Seq}); err != nil {
		return err
	}
	return r.keep(ctx, segment{events: s.events[half:], upTo: s.upTo})
}

// write writes what a segment's events leave.
func (r *run) write(ctx context.Context, tx pgx.Tx, s segment) error {
	if s.rows != nil {
		return s.rows.Write(ctx, tx)
	}
	return r.project(ctx, tx, s.events)
}

// project hands events to the models.
func (r *run) project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	if len(events) == 0 {
		return nil
	}
	return unpanicked(func() error {
		for _, m := range r.models {
			if err := m.Project(ctx, tx, events); err != nil {
				return err
			}
		}
		return nil
	})
}

// unpanicked does something that may panic.
func unpanicked(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}

// move keeps the position in the rebuild's row; r.position follows when that is committed.
func (r *run) move(ctx context.Context, tx pgx.Tx, to int64) error {
	done, err := tx.Exec(ctx, sqlMove, r.opts.Name, r.position, to, r.shadow)
	if err != nil {
		return fmt.Errorf("keep the position: %w", err)
	}
	if done.RowsAffected() != 1 {
		return fmt.Errorf("the rebuild is not at seq %d any more, or its connection not as it was set up: connect to PostgreSQL itself, not to a pooler", r.position)
	}
	return nil
}

// read gives the events in (after, upTo] as segments that are not decoded. Events of streams that no model is derived from
// are read, so that a gap in the log is found, and passed by.
func (r *run) read(ctx context.Context, after, upTo int64, each func(segment) error) error {
	var s segment
	bytes, start, last := 0, after, after
	flush := func() error {
		if last == start {
			return nil
		}
		s.upTo = last
		err := each(s)
		s, bytes, start = segment{}, 0, last
		return err
	}
	err := r.store.Scan(ctx, after, upTo, func(e eventstore.Recorded) error {
		if r.streams == nil || r.streams[e.Stream.Type] {
			e.Data, e.Meta = slices.Clone(e.Data), slices.Clone(e.Meta)
			s.events = append(s.events, projections.Event{Recorded: e})
			bytes += len(e.Data) + len(e.Meta)
		}
		last = e.Seq
		if len(s.events) >= r.opts.Segment || bytes >= segmentBytes || last-start >= int64(passedBy*r.opts.Segment) {
			return flush()
		}
		return nil
	})
	if ctx.Err() != nil {
		return errors.Join(ctx.Err(), err)
	}
	return errors.Join(flush(), err) // what is before a failure is kept
}

// inTx does something in a transaction of the connection that writes.
func (r *run) inTx(ctx context.Context, do func(tx pgx.Tx) error) error {
	return pgx.BeginTxFunc(ctx, r.writer, pgx.TxOptions{IsoLevel: pgx.ReadCommitted, AccessMode: pgx.ReadWrite}, do)
}

// streamsOf returns the types of stream that models are derived from; nil: all.
func streamsOf(models []projections.ReadModel) map[string]bool {
	types := make(map[string]bool)
	for _, m := range models {
		if len(m.Streams) == 0 {
			return nil
		}
		for _, t := range m.Streams {
			types[t] = true
		}
	}
	return types
}
