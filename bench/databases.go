package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/migrations"
)

// keeper gives benchmarks their databases. A log that takes long to be filled is filled once, and is copied for those
// that ask for it.
type keeper struct {
	out     io.Writer
	later   []benchmark // those that are not done yet
	version string      // of PostgreSQL, once there was one

	filled *localpg.Server // its database has a million events; nil: there is none
	remove func()
}

// provide calls f with the database that a benchmark asks for.
func (k *keeper) provide(ctx context.Context, b benchmark, f func(url string) error) error {
	if i := slices.IndexFunc(k.later, func(l benchmark) bool { return l.name == b.name }); i >= 0 {
		k.later = k.later[i+1:]
	}
	switch b.in {
	case noDatabase:
		return f("")
	case filledLog:
		return k.onFilled(ctx, f)
	default:
		return onFreshDatabase(ctx, func(url string) error {
			if err := k.ask(ctx, url); err != nil {
				return err
			}
			return f(url)
		})
	}
}

// ask asks for the version of the database.
func (k *keeper) ask(ctx context.Context, url string) error {
	return onConnection(ctx, url, func(c *pgx.Conn) error { return c.QueryRow(ctx, `SHOW server_version`).Scan(&k.version) })
}

func onConnection(ctx context.Context, url string, f func(*pgx.Conn) error) error {
	c, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(ctx)) }()
	return f(c)
}

// onFilled runs f on a copy of the filled log, which is filled for the first that asks for it. The last that asks for it
// gets the log itself.
func (k *keeper) onFilled(ctx context.Context, f func(url string) error) error {
	if k.filled == nil {
		if err := k.fill(ctx); err != nil {
			k.close()
			return fmt.Errorf("fill a log: %w", err)
		}
	}
	if !slices.ContainsFunc(k.later, func(b benchmark) bool { return b.in == filledLog }) {
		defer k.close()
		return f(k.filled.URL(""))
	}
	const name = "copied"
	began := time.Now()
	if err := k.admin(ctx, `CREATE DATABASE `+name+` TEMPLATE `+localpg.Database+` STRATEGY file_copy OWNER `+localpg.Role); err != nil {
		return fmt.Errorf("copy the log: %w", err)
	}
	fmt.Fprintf(k.out, "the log was copied in %s\n", time.Since(began).Round(100*time.Millisecond))
	err := f(k.filled.URL(name))
	return errors.Join(err, k.admin(context.WithoutCancel(ctx), `DROP DATABASE `+name+` WITH (FORCE)`))
}

// admin carries out what takes a superuser, and nobody in the database that is copied.
func (k *keeper) admin(ctx context.Context, sql string) error {
	return onConnection(ctx, k.filled.SuperuserURL("postgres"), func(c *pgx.Conn) error {
		_, err := c.Exec(ctx, sql)
		return err
	})
}

func (k *keeper) fill(ctx context.Context) (err error) {
	if k.filled, k.remove, err = startPostgres(ctx); err != nil {
		return err
	}
	url := k.filled.URL("")
	if err := errors.Join(k.ask(ctx, url), migrations.Up(ctx, url)); err != nil {
		return err
	}
	pool, err := newPool(ctx, url, 1)
	if err != nil {
		return err
	}
	defer pool.Close()
	_, err = fillAndSay(ctx, k.out, pool, million)
	return err
}

// close ends the server with the filled log.
func (k *keeper) close() {
	if k.filled != nil {
		k.remove()
		k.filled = nil
	}
}

// onFreshDatabase runs f on a migrated PostgreSQL with its default settings: it waits for the disk.
func onFreshDatabase(ctx context.Context, f func(url string) error) error {
	pg, remove, err := startPostgres(ctx)
	if err != nil {
		return err
	}
	defer remove()
	if err := migrations.Up(ctx, pg.URL("")); err != nil {
		return err
	}
	return f(pg.URL(""))
}

// startPostgres starts a server of its own; remove ends it and removes what is in it.
func startPostgres(ctx context.Context) (pg *localpg.Server, remove func(), err error) {
	dir, err := os.MkdirTemp("", "orderlog-bench-")
	if err != nil {
		return nil, nil, err
	}
	err = os.Chmod(dir, 0o755) //nolint:gosec // the server's user has to get through
	if err == nil {
		pg, err = localpg.Start(ctx, localpg.Config{Dir: filepath.Join(dir, "postgres"), Settings: map[string]string{"max_connections": "300"}})
	}
	if err != nil {
		_ = os.RemoveAll(dir)
		return nil, nil, err
	}
	return pg, func() {
		_ = pg.Stop(context.WithoutCancel(ctx))
		_ = os.RemoveAll(dir)
	}, nil
}
