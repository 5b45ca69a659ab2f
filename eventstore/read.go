package eventstore

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

// querier is what reads: a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	SendBatch(ctx context.Context, b *pgx.Batch) pgx.BatchResults
}

// Head returns the end of the log.
func (s *Store) Head(ctx context.Context) (Head, error) {
	var h Head
	if err := s.pool.QueryRow(ctx, sqlHead).Scan(&h.LogID, &h.Seq, &h.RecordedAt); err != nil {
		return Head{}, fmt.Errorf("read the log's head: %w", err)
	}
	h.RecordedAt = h.RecordedAt.UTC()
	return h, nil
}

// ReadStream returns the events of a stream after a version (0: from the start), in order; none if there
// is no such stream.
func (s *Store) ReadStream(ctx context.Context, id StreamID, afterVersion int64) ([]Recorded, error) {
	streams, err := readStreams(ctx, s.pool, []StreamID{id}, afterVersion)
	return streams[id], err
}

// ReadStreams returns the whole of several streams, each in order. One that does not exist is not in the
// map. The streams are not of one snapshot: append with their versions as expected ones.
func (s *Store) ReadStreams(ctx context.Context, ids []StreamID) (map[StreamID][]Recorded, error) {
	return readStreams(ctx, s.pool, ids, 0)
}

// Last is the newest event of a stream.
type Last struct {
	Recorded
	// Age is how long ago it was recorded, by the database's clock, which all nodes share. Never below 0.
	Age time.Duration
}

// ReadLast returns the newest event of each of several streams, at a cost that depends neither on how long
// they are nor on the log: for streams whose every event says all there is to know. One that does not exist is
// not in the map. All are of one snapshot.
func (s *Store) ReadLast(ctx context.Context, ids []StreamID) (map[StreamID]Last, error) {
	types, streamIDs := split(ids)
	rows, err := s.pool.Query(ctx, sqlStreamBounds, types, streamIDs)
	if err != nil {
		return nil, fmt.Errorf("find streams: %w", err)
	}
	var seqs []int64
	var n int
	var first, newest int64
	_, err = pgx.ForEachRow(rows, []any{&n, &first, &newest}, func() error {
		seqs = append(seqs, newest)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find streams: %w", err)
	}
	last := make(map[StreamID]Last, len(seqs))
	if len(seqs) == 0 {
		return last, nil
	}
	if rows, err = s.pool.Query(ctx, sqlReadLast, seqs); err != nil {
		return nil, fmt.Errorf("read the newest events of streams: %w", err)
	}
	all, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (l Last, err error) {
		var age int64 // microseconds
		err = row.Scan(append([]any{&age}, l.columns()...)...)
		l.RecordedAt, l.Age = l.RecordedAt.UTC(), time.Duration(age)*time.Microsecond
		return l, err
	})
	if err != nil {
		return nil, fmt.Errorf("read the newest events of streams: %w", err)
	}
	for _, l := range all {
		last[l.Stream] = l
	}
	return last, nil
}

// split returns streams as the arrays that statements take.
func split(ids []StreamID) ([]string, uuids) {
	types, streamIDs := make([]string, len(ids)), make(uuids, len(ids))
	for i, id := range ids {
		types[i], streamIDs[i] = id.Type, pgUUID(id.ID)
	}
	return types, streamIDs
}

func readStreams(ctx context.Context, db querier, ids []StreamID, afterVersion int64) (map[StreamID][]Recorded, error) {
	types, streamIDs := split(ids)
	rows, err := db.Query(ctx, sqlStreamBounds, types, streamIDs)
	if err != nil {
		return nil, fmt.Errorf("find streams: %w", err)
	}
	streams := make(map[StreamID][]Recorded, len(ids))
	var q pgx.Batch
	var n int
	var first, last int64
	_, err = pgx.ForEachRow(rows, []any{&n, &first, &last}, func() error {
		id := ids[n-1]
		q.Queue(sqlReadStream, id.ID, id.Type, afterVersion, first, last).Query(func(rows pgx.Rows) error {
			events, err := collect(rows)
			streams[id] = events
			return err
		})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("find streams: %w", err)
	}
	if q.Len() == 0 {
		return streams, nil
	}
	if err := db.SendBatch(ctx, &q).Close(); err != nil {
		return nil, fmt.Errorf("read streams: %w", err)
	}
	return streams, nil
}

// ReadLog returns the events after a seq, in order, at most limit of them. A gap is a [*GapError].
func (s *Store) ReadLog(ctx context.Context, after int64, limit int) ([]Recorded, error) {
	events, err := readRange(ctx, s.pool, after, after+int64(limit))
	if err != nil {
		return nil, err
	}
	return events, checkDense(events, after)
}

// readRange returns the events in (after, upTo].
func readRange(ctx context.Context, db querier, after, upTo int64) ([]Recorded, error) {
	rows, err := db.Query(ctx, sqlReadLog, after, upTo)
	if err != nil {
		return nil, fmt.Errorf("read the log after %d: %w", after, err)
	}
	events, err := collect(rows)
	if err != nil {
		return nil, fmt.Errorf("read the log after %d: %w", after, err)
	}
	return events, nil
}

func checkDense(events []Recorded, after int64) error {
	for i, e := range events {
		if want := after + int64(i) + 1; e.Seq != want {
			return &GapError{Want: want, Got: e.Seq}
		}
	}
	return nil
}

func collect(rows pgx.Rows) ([]Recorded, error) {
	return pgx.CollectRows(rows, func(row pgx.CollectableRow) (Recorded, error) {
		var e Recorded
		err := row.Scan(e.columns()...)
		e.RecordedAt = e.RecordedAt.UTC()
		return e, err
	})
}

// columns is where eventColumns are scanned into. Data and Meta as bytes: into JSON of whatever kind pgx would parse them.
func (e *Recorded) columns() []any {
	return []any{
		&e.Seq, (*[16]byte)(&e.ID), &e.Stream.Type, (*[16]byte)(&e.Stream.ID), &e.Version, &e.Type,
		(*[]byte)(&e.Data), (*[]byte)(&e.Meta), &e.RecordedAt,
	}
}

// LookupKey returns what an idempotency key was used for, if it was; [ErrIdempotencyMismatch] if that was
// for another request.
func (s *Store) LookupKey(ctx context.Context, k IdempotencyKey) (Result, bool, error) {
	rows, err := s.pool.Query(ctx, sqlLookupKeys, []string{k.Scope}, []string{k.Key})
	if err != nil {
		return Result{}, false, fmt.Errorf("look up an idempotency key: %w", err)
	}
	var stored *storedKey
	if err := scanKeys(rows, func(_ int, k storedKey) { stored = &k }); err != nil {
		return Result{}, false, fmt.Errorf("look up an idempotency key: %w", err)
	}
	if stored == nil {
		return Result{}, false, nil
	}
	result, err := stored.repeated(k)
	return result, err == nil, err
}
