package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/localpg"
)

// poolSize is how many connections a node opens at most, unless DATABASE_URL says pool_max_conns.
const poolSize = 16

// database is the PostgreSQL of a process: one that was given, or a private one that lives as long as it.
type database struct {
	url   string
	local *localpg.Server // nil for one that was given
}

func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) (*database, error) {
	if !cfg.Embedded() {
		d := &database{url: cfg.DatabaseURL}
		return d, d.reach(ctx)
	}
	local, err := localpg.Start(ctx, localpg.Config{Dir: filepath.Join(cfg.DataDir, "postgres"), Logger: log.With("component", "postgres")})
	if err != nil {
		return nil, err
	}
	return &database{url: local.URL(""), local: local}, nil
}

// Run returns when ctx ends, or with an error when a private PostgreSQL ends by itself.
func (d *database) Run(ctx context.Context) error {
	if d.local == nil {
		<-ctx.Done()
		return nil
	}
	return d.local.Wait(ctx)
}

// reach finds out whether a database that was given answers, so that the answer is no more than what an operator needs.
func (d *database) reach(ctx context.Context) error {
	cfg, err := pgx.ParseConfig(d.url)
	if err != nil {
		return errDatabaseURL
	}
	cfg.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err == nil {
		return conn.Close(ctx)
	}
	var (
		refused *pgconn.PgError
		network *net.OpError
		name    *net.DNSError
	)
	cause := err
	switch { // the whole error has several lines, one for each way that was tried
	case errors.As(err, &refused):
		cause = errors.New(refused.Message)
	case errors.As(err, &network):
		cause = network
	case errors.As(err, &name):
		cause = name
	}
	return fmt.Errorf("the database cannot be used: %w; start it, or set DATABASE_URL to the one that is meant", cause)
}

// The cause may show the password.
var errDatabaseURL = errors.New("DATABASE_URL can't be read: set it to postgres://USER:PASSWORD@HOST:PORT/DATABASE")

const connectTimeout = 5 * time.Second

func (d *database) pool(ctx context.Context) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return nil, errDatabaseURL
	}
	if !strings.Contains(d.url, "pool_max_conns=") {
		cfg.MaxConns = poolSize
	}
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.RuntimeParams["application_name"] = "orderlog"
	return pgxpool.NewWithConfig(ctx, cfg)
}

// close stops a private PostgreSQL; also after ctx has ended.
func (d *database) close(ctx context.Context) error {
	if d.local == nil {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
	defer cancel()
	return d.local.Stop(ctx)
}
