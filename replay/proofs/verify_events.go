package proofs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
)

const (
	// scanAtOnce is how many events are asked for at once: so many that it does not show, and so few that a head that was
	// set to an absurd number is found out. Behind a gap it is scanLeast, and twice as many each time that there is none:
	// a scan that ends early has been given all it asked for nevertheless.
	scanAtOnce    = 1_000_000
	scanLeast     = 64
	progressEvery = 8192
)

// examination is one verification.
type examination struct {
	store     *eventstore.Store
	pool      *pgxpool.Pool
	ring      keyring
	progress  func(done, of int64)
	startedAt time.Time

	start     storedTree
	at        int64     // the seq up to which the log is read, or known to be missing
	read      int64     // events
	head      int64     // at the end
	lastTime  time.Time // of event lastTimed
	lastTimed int64
	leaf      leafHasher

	streams  streamCheck
	tree     treeCheck
	index    indexCheck
	trails   []*trail
	nextNote int64 // the smallest size that a trail waits for
	compared int
	problems problems
	warnings []string
}

func (x *examination) begin(ctx context.Context, start storedTree) {
	x.start = start
	x.streams.begin()
	x.tree.begin(ctx, x.pool, &x.problems, start)
	x.index.begin(start.position)
	x.problems.addAll(start.odd)
	if start.fault != nil && start.N <= start.head && !errors.Is(start.fault, errTime) { // the event itself is named for its time
		x.problems.add(Problem{Kind: KindTree, Detail: start.fault.Error()})
	}
}

func (x *examination) close() {
	for _, t := range x.trails {
		t.close()
	}
}

// readEvents reads the log up to a seq. It goes on behind gaps.
func (x *examination) readEvents(ctx context.Context, upTo int64) error {
	atOnce := int64(scanAtOnce)
	for x.at < upTo {
		// The head may be the largest number there is, so no sum is beyond it.
		err := x.store.Scan(ctx, x.at, x.at+min(atOnce, upTo-x.at), func(e eventstore.Recorded) error {
			return x.event(ctx, e, upTo)
		})
		gap, row := (*eventstore.GapError)(nil), (*eventstore.RowError)(nil)
		if err == nil {
			atOnce = min(2*atOnce, scanAtOnce)
			continue
		}
		if errors.As(err, &row) {
			if err := x.unreadable(ctx, row.Seq); err != nil {
				return err
			}
			continue
		}
		if !errors.As(err, &gap) {
			return err
		}
		atOnce = scanLeast
		switch {
		case gap.Got == 0:
			before, err := x.lastMissing(ctx, upTo)
			if err != nil {
				return err
			}
			if err := x.missing(ctx, before); err != nil {
				return err
			}
		case gap.Got < gap.Want:
			x.problems.add(Problem{Seq: gap.Got, Kind: KindEvent, Detail: "there are several events with this seq"})
		default:
			if err := x.missing(ctx, gap.Got-1); err != nil {
				return err
			}
		}
	}
	return nil
}

// lastMissing is the seq before the next event there is, upTo at most.
func (x *examination) lastMissing(ctx context.Context, upTo int64) (int64, error) {
	var next *int64
	if err := x.pool.QueryRow(ctx, sqlNextSeq, x.at).Scan(&next); err != nil {
		return 0, fmt.Errorf("look for the next event after %d: %w", x.at, err)
	}
	if next == nil {
		return upTo, nil
	}
	return min(*next-1, upTo), nil
}

