package proofs

import (
	"context"
	"encoding/binary"
	"fmt"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderlog/orderlog/eventstore"
)

// eachRow runs a statement on the protocol below pgx, with all columns in the binary format: nothing is allocated for a
// row, which is good until each returns.
func eachRow(ctx context.Context, conn *pgconn.PgConn, sql string, args [][]byte, each func(row [][]byte) error) error {
	rows := conn.ExecParams(ctx, sql, args, nil, nil, []int16{1})
	for rows.NextRow() {
		if err := each(rows.Values()); err != nil {
			_, _ = rows.Close()
			return err
		}
	}
	_, err := rows.Close()
	return err
}

// whole reads a bigint in the binary format.
func whole(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) } //nolint:gosec // the same 64 bits

// compareStreams compares the table of streams with what the events say.
func (x *examination) compareStreams(ctx context.Context, tx pgx.Tx, _ storedTree) error {
	c := &x.streams
	err := eachRow(ctx, tx.Conn().PgConn(), sqlStreams, nil, func(row [][]byte) error {
		if len(row) != 5 || len(row[1]) != 16 || len(row[2]) != 8 || len(row[3]) != 8 || len(row[4]) != 8 {
			x.problems.add(Problem{Kind: KindStream, Detail: fmt.Sprintf("the table of streams has a row that can't be read: %q", row)})
			return nil
		}
		version, first, last := whole(row[2]), whole(row[3]), whole(row[4])
		typ, known := c.types[string(row[0])]
		i, found := c.at[streamKey{uuid.UUID(row[1]), typ}]
		if !known || !found {
			x.problems.add(Problem{
				Seq: max(0, last), Kind: KindStream,
				Detail: fmt.Sprintf("the table of streams has %s/%s at version %d, but no event is of it", row[0], uuid.UUID(row[1]), version),
			})
			return nil
		}
		s := c.state(i)
		if s.compared {
			x.problems.add(Problem{Seq: s.last, Kind: KindStream, Detail: fmt.Sprintf(
				"the table of streams has %s/%s several times", row[0], uuid.UUID(row[1]))})
			return nil
		}
		s.compared = true
		if s.odd || version == int64(s.version) && first == s.first && last == s.last {
			return nil
		}
		// An event that is missing at the end of the stream is what the row names.
		seq := s.last
		if last > s.last {
			seq = last
		}
		x.problems.add(Problem{Seq: seq, Kind: KindStream, Detail: fmt.Sprintf(
			"the table of streams has %s/%s at version %d (seq %d to %d), but by the events it is at version %d (seq %d to %d)",
			row[0], uuid.UUID(row[1]), version, first, last, s.version, s.first, s.last)})
		return nil
	})
	if err != nil {
		return fmt.Errorf("compare the streams: %w", err)
	}
	x.findUnlisted()
	return nil
}

// findUnlisted names the streams that have events and no row.
func (x *examination) findUnlisted() {
	c := &x.streams
	unlisted := 0
	for key, i := range c.at {
		s := c.state(i)
		if s.compared || s.odd {
			continue
		}
		if unlisted++; unlisted > maxProblems {
			continue
		}
		id := eventstore.StreamID{ID: key.id}
		for name, typ := range c.types {
			if typ == key.typ {
				id.Type = name
			}
		}
		x.problems.add(Problem{Seq: s.last, Kind: KindStream, Detail: fmt.Sprintf("stream %s is not in the table of streams", id)})
	}
	x.problems.count += max(0, unlisted-maxProblems)
	slices.SortFunc(x.problems.byKind[KindStream], func(a, b Problem) int { return int(max(-1, min(1, a.Seq-b.Seq))) })
}
