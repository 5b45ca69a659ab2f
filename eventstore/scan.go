package eventstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// scanPage is how many events one statement of a Scan reads: enough that the statement's cost does not show, and few
// enough that none holds back PostgreSQL's clean-up for long.
const scanPage = 50_000

// Scan calls each with the events in (after, upTo], in order. It takes the same memory however many there are: an event's
// Data and Meta are only good until each returns. upTo must not be beyond the log's head. It holds one connection of the
// pool until it returns, and PostgreSQL waits for each: one that may be slow should be given short ranges.
//
// A gap is a [*GapError], after each was called with all before it: go on behind it with Got-1 as after. An error of each
// ends the scan and is returned as it is. A row that is no event is a [*RowError], likewise: go on with its Seq as after.
func (s *Store) Scan(ctx context.Context, after, upTo int64, each func(Recorded) error) error {
	return s.scan(ctx, after, upTo, scanPage, each)
}

func (s *Store) scan(ctx context.Context, after, upTo, page int64, each func(Recorded) error) error {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return fmt.Errorf("read the log after %d: %w", after, err)
	}
	defer conn.Release()
	types := make(map[string]string)
	last := after
	for at := after; at < upTo; at += min(page, upTo-at) { // no sum is beyond upTo, so that none overflows
		err := scanRange(ctx, conn.Conn().PgConn(), at, at+min(page, upTo-at), types, func(e Recorded) error {
			if e.Seq != last+1 {
				return &GapError{Want: last + 1, Got: e.Seq}
			}
			last = e.Seq
			return each(e)
		})
		if err != nil {
			return err
		}
	}
	if last < upTo {
		return &GapError{Want: last + 1}
	}
	return nil
}

// scanFormats are the formats of eventColumns: binary for what is not text.
var scanFormats = []int16{1, 1, 0, 1, 1, 0, 0, 0, 1}

// scanRange goes past pgx to the protocol below it: how a pool is set to run statements decides there in which format rows
// come, whatever is asked for.
func scanRange(ctx context.Context, conn *pgconn.PgConn, after, upTo int64, types map[string]string, each func(Recorded) error) error {
	bounds := [][]byte{strconv.AppendInt(nil, after, 10), strconv.AppendInt(nil, upTo, 10)}
	rows := conn.ExecParams(ctx, sqlReadLog, bounds, nil, nil, scanFormats)
	defer rows.Close()
	for rows.NextRow() {
		e, err := decodeRow(rows.Values(), types)
		if err != nil {
			return fmt.Errorf("read the log after %d: %w", after, err)
		}
		if err := each(e); err != nil {
			return err
		}
	}
	if _, err := rows.Close(); err != nil {
		return fmt.Errorf("read the log after %d: %w", after, err)
	}
	return nil
}

// decodeRow makes an event of a row in scanFormats, without copying it. types keeps one string of each type.
func decodeRow(row [][]byte, types map[string]string) (Recorded, error) {
	if len(row) != 9 || len(row[0]) != 8 {
		return Recorded{}, errors.New("a row of the events is not as it should be")
	}
	if len(row[1]) != 16 || row[2] == nil || len(row[3]) != 16 || len(row[4]) != 8 || row[5] == nil || row[6] == nil || row[7] == nil || len(row[8]) != 8 {
		return Recorded{}, &RowError{Seq: int64(binary.BigEndian.Uint64(row[0]))} //nolint:gosec // the same 64 bits
	}
	intern := func(b []byte) string {
		if s, ok := types[string(b)]; ok {
			return s
		}
		s := string(b)
		types[s] = s
		return s
	}
	whole := func(b []byte) int64 { return int64(binary.BigEndian.Uint64(b)) } //nolint:gosec // the same 64 bits
	return Recorded{
		Seq: whole(row[0]), ID: [16]byte(row[1]), Stream: StreamID{Type: intern(row[2]), ID: [16]byte(row[3])},
		Version: whole(row[4]), Type: intern(row[5]), Data: row[6], Meta: row[7],
		// Microseconds since the year 2000.
		RecordedAt: time.UnixMicro(whole(row[8]) + 946_684_800_000_000).UTC(),
	}, nil
}

// SeqAt returns the seq of the last event that was recorded at or before a time, 0 if there is none. It looks at as many
// events as the log's length has binary digits: recorded_at never falls as seq rises.
//
// The answer for a time that has passed never changes. An append has its time from before its commit, so that where time
// is later than the newest event SeqAt waits for the append that is under way; a role that may only read can't, and gets
// an error.
func (s *Store) SeqAt(ctx context.Context, at time.Time) (int64, error) {
	if err := s.awaitUntil(ctx, at); err != nil {
		return 0, fmt.Errorf("find the last event of %s: %w", at.UTC().Format(time.RFC3339Nano), err)
	}
	var low, high int64
	err := pgx.BeginTxFunc(ctx, s.pool, pgx.TxOptions{AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		var q pgx.Batch
		q.Queue(sqlNoJIT)
		q.Queue(sqlSeqAt, at.UTC()).QueryRow(func(row pgx.Row) error { return row.Scan(&low, &high) })
		return tx.SendBatch(ctx, &q).Close()
	})
	if err != nil {
		return 0, fmt.Errorf("find the last event of %s: %w", at.UTC().Format(time.RFC3339Nano), err)
	}
	if low != high {
		return 0, &GapError{Want: (low + high + 1) / 2}
	}
	return low, nil
}

// awaitUntil returns when no event of a time that has passed can be appended any more.
func (s *Store) awaitUntil(ctx context.Context, at time.Time) error {
	var over bool
	if err := s.pool.QueryRow(ctx, sqlNewerThan, at.UTC()).Scan(&over); err != nil || over {
		return err
	}
	_, err := s.pool.Exec(ctx, sqlAwaitHead)
	var refused *pgconn.PgError
	if errors.As(err, &refused) && (refused.Code == "42501" || refused.Code == "25006") { // not permitted, or in a read-only copy
		return fmt.Errorf("it is later than the newest event, and whether one is on its way can't be waited for with this role or database: ask by seq: %w", err)
	}
	return err
}
