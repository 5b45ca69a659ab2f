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

// segment is what one transaction takes: the models' events among all of them up to a seq.
type segment struct {
	events []projections.Event
	upTo   int64
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

// build brings the shadow to a seq, in transactions of its own, while the next events are read ahead.
func (r *run) build(ctx context.Context, upTo int64) error {
	if upTo <= r.position {
		return nil
	}
	r.meter.total = upTo
	r.meter.show(r, r.position)
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	after := r.position
	segments := make(chan segment, 2)
	read := make(chan error, 1)
	go func() {
		defer close(segments)
		read <- r.read(ctx, after, upTo, func(s segment) error {
			select {
			case segments <- s:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	}()
	var err error
	for s := range segments {
		if err != nil {
			continue // only until the reader has heard of it
		}
		if err = r.keep(ctx, s); err != nil {
			stop()
		}
	}
	if readErr := <-read; err == nil {
		err = readErr
	}
	return err
}

// keep projects a segment and commits it with the position. One that fails is tried again by halves, so that what is
// before the event that fails is kept and the error names it.
func (r *run) keep(ctx context.Context, s segment) error {
	err := r.inTx(ctx, func(tx pgx.Tx) error {
		if err := r.project(ctx, tx, s.events); err != nil {
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
	case len(s.events) == 1:
		e := s.events[0]
		return fmt.Errorf("the event at seq %d, %s of %s, can't be handled; what is before it is kept: %w", e.Seq, e.Type, e.Stream, err)
	}
	half := len(s.events) / 2
	if err := r.keep(ctx, segment{s.events[:half], s.events[half-1].Seq}); err != nil {
		return err
	}
	return r.keep(ctx, segment{s.events[half:], s.upTo})
}

// project hands events to the models.
func (r *run) project(ctx context.Context, tx pgx.Tx, events []projections.Event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	if len(events) == 0 {
		return nil
	}
	for _, m := range r.models {
		if err := m.Project(ctx, tx, events); err != nil {
			return err
		}
	}
	return nil
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

// read gives the events in (after, upTo] as segments. Events of streams that no model is derived from are read, so that a
// gap in the log is found, and passed by undecoded.
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
			body, err := domain.Decode(e.Type, e.Data)
			if err != nil {
				return fmt.Errorf("the event at seq %d can't be read; what is before it is kept: %w", e.Seq, err)
			}
			s.events = append(s.events, projections.Event{Recorded: e, Body: body})
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
