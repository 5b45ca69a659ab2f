package main

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"strings"
	"time"

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
		return &database{url: cfg.DatabaseURL}, nil
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

func (d *database) pool(ctx context.Context) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(d.url)
	if err != nil {
		return nil, errors.New("DATABASE_URL can't be read: set it to postgres://USER:PASSWORD@HOST:PORT/DATABASE") // the cause may show the password
	}
	if !strings.Contains(d.url, "pool_max_conns=") {
		cfg.MaxConns = poolSize
	}
	cfg.ConnConfig.ConnectTimeout = 5 * time.Second
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
