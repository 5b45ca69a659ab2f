package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/url"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/migrations"
)

// poolSize is how many connections a node opens at most, unless DATABASE_URL says pool_max_conns.
const poolSize = config.DefaultConnections

// nodeConns is how many connections a node with this DATABASE_URL opens at most, the one that listens too.
func nodeConns(databaseURL string) int {
	if cfg, err := pgxpool.ParseConfig(databaseURL); err == nil && settlesPool(databaseURL) {
		return int(cfg.MaxConns) + 1
	}
	return poolSize + 1
}

// settlesPool: an address says how many connections there may be.
func settlesPool(databaseURL string) bool { return strings.Contains(databaseURL, "pool_max_conns=") }

// toolPoolSize is that of a command that runs beside the nodes.
const toolPoolSize = 4

// database is the PostgreSQL of a process: one that was given, or a private one that lives as long as it.
type database struct {
	url   string          // of one connection: without what settles the pool
	given string          // DATABASE_URL; empty for a private one
	local *localpg.Server // nil for one that was given, or that another program runs
	conns int32           // at most, unless DATABASE_URL says so; 0: poolSize
}

// given is the database of DATABASE_URL. What settles the pool is left out of the address of a connection, for which
// the server would refuse it.
func given(databaseURL string) *database {
	d := &database{url: databaseURL, given: databaseURL}
	u, err := url.Parse(databaseURL)
	if err != nil || !strings.Contains(u.RawQuery, "pool_") {
		return d
	}
	q := u.Query()
	maps.DeleteFunc(q, func(name string, _ []string) bool { return strings.HasPrefix(name, "pool_") })
	u.RawQuery = q.Encode()
	d.url = u.String()
	return d
}

func openDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) (*database, error) {
	if !cfg.Embedded() {
		d := given(cfg.DatabaseURL)
		return d, d.reach(ctx)
	}
	local, err := localpg.Start(ctx, private(cfg, log))
	if err != nil {
		return nil, err
	}
	return &database{url: local.URL(""), local: local}, nil
}

func private(cfg config.Config, log *slog.Logger) localpg.Config {
	return localpg.Config{Dir: filepath.Join(cfg.DataDir, "postgres"), Logger: log.With("component", "postgres")}
}