func (x *examination) event(ctx context.Context, e eventstore.Recorded, of int64) error {
	x.at = e.Seq
	x.read++
	if x.read%progressEvery == 0 {
		x.progress(x.read, max(of, x.read))
	}
	switch {
	case !writable(e.RecordedAt):
		x.problems.add(Problem{Seq: e.Seq, Kind: KindTime, Detail: "its time is infinite, or of a year that can't be written"})
	case e.RecordedAt.Before(x.lastTime):
		x.problems.add(Problem{
			Seq: e.Seq, Kind: KindTime,
			Detail: fmt.Sprintf("it was recorded at %s, before the event in front of it at %s", e.RecordedAt.Format(timeOf), x.lastTime.Format(timeOf)),
		})
	}
	if writable(e.RecordedAt) {
		x.lastTime, x.lastTimed = e.RecordedAt, e.Seq
	}
	x.streams.event(e, &x.problems)
	x.index.event(e)
	if err := x.tree.add(x.leaf.hash(e)); err != nil {
		return err
	}
	if e.Seq == x.nextNote {
		return x.compareNotes(ctx)
	}
	return nil
}

// missing goes on behind a gap that ends at a seq.
func (x *examination) missing(ctx context.Context, upTo int64) error {
	p := Problem{Seq: x.at + 1, UpTo: upTo, Kind: KindMissing, Detail: "the event is missing"}
	if p.UpTo > p.Seq {
		p.Detail = fmt.Sprintf("%d events are missing", upTo-x.at)
	}
	x.problems.add(p)
	return x.pass(ctx, upTo)
}

// unreadable goes on behind an event whose row is none, and what may be missing before it.
func (x *examination) unreadable(ctx context.Context, seq int64) error {
	if seq > x.at+1 {
		if err := x.missing(ctx, seq-1); err != nil {
			return err
		}
	}
	x.problems.add(Problem{Seq: seq, Kind: KindEvent, Detail: "the event's row can't be read: something in it is empty"})
	return x.pass(ctx, seq)
}

// pass goes on behind events that can't be had.
func (x *examination) pass(ctx context.Context, upTo int64) error {
	if upTo <= x.at {
		return x.tree.err
	}
	x.index.gaps = append(x.index.gaps, span{x.at + 1, upTo})
	for x.at < upTo && x.tree.standIn() {
		x.at++
		if x.at == x.nextNote {
			if err := x.compareNotes(ctx); err != nil {
				return err
			}
		}
	}
	x.at = upTo
	if x.nextNote <= upTo {
		return x.compareNotes(ctx)
	}
	return x.tree.err
}

// span is a range of seqs, both ends in it.
type span struct{ first, last int64 }

type streamKey struct {
	id  uuid.UUID
	typ uint32
}

// streamState is what the events say of a stream.
type streamState struct {
	first, last int64
	version     uint32
	odd         bool // named already
	compared    bool
}

// streamCheck holds the versions of all streams: what it costs is a key of 20 bytes with a number in a map, and a state of
// 24 bytes.
type streamCheck struct {
	types map[string]uint32
	at    map[streamKey]uint32
	parts [][]streamState // so that growing copies nothing
}

const statesAtOnce = 1 << 16

func (c *streamCheck) begin() {
	c.types, c.at = make(map[string]uint32), make(map[streamKey]uint32)
}

func (c *streamCheck) state(i uint32) *streamState { return &c.parts[i/statesAtOnce][i%statesAtOnce] }

func (c *streamCheck) event(e eventstore.Recorded, problems *problems) {
	typ, known := c.types[e.Stream.Type]
	if !known {
		typ = uint32(len(c.types)) //nolint:gosec // there are a dozen types of streams
		c.types[e.Stream.Type] = typ
	}
	key := streamKey{e.Stream.ID, typ}
	i, known := c.at[key]
	if !known {
		i = uint32(len(c.at)) //nolint:gosec // 4 billion streams do not fit into memory
		c.at[key] = i
		if i%statesAtOnce == 0 {
			c.parts = append(c.parts, make([]streamState, statesAtOnce))
		}
		c.state(i).first = e.Seq
	}
	s := c.state(i)
	if e.Version != int64(s.version)+1 {
		problems.add(Problem{
			Seq: e.Seq, Kind: KindVersion,
			Detail: fmt.Sprintf("stream %s goes from version %d to %d", e.Stream, s.version, e.Version),
		})
		s.odd = true
	}
	s.version = uint32(max(0, min(e.Version, math.MaxUint32)))
	s.last = e.Seq
}
