package eventstore

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

// transactTimeout bounds one transaction, the wait for the head's lock included.
const transactTimeout = 30 * time.Second

// transact stores a batch in one transaction of two round trips: lock the head and look up, then write
// and commit. The error is of the whole batch; an [*unknownOutcomeError] if the commit may have happened.
func (s *Store) transact(ctx context.Context, requests []*request) ([]outcome, error) {
	ctx, cancel := context.WithTimeout(ctx, transactTimeout)
	defer cancel()
	outcomes, err := s.tryTransact(ctx, requests)
	switch {
	case isNoPartition(err): // the keeper is late: make what is missing, then try again
		if err := s.addPartitions(ctx, 0); err != nil {
			return nil, err
		}
	case isStale(err): // a server that was restarted: what waits in the pool is as dead as what was just tried
		s.pool.Reset()
	default:
		return outcomes, err
	}
	return s.tryTransact(ctx, requests)
}

func (s *Store) tryTransact(ctx context.Context, requests []*request) ([]outcome, error) {
	conn, err := s.pool.Acquire(ctx)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	defer conn.Release()

	if b, ok := asExpected(requests); ok {
		statement, err := conn.Conn().Prepare(ctx, "append_events", sqlAppend) // the first time only
		if err != nil {
			return nil, fmt.Errorf("prepare to append: %w", err)
		}
		stored, err := b.writeAsExpected(ctx, conn, statement)
		if isUnprepared(err) { // somebody took the statement away; the next connection prepares it anew
			err = errors.Join(err, conn.Conn().Close(ctx))
		}
		switch {
		case err != nil && (spoken(err) || pgconn.SafeToRetry(err)):
			return nil, err
		case err != nil:
			return nil, &unknownOutcomeError{oldHead: s.head.Load(), batch: b, cause: err}
		case stored:
			s.advanced(b.head)
			return b.outcomes, nil
		}
	}

	b := newBatch(requests)
	if err := b.lookUp(ctx, conn); err != nil {
		return nil, errors.Join(err, rollback(ctx, conn))
	}
	b.decide()
	if b.head == b.oldHead && len(b.keys.scope) == 0 {
		return b.outcomes, rollback(ctx, conn) // nothing to write
	}
	if err := b.write(ctx, conn); err != nil {
		if spoken(err) {
			return nil, errors.Join(err, rollback(ctx, conn))
		}
		return nil, &unknownOutcomeError{oldHead: b.oldHead, batch: b, cause: err}
	}
	s.advanced(b.head)
	return b.outcomes, nil
}

// advanced takes note of the head for the partition keeper.
func (s *Store) advanced(head int64) {
	s.head.Store(head)
	select {
	case s.grown <- struct{}{}:
	default:
	}
}

// spoken: the server said why it refused, so nothing was committed.
func spoken(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && !isShutdown(pgErr)
}

// batch is one transaction: what it found, and what it decided to write.
type batch struct {
	requests []*request
	outcomes []outcome

	relative      bool  // seqs and times are not settled yet: see asExpected
	oldHead, head int64 // 0 and on while relative
	recordedAt    time.Time
	streams       []streamState
	at            map[StreamID]int // a stream's place in streams
	known         map[[2]string]storedKey

	events eventRows
	keys   keyRows
}

// streamState is a stream that requests name.
type streamState struct {
	id          StreamID
	found       int64 // its version before the batch, or what is assumed to be
	version     int64 // as it will be after the writes decided so far
	first, last int64 // seqs of its events in the batch; 0: there are none
}

type storedKey struct {
	fingerprint []byte
	result      Result
}

type eventRows struct {
	id, streamID    uuids
	streamType, typ []string
	version         []int64
	data, meta      [][]byte
}

type streamRows struct {
	streamType     []string
	streamID       uuids
	found, version []int64
	first, last    []int64
}

type keyRows struct {
	scope, key  []string
	fingerprint [][]byte
	first, last []int64
	answer      []*string
}

func newBatch(requests []*request) *batch {
	streams, events := 0, 0
	for _, r := range requests {
		streams += len(r.Streams)
		events += r.events
	}
	return &batch{
		requests: requests,
		outcomes: make([]outcome, len(requests)),
		streams:  make([]streamState, 0, streams),
		at:       make(map[StreamID]int, streams),
		known:    make(map[[2]string]storedKey),
		events: eventRows{
			id: make(uuids, 0, events), streamID: make(uuids, 0, events),
			streamType: make([]string, 0, events), typ: make([]string, 0, events), version: make([]int64, 0, events),
			data: make([][]byte, 0, events), meta: make([][]byte, 0, events),
		},
	}
}