// attachDatabase opens the database for a command that works on what is there: it makes no cluster and changes no
// schema. A private PostgreSQL that another program runs is shared with it; one that nobody runs is started.
func attachDatabase(ctx context.Context, cfg config.Config, log *slog.Logger) (_ *database, err error) {
	d := given(cfg.DatabaseURL)
	d.conns = toolPoolSize
	if cfg.Embedded() {
		err = d.attachPrivate(ctx, cfg, log)
	} else {
		err = d.reach(ctx)
	}
	if err != nil {
		return nil, err
	}
	if err := d.checkSchema(ctx); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

func (d *database) attachPrivate(ctx context.Context, cfg config.Config, log *slog.Logger) (err error) {
	place := private(cfg, log)
	if d.url, err = localpg.Attach(ctx, place); !errors.Is(err, localpg.ErrNotRunning) {
		return err
	}
	if !localpg.Exists(place.Dir) {
		return fmt.Errorf("there is no database in %s yet: start the server once (app serve), or set DATA_DIR or DATABASE_URL to the one that is meant", cfg.DataDir)
	}
	d.local, err = localpg.Start(ctx, place)
	if err == nil {
		d.url = d.local.URL("")
		return nil
	}
	d.local = nil
	if errors.Is(err, localpg.ErrInUse) { // another program was faster
		var attached error
		if d.url, attached = localpg.Attach(ctx, place); !errors.Is(attached, localpg.ErrNotRunning) {
			return attached
		}
	}
	return err
}

// checkSchema says what to do where the schema is not the one that this program knows.
func (d *database) checkSchema(ctx context.Context) error {
	// Asked first: reading the status of a database without a schema would begin one.
	there, err := d.hasSchema(ctx)
	if err != nil {
		return err
	}
	if !there {
		return errors.New("there is no log in the database yet: start the server once (app serve), or set DATABASE_URL or DATA_DIR to the one that is meant")
	}
	status, err := migrations.ReadStatus(d.url)
	switch {
	case err != nil:
		return err
	case status.Dirty:
		return fmt.Errorf("migration %d of the database stopped half-way: see app migrate status", status.Version)
	case status.Version < status.Latest:
		return fmt.Errorf("the database's schema is at version %d and this program needs %d: run app migrate up, or start this version's server, and try again",
			status.Version, status.Latest)
	case status.Version > status.Latest:
		return fmt.Errorf("%w: it is at version %d and this program knows up to %d; use the newer program",
			migrations.ErrNewerSchema, status.Version, status.Latest)
	}
	return nil
}

const sqlHasSchema = `SELECT to_regclass('schema_migrations') IS NOT NULL`

func (d *database) hasSchema(ctx context.Context) (there bool, err error) {
	conn, err := pgx.Connect(ctx, d.url)
	if err != nil {
		return false, fmt.Errorf("look at the database's schema: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	if err := conn.QueryRow(ctx, sqlHasSchema).Scan(&there); err != nil {
		return false, fmt.Errorf("look at the database's schema: %w", err)
	}
	return there, nil
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
	cause := err.Error()
	switch { // the whole error has several lines, one for each way that was tried
	case errors.As(err, &refused):
		cause = refused.Message
	case errors.As(err, &network):
		cause = network.Error()
	case errors.As(err, &name):
		cause = name.Error()
	}
	return unusableError{cause, err}
}

// unusableError says no more of a database that cannot be used than what an operator needs.
type unusableError struct {
	cause string
	err   error
}

func (e unusableError) Error() string {
	return fmt.Sprintf("the database cannot be used: %s; start it, or set DATABASE_URL to the one that is meant", e.cause)
}
func (e unusableError) Unwrap() error { return e.err }

// The cause may show the password.
var errDatabaseURL = errors.New("DATABASE_URL can't be read: set it to postgres://USER:PASSWORD@HOST:PORT/DATABASE")

const connectTimeout = 5 * time.Second

// sqlSession is said first on each connection.
//
// Every statement reads a few rows of tables that have many partitions. The planner, which counts the partitions, would
// take some for long ones and compile them each time: 10 ms for what takes less than one.
//
// What was answered is on the disk, whatever the role or the database has for a default.
const sqlSession = `SET jit = off;
SELECT set_config('synchronous_commit', 'on', false) WHERE current_setting('synchronous_commit') = 'off'`

// sqlNodeSession bounds for how long a node that is frozen, or cut off, can stand in the way of others: its transaction may
// hold the log's head, for which all who append wait, and a command is answered within 5 s. The server ends a session that
// is in a transaction and says nothing, and one whose machine does not answer. A service may come with a bound of a day, and
// that is none; who has put one into DATABASE_URL has said it to a node.
const sqlNodeSession = sqlSession + `;
SELECT set_config(name, '3s', false) FROM pg_settings
WHERE name = 'idle_in_transaction_session_timeout' AND (setting::int = 0 OR setting::int > 3000) AND source <> 'client';
SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '25s'`

// keepAlive is the same for a node whose server is gone.
var keepAlive = net.KeepAliveConfig{Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3}

// pool is for a command that runs beside the nodes.
func (d *database) pool(ctx context.Context) (*pgxpool.Pool, error) { return d.open(ctx, sqlSession) }

// nodePool is for a node.
func (d *database) nodePool(ctx context.Context) (*pgxpool.Pool, error) {
	return d.open(ctx, sqlNodeSession)
}

func (d *database) open(ctx context.Context, session string) (*pgxpool.Pool, error) {
	address := d.url
	if d.given != "" {
		address = d.given
	}
	cfg, err := pgxpool.ParseConfig(address)
	if err != nil {
		return nil, errDatabaseURL
	}
	if !settlesPool(d.given) {
		cfg.MaxConns = poolSize
		if d.conns > 0 {
			cfg.MaxConns = d.conns
		}
	}
	cfg.ConnConfig.ConnectTimeout = connectTimeout
	cfg.ConnConfig.DialFunc = (&net.Dialer{KeepAliveConfig: keepAlive}).DialContext
	cfg.ConnConfig.RuntimeParams["application_name"] = "orderlog"
	cfg.ConnConfig.AfterConnect = func(ctx context.Context, conn *pgconn.PgConn) error { // the listener's connection too
		_, err := conn.Exec(ctx, session).ReadAll()
		return err
	}
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
