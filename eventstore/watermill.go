package eventstore

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
)

// The statements of a group. The head is read in the snapshot that decides, without locking it: every
// event up to it is visible to the statements that follow.
const (
	sqlNextSegment = `
SELECT c.position, least(h.seq, c.position + $2)
FROM checkpoints c CROSS JOIN log_head h
WHERE c.group_name = $1 AND c.position < h.seq
FOR UPDATE OF c SKIP LOCKED`

	sqlMoveCheckpoint = `
UPDATE checkpoints SET position = $3, updated_at = clock_timestamp(), failures = 0, failed_seq = NULL, last_error = NULL, failed_at = NULL
WHERE group_name = $1 AND position = $2`

	// What a group writes follows from the log, so after a crash of the database its last moments are
	// derived again; waiting for the disk at each segment would only hold up the appends.
	sqlNoWaitForDisk = `SET LOCAL synchronous_commit = off`
)

// beginner begins the transactions of a group.
type beginner struct{ g *Group }

func (b beginner) BeginTx(ctx context.Context, _ *sql.TxOptions) (watermillsql.Tx, error) {
	tx, err := b.g.pool.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.ReadCommitted})
	if err != nil {
		b.g.failed(nil, err)
		return nil, err
	}
	return &segment{group: b.g, tx: tx}, nil
}

func (beginner) ExecContext(context.Context, string, ...any) (watermillsql.Result, error) {
	return nil, errors.New("eventstore: not used outside a transaction")
}

func (beginner) QueryContext(context.Context, string, ...any) (watermillsql.Rows, error) {
	return nil, errors.New("eventstore: not used outside a transaction")
}

// QueryContext runs the one query of a group, to its end: Watermill does not look at the error that rows
// may end with, so it is found here.
func (s *segment) QueryContext(ctx context.Context, query string, args ...any) (watermillsql.Rows, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	err := s.tx.QueryRow(ctx, query, args...).Scan(&s.after, &s.upTo)
	if errors.Is(err, pgx.ErrNoRows) { // all is read, or another node has the lease
		s.group.idle()
		return &bounds{}, nil
	}
	if err != nil {
		s.group.failed(s, err)
		return nil, fmt.Errorf("look for the next segment: %w", err)
	}
	return &bounds{after: s.after, upTo: s.upTo, left: 1}, nil
}

// ExecContext moves the checkpoint, unless the handler failed.
func (s *segment) ExecContext(ctx context.Context, query string, args ...any) (watermillsql.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, s.err
	}
	var q pgx.Batch
	q.Queue(sqlNoWaitForDisk)
	q.Queue(query, args...)
	results := s.tx.SendBatch(ctx, &q)
	_, err := results.Exec()
	tag, moveErr := results.Exec()
	err = errors.Join(err, moveErr, results.Close())
	if err == nil && tag.RowsAffected() != 1 {
		err = fmt.Errorf("the checkpoint of %s is not at %d any more", s.group.cfg.Name, s.after)
	}
	if err != nil {
		s.err = fmt.Errorf("move the checkpoint to %d: %w", s.upTo, err)
	}
	s.moved = s.err == nil
	return affected(tag.RowsAffected()), s.err
}

// Commit commits if the checkpoint has moved, else it rolls back: Watermill also commits when it stops in
// the middle of a segment.
func (s *segment) Commit() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if !s.moved {
		return s.tx.Rollback(ctx)
	}
	if err := s.tx.Commit(ctx); err != nil {
		s.group.failed(s, err)
		return err
	}
	s.group.succeeded(s.upTo)
	return nil
}

func (s *segment) Rollback() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		s.group.failed(s, s.err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	return s.tx.Rollback(ctx)
}

type affected int64

func (a affected) RowsAffected() (int64, error) { return int64(a), nil }

// bounds are the rows of sqlNextSegment: one or none.
type bounds struct {
	after, upTo int64
	left        int
}

func (b *bounds) Next() bool   { b.left--; return b.left >= 0 }
func (b *bounds) Close() error { return nil }
func (b *bounds) Scan(dest ...any) error {
	*dest[0].(*int64), *dest[1].(*int64) = b.after, b.upTo
	return nil
}

// schemaAdapter makes the events table the topic: a message is a segment of the log, whose events the
// handler reads in the same transaction.
type schemaAdapter struct{ g *Group }

func (a schemaAdapter) SelectQuery(watermillsql.SelectQueryParams) (watermillsql.Query, error) {
	return watermillsql.Query{Query: sqlNextSegment, Args: []any{a.g.cfg.Name, a.g.limit()}}, nil
}

