package proofs

import (
	"context"
	"encoding/binary"
	"fmt"
	"hash/maphash"
	"sort"
	"strconv"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

const (
	bucketEvents = 1024
	// maxBuckets is how many buckets that do not agree are looked at event by event.
	maxBuckets = 20
)

// indexCheck compares the audit's index, which comes in no order, with the events, in little memory: of each 1024 seqs both
// have the same sum of hashes, or else are looked at closely. The hashes have a seed of their own, so nobody can make rows
// that happen to have the same.
type indexCheck struct {
	upTo    int64 // what the index had to hold at the beginning
	seed    maphash.Seed
	buffer  []byte
	buckets []bucket
	gaps    []span
}

type bucket struct {
	sum    uint64
	events int64
}

func (c *indexCheck) begin(upTo int64) { c.upTo, c.seed = upTo, maphash.MakeSeed() }

func (c *indexCheck) event(e eventstore.Recorded) {
	if e.Seq <= c.upTo {
		c.add(e.Seq, c.hashOfEvent(e), 1)
	}
}

func (c *indexCheck) hashOfEvent(e eventstore.Recorded) uint64 {
	keys := replay.KeysOf(e)
	c.buffer = binary.BigEndian.AppendUint64(c.buffer[:0], uint64(e.Seq)) //nolint:gosec // the same 64 bits
	c.buffer = append(c.buffer, e.Type...)
	c.buffer = append(append(c.buffer, 0), keys.Actor...)
	if c.buffer = append(c.buffer, 0); keys.OrderID.Valid {
		c.buffer = append(c.buffer, keys.OrderID.UUID[:]...)
	}
	return maphash.Bytes(c.seed, c.buffer)
}

func (c *indexCheck) hashOfRow(row [][]byte) uint64 {
	c.buffer = append(c.buffer[:0], row[0]...)
	c.buffer = append(append(c.buffer, row[1]...), 0)
	c.buffer = append(append(c.buffer, row[2]...), 0)
	c.buffer = append(c.buffer, row[3]...)
	return maphash.Bytes(c.seed, c.buffer)
}

func (c *indexCheck) add(seq int64, hash uint64, sign int64) {
	i := (seq - 1) / bucketEvents
	for int64(len(c.buckets)) <= i {
		c.buckets = append(c.buckets, bucket{})
	}
	c.buckets[i].sum += uint64(sign) * hash //nolint:gosec // added or taken away, in the arithmetic of 64 bits
	c.buckets[i].events += sign
}

// inGap says that it is known already that the event is missing.
func (c *indexCheck) inGap(seq int64) bool {
	i := sort.Search(len(c.gaps), func(i int) bool { return c.gaps[i].last >= seq })
	return i < len(c.gaps) && c.gaps[i].first <= seq
}

// compareIndex takes the rows of the index away from what the events came to.
func (x *examination) compareIndex(ctx context.Context, tx pgx.Tx, end storedTree) error {
	c := &x.index
	known := int64(len(c.buckets)) * bucketEvents
	var later int64
	err := eachRow(ctx, tx.Conn().PgConn(), sqlIndex, nil, func(row [][]byte) error {
		if len(row) != 4 || len(row[0]) != 8 {
			x.problems.add(Problem{Kind: KindIndex, Detail: "the audit's index has a row without a seq"})
			return nil
		}
		seq := whole(row[0])
		if row[1] == nil || row[2] == nil {
			x.problems.add(Problem{Seq: seq, Kind: KindIndex, zero: seq == 0, Detail: "the row of the audit's index is not whole"})
		}
		switch {
		case seq < 1 || seq > max(end.position, c.upTo) || seq <= c.upTo && seq > known:
			x.problems.add(Problem{Seq: seq, Kind: KindIndex, zero: seq == 0, Detail: "the audit's index has a row for an event that it can't have"})
		case seq > c.upTo:
			later++
		default:
			c.add(seq, c.hashOfRow(row), -1)
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("compare the audit's index: %w", err)
	}
	if want := max(0, end.position-c.upTo); later != want {
		x.problems.add(Problem{
			Seq: c.upTo + 1, UpTo: max(c.upTo+1, end.position), Kind: KindIndex,
			Detail: fmt.Sprintf("the audit's index has %d rows for %d events", later, want),
		})
	}
	looked := 0
	for i, b := range c.buckets {
		if b == (bucket{}) {
			continue
		}
		in := span{int64(i)*bucketEvents + 1, min(int64(i+1)*bucketEvents, c.upTo)}
		if looked++; looked > maxBuckets {
			x.problems.add(Problem{Seq: in.first, UpTo: in.last, Kind: KindIndex, Detail: "the audit's index does not agree with the events"})
			continue
		}
		if err := x.compareClosely(ctx, tx, in); err != nil {
			return fmt.Errorf("compare the audit's index: %w", err)
		}
	}
	return nil
}

// compareClosely finds what in a range of the index does not agree with the events.
func (x *examination) compareClosely(ctx context.Context, tx pgx.Tx, in span) error {
	c := &x.index
	rows := make(map[int64][]uint64)
	bounds := [][]byte{strconv.AppendInt(nil, in.first-1, 10), strconv.AppendInt(nil, in.last, 10)}
	err := eachRow(ctx, tx.Conn().PgConn(), sqlIndexRange, bounds, func(row [][]byte) error {
		rows[whole(row[0])] = append(rows[whole(row[0])], c.hashOfRow(row))
		return nil
	})
	if err != nil {
		return err
	}
	events := make(map[int64]uint64)
	list, err := tx.Query(ctx, sqlEnvelopes, in.first, in.last)
	if err != nil {
		return err
	}
	var e eventstore.Recorded
	_, err = pgx.ForEachRow(list, []any{&e.Seq, &e.Type, &e.Data, &e.Meta}, func() error {
		events[e.Seq] = c.hashOfEvent(e)
		return nil
	})
	if err != nil {
		return err
	}
	for seq := in.first; seq <= in.last; seq++ {
		hash, there := events[seq]
		found := rows[seq]
		detail := ""
		switch {
		case there && len(found) == 0:
			detail = "the event is not in the audit's index"
		case there && len(found) > 1:
			detail = fmt.Sprintf("the event is in the audit's index %d times", len(found))
		case there && found[0] != hash:
			detail = "the audit's index says something else of the event than is in it"
		case !there && len(found) > 0 && !c.inGap(seq):
			detail = "the audit's index has a row for an event that is not there"
		}
		if detail != "" {
			x.problems.add(Problem{Seq: seq, Kind: KindIndex, Detail: detail})
		}
	}
	return nil
}