// name takes note of a stream at a version, unless a request before has named it.
func (b *batch) name(id StreamID, version int64) {
	if _, known := b.at[id]; !known {
		b.at[id] = len(b.streams)
		b.streams = append(b.streams, streamState{id: id, found: version, version: version})
	}
}

func (b *batch) stream(id StreamID) *streamState { return &b.streams[b.at[id]] }

// streamRows are the streams that get events, and those that are only held to a version.
func (b *batch) streamRows() (moved, checked streamRows) {
	for i := range b.streams {
		if st := &b.streams[i]; st.last > 0 {
			moved.add(st)
		} else {
			checked.add(st)
		}
	}
	return moved, checked
}

func (rows *streamRows) add(st *streamState) {
	rows.streamType = append(rows.streamType, st.id.Type)
	rows.streamID = append(rows.streamID, pgUUID(st.id.ID))
	rows.found = append(rows.found, st.found)
	rows.version = append(rows.version, st.version)
	rows.first = append(rows.first, st.first)
	rows.last = append(rows.last, st.last)
}

// lookUp opens the transaction, takes the head's lock, and reads the versions and keys that the requests
// name: one round trip.
func (b *batch) lookUp(ctx context.Context, conn *pgxpool.Conn) error {
	var scopes, keys []string
	for _, r := range b.requests {
		for _, sa := range r.Streams {
			b.name(sa.Stream, 0)
		}
		if r.Key != nil {
			scopes = append(scopes, r.Key.Scope)
			keys = append(keys, r.Key.Key)
		}
	}

	_, streams := b.streamRows() // all of them, in their order: nothing is decided yet
	var q pgx.Batch
	q.Queue(sqlBegin)
	q.Queue(sqlLockHead).QueryRow(func(row pgx.Row) error {
		return row.Scan(&b.oldHead, &b.recordedAt)
	})
	q.Queue(sqlLookupStreams, streams.streamType, streams.streamID).Query(func(rows pgx.Rows) error {
		var n int
		var version int64
		_, err := pgx.ForEachRow(rows, []any{&n, &version}, func() error {
			b.streams[n-1].found, b.streams[n-1].version = version, version
			return nil
		})
		return err
	})
	if len(keys) > 0 {
		q.Queue(sqlLookupKeys, scopes, keys).Query(func(rows pgx.Rows) error {
			return scanKeys(rows, func(n int, k storedKey) { b.known[[2]string{scopes[n], keys[n]}] = k })
		})
	}
	if err := conn.SendBatch(ctx, &q).Close(); err != nil {
		return fmt.Errorf("lock the log and look up: %w", err)
	}
	b.recordedAt = b.recordedAt.UTC()
	b.head = b.oldHead
	return nil
}

func scanKeys(rows pgx.Rows, found func(n int, k storedKey)) error {
	var n int
	var k storedKey
	var answer []byte
	_, err := pgx.ForEachRow(rows, []any{&n, &k.fingerprint, &k.result.FirstSeq, &k.result.LastSeq, &k.result.RecordedAt, &answer}, func() error {
		stored := k
		stored.fingerprint = bytes.Clone(k.fingerprint)
		stored.result.RecordedAt = k.result.RecordedAt.UTC()
		stored.result.Answer = bytes.Clone(answer)
		stored.result.Replayed = true
		found(n-1, stored)
		return nil
	})
	return err
}

// decide goes through the requests in their order and settles each: repeated, in conflict, or stored. A
// request sees the effect of those before it, so two that expect the same version can't both pass.
func (b *batch) decide() {
	for i, r := range b.requests {
		b.outcomes[i].result, b.outcomes[i].err = b.decideOne(r)
	}
}

func (b *batch) decideOne(r *request) (Result, error) {
	if r.Key != nil {
		if k, ok := b.known[[2]string{r.Key.Scope, r.Key.Key}]; ok {
			return k.repeated(*r.Key)
		}
	}
	for _, sa := range r.Streams {
		if actual := b.stream(sa.Stream).version; sa.Expected != AnyVersion && sa.Expected != actual {
			return Result{}, &ConflictError{Stream: sa.Stream, Expected: sa.Expected, Actual: actual}
		}
	}
	result := Result{LastSeq: b.head, RecordedAt: b.recordedAt, Answer: r.Answer}
	if r.events > 0 {
		result.FirstSeq = b.head + 1
	}
	for _, sa := range r.Streams {
		b.add(sa, r.meta)
	}
	result.LastSeq = b.head
	if r.Key != nil {
		b.addKey(*r.Key, result)
	}
	return result, nil
}

func (k storedKey) repeated(asked IdempotencyKey) (Result, error) {
	if !bytes.Equal(k.fingerprint, asked.Fingerprint) {
		return Result{}, ErrIdempotencyMismatch
	}
	return k.result, nil
}