func (a schemaAdapter) UnmarshalMessage(p watermillsql.UnmarshalMessageParams) (watermillsql.Row, error) {
	var after, upTo int64
	if err := p.Row.Scan(&after, &upTo); err != nil {
		return watermillsql.Row{}, err
	}
	msg := message.NewMessage(fmt.Sprintf("%s:%d-%d", a.g.cfg.Name, after+1, upTo), nil)
	return watermillsql.Row{Offset: upTo, Msg: msg, ExtraData: map[string]any{"after": after}}, nil
}

func (schemaAdapter) InsertQuery(watermillsql.InsertQueryParams) (watermillsql.Query, error) {
	return watermillsql.Query{}, errors.New("eventstore: events are appended through Store.Append, not published")
}

func (schemaAdapter) SchemaInitializingQueries(watermillsql.SchemaInitializingQueriesParams) ([]watermillsql.Query, error) {
	return nil, nil // migrations do it
}

func (schemaAdapter) SubscribeIsolationLevel() sql.IsolationLevel { return sql.LevelReadCommitted }

// offsetsAdapter keeps a group's offset in checkpoints.
type offsetsAdapter struct{ g *Group }

func (a offsetsAdapter) AckMessageQuery(p watermillsql.AckMessageQueryParams) (watermillsql.Query, error) {
	return watermillsql.Query{Query: sqlMoveCheckpoint, Args: []any{a.g.cfg.Name, p.LastRow.ExtraData["after"], p.LastRow.Offset}}, nil
}

func (offsetsAdapter) ConsumedMessageQuery(watermillsql.ConsumedMessageQueryParams) (watermillsql.Query, error) {
	return watermillsql.Query{}, nil
}

func (offsetsAdapter) NextOffsetQuery(watermillsql.NextOffsetQueryParams) (watermillsql.Query, error) {
	return watermillsql.Query{}, nil // part of sqlNextSegment
}

func (offsetsAdapter) SchemaInitializingQueries(watermillsql.OffsetsSchemaInitializingQueriesParams) ([]watermillsql.Query, error) {
	return nil, nil
}

func (offsetsAdapter) BeforeSubscribingQueries(watermillsql.BeforeSubscribingQueriesParams) ([]watermillsql.Query, error) {
	return nil, nil
}

// backoff waits for more to read. Watermill calls it synchronously after each segment, which makes it the
// place to wait for a hint: the wait of Watermill's own loop can't be ended by one. The segment's transaction
// is over by then, which makes it the place to tell of a failure too.
type backoff struct{ g *Group }

func (b backoff) HandleError(_ watermill.LoggerAdapter, noMsg bool, err error) time.Duration {
	select {
	case <-b.g.stop: // what fails now failed because it is over
		return 0
	default:
	}
	b.g.tell(noMsg && err == nil)
	if err != nil {
		failures := b.g.Status().Failures
		wait := min(50*time.Millisecond<<min(max(failures-1, 0), 10), 5*time.Second)
		b.g.cfg.Logger.Error("a segment failed; nothing of it was kept, it is tried again", "err", err, "failures", failures, "retry_in", wait)
		return wait
	}
	if !noMsg {
		return 0
	}
	poll := time.NewTimer(b.g.cfg.Poll)
	defer poll.Stop()
	select {
	case <-b.g.stop:
	case <-b.g.hints:
	case <-poll.C:
	}
	return 0
}

// slogAdapter passes Watermill's log on, less its chatter: what it logs as information at each start and stop is for
// debugging here, and so are the errors of transactions that a stop broke off, which nobody needs to look into.
func slogAdapter(log *slog.Logger, stop <-chan struct{}) watermill.LoggerAdapter {
	return untilStop{
		watermill.NewSlogLoggerWithLevelMapping(log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug}), stop,
	}
}

type untilStop struct {
	watermill.LoggerAdapter
	stop <-chan struct{}
}

// Error logs an error, behind the stop for debugging only.
func (l untilStop) Error(msg string, err error, fields watermill.LogFields) {
	select {
	case <-l.stop:
		l.Debug(msg, fields.Add(watermill.LogFields{"error": err}))
	default:
		l.LoggerAdapter.Error(msg, err, fields)
	}
}

// With adds fields to all that is logged.
func (l untilStop) With(fields watermill.LogFields) watermill.LoggerAdapter {
	return untilStop{l.LoggerAdapter.With(fields), l.stop}
}
