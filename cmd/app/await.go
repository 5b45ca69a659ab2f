package main

import (
	"context"
	"database/sql"
	sqldriver "database/sql/driver"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/migrations"
)

const (
	// firstPause and longestPause are between looks at a database that does not answer. Each is cut by up to a half, so
	// that nodes that wait for the same one do not come at once.
	firstPause   = 200 * time.Millisecond
	longestPause = 3 * time.Second
	// tellAgain is how often it is said that the database is still awaited.
	tellAgain = time.Minute
)

// serveDatabase is the database of a node: a private one is started, one that was given may not answer yet.
func serveDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) (*database, error) {
	if cfg.Embedded() {
		return openDatabase(ctx, cfg, log)
	}
	return given(cfg.DatabaseURL), nil
}

// prepare waits until the database answers and brings its schema up to date. What waiting does not mend is an error at
// once; so is the end of a private PostgreSQL, which nobody will start again.
func (d *database) prepare(ctx context.Context, front *front, log *slog.Logger) error {
	g, ctx := errgroup.WithContext(ctx)
	ctx, done := context.WithCancel(ctx)
	g.Go(func() error { return d.Run(ctx) })
	g.Go(func() error {
		defer done()
		return d.prepareWaiting(ctx, front, log)
	})
	return g.Wait()
}

func (d *database) prepareWaiting(ctx context.Context, front *front, log *slog.Logger) error {
	pause, told := firstPause, time.Time{}
	for {
		err := d.prepareNow(ctx, front, log)
		if err == nil && !told.IsZero() {
			log.Info("the database answers")
		}
		if err == nil || ctx.Err() != nil || !mayPass(err) {
			return err
		}
		front.awaits("it does not answer yet")
		front.settle()
		if time.Since(told) >= tellAgain {
			log.Warn("waiting for the database; until it answers, requests are answered with 503", "err", err)
			told = time.Now()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause/2 + rand.N(pause/2)):
		}
		pause = min(2*pause, longestPause)
	}
}

func (d *database) prepareNow(ctx context.Context, front *front, log *slog.Logger) error {
	if d.local == nil {
		if err := d.reach(ctx); err != nil {
			return err
		}
	}
	front.awaits("its schema is brought up to date")
	err := migrations.UpTelling(ctx, d.url, func(why string) { log.Warn("the schema waits to be brought up to date", "why", why) })
	if err != nil {
		return fmt.Errorf("prepare the database: %w", err)
	}
	return nil
}

// mayPass tells an error that is over when the database, the network or the name service is up again from one that
// somebody has to do something about, such as a wrong password or a database that does not exist.
func mayPass(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) {
		class := func(prefix string) bool { return strings.HasPrefix(refused.Code, prefix) }
		// Connections, resources and operators; and a standby that is yet to be promoted.
		return class("08") || class("53") || class("57P") || refused.Code == "25006"
	}
	var network net.Error // a name that is not known is one too
	return errors.As(err, &network) || slices.ContainsFunc(
		[]error{context.DeadlineExceeded, io.EOF, io.ErrUnexpectedEOF, net.ErrClosed, sqldriver.ErrBadConn, sql.ErrConnDone},
		func(passing error) bool { return errors.Is(err, passing) })
}
