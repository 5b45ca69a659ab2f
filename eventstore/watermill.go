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
)

// The statements of a group. The head is read in the snapshot that decides, without locking it: every
// event up to it is visible to the statements that follow.
const (
	sqlNextSegment = `
SELECT c.position, least(h.seq, c.position + $2), h.seq, h.log_id, pg_postmaster_start_time(),
	(SELECT oid FROM pg_database WHERE datname = current_database()), h.tableoid
FROM checkpoints c CROSS JOIN log_head h
WHERE c.group_name = $1 AND c.position < h.seq
FOR UPDATE OF c SKIP LOCKED`

	// It is sent together with the commit, so it must fail by itself where it finds no checkpoint to move: it divides
	// by how many it moved.
	sqlMoveCheckpoint = `
WITH moved AS (
	UPDATE checkpoints SET position = $3, updated_at = clock_timestamp(), failures = 0, failed_seq = NULL, last_error = NULL, failed_at = NULL
	WHERE group_name = $1 AND position = $2 RETURNING 1
) SELECT 1 / count(*) FROM moved`

	// What a group writes follows from the log, so after a crash of the database its last moments are
	// derived again; waiting for the disk at each segment would only hold up the appends.
	//
	// A handler may be at something else than its transaction for longer than a session should be idle in one: $1 is for
	// how long; see GroupConfig.Elsewhere.
	sqlBeginSegment = `SELECT set_config('synchronous_commit', 'off', true), set_config('idle_in_transaction_session_timeout', $1, true)`
)

// beginner begins the transactions of a group, each together with its first statement.
type beginner struct{ g *Group }

func (b beginner) BeginTx(ctx context.Context, _ *sql.TxOptions) (watermillsql.Tx, error) {
	conn, err := b.g.pool.Acquire(ctx)
	if err != nil {
		b.g.failed(nil, err)
		return nil, err
	}
	return &segment{group: b.g, conn: conn}, nil
}

func (beginner) ExecContext(context.Context, string, ...any) (watermillsql.Result, error) {
	return nil, errors.New("eventstore: not used outside a transaction")
}

func (beginner) QueryContext(context.Context, string, ...any) (watermillsql.Rows, error) {
	return nil, errors.New("eventstore: not used outside a transaction")
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
	if b.g.behind() {
		return 0
	}
	if b.g.wait(b.g.cfg.Poll, b.g.hints) {
		b.g.hinted()
	}
	b.g.wait(time.Until(b.g.gathersUntil()), nil)
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