func (b *batch) add(sa StreamAppend, meta []byte) {
	if len(sa.Events) == 0 {
		return
	}
	st := b.stream(sa.Stream)
	if st.first == 0 {
		st.first = b.head + 1
	}
	for _, e := range sa.Events {
		st.version++
		b.head++
		b.events.id = append(b.events.id, pgUUID(e.ID))
		b.events.streamType = append(b.events.streamType, sa.Stream.Type)
		b.events.streamID = append(b.events.streamID, pgUUID(sa.Stream.ID))
		b.events.version = append(b.events.version, st.version)
		b.events.typ = append(b.events.typ, e.Type)
		b.events.data = append(b.events.data, e.Data)
		b.events.meta = append(b.events.meta, meta)
	}
	st.last = b.head
}

func (b *batch) addKey(k IdempotencyKey, result Result) {
	result.Replayed = true // to whoever repeats it, in this batch already
	b.known[[2]string{k.Scope, k.Key}] = storedKey{fingerprint: k.Fingerprint, result: result}
	rows := &b.keys
	rows.scope = append(rows.scope, k.Scope)
	rows.key = append(rows.key, k.Key)
	rows.fingerprint = append(rows.fingerprint, append([]byte{}, k.Fingerprint...)) // not NULL when empty
	rows.first = append(rows.first, result.FirstSeq)
	rows.last = append(rows.last, result.LastSeq)
	rows.answer = append(rows.answer, text(result.Answer))
}

// uuids encode without the detour over text that a uuid.UUID takes as a driver.Valuer.
type uuids = pgtype.FlatArray[pgtype.UUID]

func pgUUID(id uuid.UUID) pgtype.UUID { return pgtype.UUID{Bytes: id, Valid: true} }

func text(data json.RawMessage) *string {
	if data == nil {
		return nil
	}
	s := string(data)
	return &s
}

// asText makes of JSON what every way to send a parameter takes for text.
func asText(data [][]byte) []string {
	all := make([]string, len(data))
	for i, d := range data {
		all[i] = string(d)
	}
	return all
}

// write stores what was decided and commits: one round trip.
func (b *batch) write(ctx context.Context, conn *pgxpool.Conn) error {
	var q pgx.Batch
	if b.head > b.oldHead {
		e := &b.events
		st, _ := b.streamRows()
		q.Queue(sqlInsertEvents, b.oldHead, b.recordedAt, e.id, e.streamType, e.streamID, e.version, e.typ, asText(e.data), asText(e.meta))
		q.Queue(sqlUpsertStreams, st.streamType, st.streamID, st.version, st.first, st.last)
		q.Queue(sqlMoveHead, b.head, b.recordedAt)
		q.Queue(sqlNotify, EventsChannel, strconv.FormatInt(b.head, 10))
	}
	if k := &b.keys; len(k.scope) > 0 {
		q.Queue(sqlInsertKeys, k.scope, k.key, k.fingerprint, k.first, k.last, k.answer, b.recordedAt)
	}
	q.Queue(sqlCommit)
	if err := conn.SendBatch(ctx, &q).Close(); err != nil {
		return fmt.Errorf("write and commit: %w", err)
	}
	return nil
}

// rollback leaves the connection without a transaction, or closes it so that the pool throws it away.
func rollback(ctx context.Context, conn *pgxpool.Conn) error {
	if conn.Conn().IsClosed() {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	if _, err := conn.Exec(ctx, sqlRollback); err != nil {
		return errors.Join(fmt.Errorf("roll back: %w", err), conn.Conn().Close(ctx))
	}
	return nil
}

// isUnprepared: the prepared statement is gone, or not what it was: the session was reset, or the function was replaced.
func isUnprepared(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && slices.Contains([]string{"26000", "0A000"}, pgErr.Code)
}

// isNoPartition: PostgreSQL found no partition for a row.
func isNoPartition(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && pgErr.Code == "23514" && pgErr.TableName == "events" && pgErr.ConstraintName == ""
}

// isShutdown: the server ends the connection, which says nothing about a commit that was on its way.
func isShutdown(err *pgconn.PgError) bool {
	return slices.Contains([]string{"57P01", "57P02", "57P03", "57P05"}, err.Code) || err.Code[:2] == "08"
}

// isStale: the connection was lost before anything was committed, and another may do better.
func isStale(err error) bool {
	var unknown *unknownOutcomeError
	if err == nil || errors.As(err, &unknown) {
		return false
	}
	var pgErr *pgconn.PgError
	if errors.As(err, &pgErr) {
		return isShutdown(pgErr) || pgErr.Code == "25P03" // this process was frozen, and its transaction was ended
	}
	return !errors.Is(err, context.DeadlineExceeded)
}
