package proofs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
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

	start    storedTree
	at       int64 // the seq up to which the log is read, or known to be missing
	read     int64 // events
	head     int64 // at the end
	lastTime time.Time
	leaf     leafHasher

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
	if start.fault != nil && start.N <= start.head {
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
		err := x.store.Scan(ctx, x.at, min(x.at+atOnce, upTo), func(e eventstore.Recorded) error {
			return x.event(ctx, e, upTo)
		})
		gap := (*eventstore.GapError)(nil)
		if err == nil {
			atOnce = min(2*atOnce, scanAtOnce)
			continue
		}
		if !errors.As(err, &gap) {
			return err
		}
		atOnce = scanLeast
		switch {
		case gap.Got == 0:
			next, err := x.nextSeq(ctx)
			if err != nil {
				return err
			}
			if err := x.missing(ctx, min(next-1, upTo)); err != nil {
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

// nextSeq is the seq of the next event there is.
func (x *examination) nextSeq(ctx context.Context) (int64, error) {
	var next *int64
	if err := x.pool.QueryRow(ctx, sqlNextSeq, x.at).Scan(&next); err != nil {
		return 0, fmt.Errorf("look for the next event after %d: %w", x.at, err)
	}
	if next == nil {
		return math.MaxInt64, nil
	}
	return *next, nil
}

func (x *examination) event(ctx context.Context, e eventstore.Recorded, of int64) error {
	x.at = e.Seq
	x.read++
	if x.read%progressEvery == 0 {
		x.progress(x.read, max(of, x.read))
	}
	if e.RecordedAt.Before(x.lastTime) {
		x.problems.add(Problem{
			Seq: e.Seq, Kind: KindTime,
			Detail: fmt.Sprintf("it was recorded at %s, before the event in front of it at %s", e.RecordedAt.Format(timeOf), x.lastTime.Format(timeOf)),
		})
	}
	x.lastTime = e.RecordedAt
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
	x.index.gaps = append(x.index.gaps, span{p.Seq, upTo})
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

// findBeyond looks for events that the log's head does not count.
func (x *examination) findBeyond(ctx context.Context, tx pgx.Tx, end storedTree) error {
	rows, err := tx.Query(ctx, sqlBeyond, end.head)
	if err != nil {
		return fmt.Errorf("look for events beyond the head: %w", err)
	}
	var seq int64
	_, err = pgx.ForEachRow(rows, []any{&seq}, func() error {
		x.problems.add(Problem{Seq: seq, Kind: KindBeyondHead, Detail: fmt.Sprintf("the event is not one of the log, whose head is at %d", end.head)})
		return nil
	})
	if err != nil {
		return fmt.Errorf("look for events beyond the head: %w", err)
	}
	return nil
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
