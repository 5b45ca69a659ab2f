package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay"
)

func auditCommands() []subcommand {
	return []subcommand{auditHistory, auditExport, auditVerify, auditBundle, auditVerifyBundle, auditKey}
}

// tools are what a command works with on a database that is there, beside the nodes or without any.
type tools struct {
	cfg    config.Config
	logger *slog.Logger
	db     *database
	pool   *pgxpool.Pool
	store  *eventstore.Store
	log    *replay.Log
	pipe   chan os.Signal
}

// openTools reads the settings and opens the database. Who has them closes them.
func openTools(ctx context.Context, env environment) (_ *tools, err error) {
	cfg, err := config.LoadWithoutKeys(env.getenv)
	if err != nil {
		return nil, err
	}
	// What a server says of itself while it starts is not what was asked for.
	if cfg.LogLevel == slog.LevelInfo {
		cfg.LogLevel = slog.LevelWarn
	}
	t := &tools{cfg: cfg, logger: cfg.Logger(env.stderr), pipe: make(chan os.Signal, 1)}
	// A reader that has enough, such as head, makes a write fail; it does not end the process before a private
	// PostgreSQL is stopped.
	signal.Notify(t.pipe, syscall.SIGPIPE)
	if t.db, err = attachDatabase(ctx, cfg, t.logger); err != nil {
		signal.Stop(t.pipe)
		return nil, err
	}
	if t.pool, err = t.db.pool(ctx); err != nil {
		return nil, errors.Join(err, t.close(ctx))
	}
	t.store = eventstore.Open(t.pool, eventstore.Options{Logger: t.logger}) // only read from: it need not run
	t.log = replay.New(t.pool, t.store)
	return t, nil
}

// close also works after ctx has ended.
func (t *tools) close(ctx context.Context) error {
	if t.pool != nil {
		t.pool.Close()
	}
	signal.Stop(t.pipe)
	return t.db.close(ctx)
}

// catchUpTimeout is how long the audit may take to have what was in the log when it was asked.
const catchUpTimeout = 2 * time.Second

// catchUp waits until the audit's index and tree have what is in the log now. Where they stay behind, it says so: what
// is shown then is true, but not up to now.
func (t *tools) catchUp(ctx context.Context, stderr io.Writer) error {
	head, err := t.store.Head(ctx)
	if err != nil {
		return err
	}
	at, err := t.indexed(ctx)
	if err != nil || at >= head.Seq {
		return err
	}
	if t.db.local == nil { // else no node is there that would bring them on
		patience, cancel := context.WithTimeout(ctx, catchUpTimeout)
		defer cancel()
		if err := t.log.WaitFor(patience, head.Seq); err == nil {
			return nil
		} else if patience.Err() == nil || ctx.Err() != nil {
			return err
		}
		if at, err = t.indexed(ctx); err != nil || at >= head.Seq {
			return err
		}
	}
	fmt.Fprintf(stderr, "shown up to seq %d of %d: the rest waits for a running server to index it (app projections status)\n", at, head.Seq)
	return nil
}

// indexed is the seq up to which the audit's index and tree are.
func (t *tools) indexed(ctx context.Context) (int64, error) {
	lags, err := projections.Lags(ctx, t.pool)
	if err != nil {
		return 0, err
	}
	i := slices.IndexFunc(lags, func(l projections.Lag) bool { return l.Group == projections.GroupProofs })
	if i < 0 {
		return 0, fmt.Errorf("the database has no row for the group %q: its schema is damaged", projections.GroupProofs)
	}
	return lags[i].Position, nil
}

// inWords is an error as people are told it: without the code that programs go by.
func inWords(err error) error {
	var refused *domain.Error
	if !errors.As(err, &refused) || refused.Code == domain.CodeInternal {
		return err
	}
	return wordedError{refused}
}

type wordedError struct{ refused *domain.Error }

func (e wordedError) Error() string { return e.refused.Message }
func (e wordedError) Unwrap() error { return e.refused }

var orderNumber = regexp.MustCompile(`^ORD-[0-9]+$`)

const sqlOrderByNumber = `SELECT id FROM orders_view WHERE doc ->> 'orderNumber' = $1`

// checkOrder refuses what is neither an order's id nor its number, before anything is opened.
func (c subcommand) checkOrder(given string) error {
	if _, err := uuid.Parse(given); err == nil || orderNumber.MatchString(strings.ToUpper(given)) {
		return nil
	}
	return c.wrong("%q is no order: give its id, a UUID, or its number, such as ORD-000123", given)
}

// order finds the id of an order that was given by its id or its number. The number is looked up in the read model,
// which nothing is shown of.
func (t *tools) order(ctx context.Context, given string) (id uuid.UUID, err error) {
	if id, err := uuid.Parse(given); err == nil {
		return id, nil
	}
	err = t.pool.QueryRow(ctx, sqlOrderByNumber, strings.ToUpper(given)).Scan(&id)
	if errors.Is(err, pgx.ErrNoRows) {
		return id, fmt.Errorf("there is no order %s: look it up in the log by its id, or see whether DATABASE_URL or DATA_DIR is the one that is meant", given)
	}
	if err != nil {
		return id, fmt.Errorf("look up the order %s: %w", given, err)
	}
	return id, nil
}

// seqFlag takes the seq of an event.
func seqFlag(seq *int64) func(string) error {
	return func(s string) error {
		n, err := strconv.ParseInt(s, 10, 64)
		if err != nil || n < 1 {
			return errors.New("it is a seq, a whole number from 1 on")
		}
		*seq = n
		return nil
	}
}

// timeFlag takes a time, or a day, which is its beginning in UTC.
func timeFlag(at *time.Time) func(string) error {
	return func(s string) (err error) {
		if *at, err = time.Parse(time.RFC3339, s); err != nil {
			*at, err = time.Parse(time.DateOnly, s)
		}
		if err != nil || at.IsZero() {
			return errors.New("it is a time such as 2026-11-23T18:30:00Z, or a day such as 2026-11-23 (UTC)")
		}
		return nil
	}
}

// lines writes lines of text until one fails.
type lines struct {
	w   io.Writer
	err error
}

func (l *lines) printf(format string, args ...any) {
	if l.err == nil {
		_, l.err = io.WriteString(l.w, printable(fmt.Sprintf(format, args...))+"\n")
	}
}

// row writes a line with a label, or none where there would be nothing behind the label.
func (l *lines) row(label, format string, args ...any) {
	if text := fmt.Sprintf(format, args...); text != "" {
		l.printf("  %-11s %s", label, text)
	}
}

// count is a number of things, of which one is named without the s.
func count(n int64, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
