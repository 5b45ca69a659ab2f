package eventstore

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// endAtMost bounds the last round trip of a segment's transaction, also when the node is told to stop meanwhile.
const endAtMost = 30 * time.Second

// segment is the transaction in which a part of the log is handled. It takes two round trips beside those of the
// handler: one begins it, locks the checkpoint and reads the events that are expected behind it, one writes what the
// handler left for the end, moves the checkpoint and commits.
type segment struct {
	group *Group
	conn  *pgxpool.Conn
	tx    pgx.Tx

	mu          sync.Mutex // the handler's goroutine and Watermill's: the one works while the other may give up
	after, upTo int64
	head        int64     // of the log
	began       time.Time // when it was looked for
	taken       bool      // there is something to read, but another node has the lease
	of          logLife
	events      []Recorded // a part of the segment, from its first event on: it was read already
	atEnd       pgx.Batch  // what the handler left for the end
	handled     bool       // the handler has it, or had it
	moved       bool       // it is committed, with the checkpoint at upTo
	err         error      // of the handler or of the end
}

// look begins the transaction and finds the segment. expected is the checkpoint, if that is known and there is
// something behind it: the events are then read in the same round trip.
func (s *segment) look(ctx context.Context, query string, args []any) (found bool, err error) {
	row := []any{&s.after, &s.upTo, &s.head, &s.of.id, &s.of.started, &s.of.database, &s.of.table}
	scan := func(r pgx.Row) error {
		err := r.Scan(row...)
		found = err == nil
		if errors.Is(err, pgx.ErrNoRows) { // all is read, or another node has the lease
			return nil
		}
		return err
	}
	var q pgx.Batch
	q.BeginTx(pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	q.Queue(sqlBeginSegment, fmt.Sprintf("%dms", s.group.cfg.Elsewhere.Milliseconds()))
	expected, of, likely := s.group.expects()
	if !likely {
		if err := s.begin(ctx, &q); err != nil {
			return false, err
		}
		err := scan(s.tx.QueryRow(ctx, query, args...))
		return found, err
	}
	limit := s.group.limit()
	events := s.group.cfg.Tail.after(of, expected, expected+limit)
	q.Queue(query, args...).QueryRow(scan)
	var more []Recorded
	if n := int64(len(events)); n < limit {
		q.Queue(sqlReadLog, expected+n, expected+limit).Query(func(rows pgx.Rows) (err error) {
			more, err = collect(rows)
			return err
		})
	}
	if err := s.begin(ctx, &q); err != nil {
		return false, err
	}
	switch {
	case found && s.after == expected && s.of == of:
		// The statement that read more began after the one that found the segment, and may have seen more.
		s.events = append(events, more...)
		s.events = s.events[:min(int64(len(s.events)), s.upTo-s.after)]
		s.group.cfg.Tail.keep(of, s.events[min(len(events), len(s.events)):])
	case !found:
		s.taken = len(more) > 0
	}
	return found, nil
}

func (s *segment) begin(ctx context.Context, q *pgx.Batch) error {
	results := s.conn.Conn().SendBatch(ctx, q)
	s.tx = results.Tx()
	return results.Close()
}

// read returns the segment's events: what of them is there already, and the rest from the database.
func (s *segment) read(ctx context.Context) ([]Recorded, error) {
	at := s.after + int64(len(s.events))
	s.events = append(s.events, s.group.cfg.Tail.after(s.of, at, s.upTo)...)
	if at = s.after + int64(len(s.events)); at < s.upTo {
		more, err := readRange(ctx, s.tx, at, s.upTo)
		if err != nil {
			return nil, err
		}
		s.events = append(s.events, more...)
		s.group.cfg.Tail.keep(s.of, more)
	}
	if err := checkDense(s.events, s.after); err != nil {
		return nil, err
	}
	if int64(len(s.events)) != s.upTo-s.after {
		return nil, &GapError{Want: s.after + int64(len(s.events)) + 1} // the head says that there are more
	}
	return s.events, nil
}

// work hands the segment's events to project.
func (s *segment) work(ctx context.Context, project func(context.Context, pgx.Tx, []Recorded) error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.handled = true
	defer func() {
		if p := recover(); p != nil {
			s.err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	events, err := s.read(ctx)
	if err == nil {
		err = project(ctx, segmentTx{s.tx, s}, events)
	}
	if err != nil {
		s.err = fmt.Errorf("events %d to %d: %w", s.after+1, s.upTo, err)
	}
}

// QueryContext runs the one query of a group, to its end: Watermill does not look at the error that rows
// may end with, so it is found here.
func (s *segment) QueryContext(ctx context.Context, query string, args ...any) (watermillsql.Rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.began = time.Now()
	found, err := s.look(ctx, query, args)
	if err != nil {
		if s.conn.Conn().IsClosed() {
			s.group.failed(nil, err)
		} else {
			s.group.failed(s, err)
		}
		return nil, fmt.Errorf("look for the next segment: %w", err)
	}
	if !found {
		s.group.idle(s.taken)
		return &bounds{}, nil
	}
	return &bounds{after: s.after, upTo: s.upTo, left: 1}, nil
}

// ExecContext ends the transaction, unless the handler failed: it writes what was left for the end, moves the checkpoint
// and commits.
func (s *segment) ExecContext(ctx context.Context, query string, args ...any) (watermillsql.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endAtMost)
	defer cancel()
	s.atEnd.Queue(query, args...)
	s.atEnd.Queue(sqlCommit)
	if err := s.tx.SendBatch(ctx, &s.atEnd).Close(); err != nil {
		s.err = fmt.Errorf("write events %d to %d and move the checkpoint: %w", s.after+1, s.upTo, err)
		return nil, s.err
	}
	s.moved = true
	return affected(1), nil
}

// Commit tells that it is committed, else it rolls back: Watermill also commits when it stops in the middle of a segment.
func (s *segment) Commit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.moved {
		return s.giveUp()
	}
	s.conn.Release()
	s.group.succeeded(s)
	return nil
}

// Rollback takes back what was done.
func (s *segment) Rollback() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		s.group.failed(s, s.err)
	}
	return s.giveUp()
}

func (s *segment) giveUp() error {
	defer s.conn.Release()
	if s.tx == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.tx.Rollback(ctx)
}

// segmentTx is a segment's transaction for its handler.
type segmentTx struct {
	pgx.Tx
	segment *segment
}

// AtEnd carries out statements whose results nobody needs. In a transaction of a [Group] they wait for its end and go with
// the commit, in one round trip: nothing that is carried out before may depend on them. In any other they are carried out
// at once.
func AtEnd(ctx context.Context, tx pgx.Tx, q *pgx.Batch) error {
	s, ok := tx.(segmentTx)
	if !ok {
		return tx.SendBatch(ctx, q).Close()
	}
	s.segment.atEnd.QueuedQueries = append(s.segment.atEnd.QueuedQueries, q.QueuedQueries...)
	return nil
}
