// Package migrations holds the database's schema and brings a database to it.
//
// Migrations are numbered NNNN_name.up.sql with a .down.sql beside each, embedded in the program and run
// by golang-migrate under a PostgreSQL advisory lock, so two nodes may start at once.
package migrations

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/golang-migrate/migrate/v4"
	"github.com/golang-migrate/migrate/v4/database"
	// Registers the pgx5:// scheme that open uses.
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// FS holds the SQL files.
//
//go:embed *.sql
var FS embed.FS

// ErrNewerSchema: the database was migrated by a newer program, which this one must not write to.
var ErrNewerSchema = errors.New("the database's schema is newer than this program")

// ErrMayNotMigrate: the schema is older than the program, and the role that asks may not change it.
var ErrMayNotMigrate = errors.New("this role may not change the database's schema")

// Status is where a database stands.
type Status struct {
	// Version of the schema, 0 for an empty database.
	Version uint
	// Latest version this program knows.
	Latest uint
	// Dirty: a migration stopped half-way and wants a person's eye.
	Dirty bool
}

// Up brings the database at databaseURL (postgres://…) to the newest schema. It does nothing where that
// is the case already, waits for another node that migrates, and returns [ErrNewerSchema] where the
// database is ahead of the program and [ErrMayNotMigrate] where it would have to change the schema and may not.
//
// Nodes may run on the database meanwhile. Where others hold what a migration needs for long, it is given up and tried
// again, until ctx ends: nobody stands behind it for longer than two seconds.
func Up(ctx context.Context, databaseURL string) error {
	return UpTelling(ctx, databaseURL, func(string) {})
}

// UpTelling is Up, and says what it waits for each time it begins to.
func UpTelling(ctx context.Context, databaseURL string, tell func(why string)) error {
	// Whoever holds the lock of those who migrate keeps nobody who has nothing to migrate.
	if done, err := isNewest(ctx, databaseURL); done || err != nil {
		return err
	}
	return patiently(ctx, databaseURL, tell, func() error { return upOnce(ctx, databaseURL) })
}

// patiently migrates when no other node does, and again as long as others hold what that needs.
func patiently(ctx context.Context, databaseURL string, tell func(string), once func() error) error {
	return alone(ctx, databaseURL, tell, func() error {
		for {
			err := once()
			if !errors.Is(err, errLocked) {
				return err
			}
			tell(err.Error() + ": a report, a backup or a session that somebody left open? It is tried again")
			if err := wait(ctx, betweenTries); err != nil {
				return err
			}
		}
	})
}

const (
	// betweenTries lets those get on who stood behind a migration that stood behind others.
	betweenTries = 2 * time.Second
	// betweenLooks is how often it is looked whether another node has migrated.
	betweenLooks = 100 * time.Millisecond
)

// aloneKey is the advisory lock of whoever migrates. The library has one of its own, which cannot be waited for with an
// end.
const aloneKey = 0x6f726465726c6f67 // "orderlog"

// sqlNoticed makes the server notice within 25 s that the machine of whoever migrates has vanished, and let go of its locks,
// for which all that start wait. By itself it may take two hours.
const sqlNoticed = `SET tcp_keepalives_idle = 10; SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3; SET tcp_user_timeout = '25s'`

func connect(ctx context.Context, databaseURL string) (*pgx.Conn, error) {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err == nil {
		if _, err = conn.Exec(ctx, sqlNoticed); err != nil {
			_ = conn.Close(context.WithoutCancel(ctx))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("connect to migrate the database: %w", err)
	}
	return conn, nil
}

func alone(ctx context.Context, databaseURL string, tell func(string), migrate func() error) error {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx)) // which lets go of the lock
	for told := false; ; told = true {
		var mine bool
		if err := conn.QueryRow(ctx, `SELECT pg_try_advisory_lock($1)`, int64(aloneKey)).Scan(&mine); err != nil {
			return fmt.Errorf("wait for others that migrate: %w", err)
		}
		if mine {
			return migrate()
		}
		if !told {
			tell("another node migrates the database")
		}
		if err := wait(ctx, betweenLooks); err != nil {
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// isNewest looks whether nothing is to be done. What else there may be to say of a schema is for upOnce.
func isNewest(ctx context.Context, databaseURL string) (bool, error) {
	want, err := latest()
	if err != nil {
		return false, err
	}
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return false, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var version uint
	var dirty bool
	err = conn.QueryRow(ctx, `SELECT version, dirty FROM schema_migrations`).Scan(&version, &dirty)
	var refused *pgconn.PgError
	if errors.Is(err, pgx.ErrNoRows) || (errors.As(err, &refused) && refused.Code == "42P01") { // nobody has migrated yet
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("read the schema's version: %w", err)
	}
	return version == want && !dirty, nil
}

func upOnce(ctx context.Context, databaseURL string) error {
	m, err := open(databaseURL, FS)
	if err != nil {
		return err
	}
	status, err := check(m)
	if err == nil && status.Version < status.Latest {
		err = mayMigrate(ctx, databaseURL, status)
	}
	if err == nil && status.Version < status.Latest {
		stop := context.AfterFunc(ctx, func() { m.GracefulStop <- true })
		defer stop()
		if err = m.Up(); errors.Is(err, migrate.ErrNoChange) {
			err = nil
		}
	}
	return errors.Join(err, closed(m))
}

// ReadStatus tells where the database at databaseURL stands, changing nothing but the version table.
func ReadStatus(databaseURL string) (Status, error) {
	m, err := open(databaseURL, FS)
	if err != nil {
		return Status{}, err
	}
	status, err := read(m)
	return status, errors.Join(err, closed(m))
}

// mayMigrate refuses a role that has no more than app migrate grant gives. Half a migration would be worse than none.
func mayMigrate(ctx context.Context, databaseURL string, status Status) error {
	conn, err := connect(ctx, databaseURL)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	var may bool
	if err := conn.QueryRow(ctx, `SELECT has_table_privilege('schema_migrations', 'INSERT')`).Scan(&may); err != nil {
		return fmt.Errorf("look whether this role may migrate: %w", err)
	}
	if !may {
		return fmt.Errorf("%w, which is at version %d, and this program needs %d: run app migrate up as the role that owns the tables, then app migrate grant for this one",
			ErrMayNotMigrate, status.Version, status.Latest)
	}
	return nil
}

func check(m *migrate.Migrate) (Status, error) {
	status, err := read(m)
	switch {
	case err != nil:
		return status, err
	case status.Dirty:
		return status, fmt.Errorf("migration %d stopped half-way: repair the schema by hand, then set dirty to false in schema_migrations", status.Version)
	case status.Version > status.Latest:
		return status, fmt.Errorf("%w: it is at %d, this program knows up to %d; run the newer program", ErrNewerSchema, status.Version, status.Latest)
	}
	return status, nil
}

func read(m *migrate.Migrate) (Status, error) {
	latest, err := latest()
	if err != nil {
		return Status{}, err
	}
	version, dirty, err := m.Version()
	if err != nil && !errors.Is(err, migrate.ErrNilVersion) {
		return Status{}, fmt.Errorf("read the schema's version: %w", err)
	}
	return Status{Version: version, Latest: latest, Dirty: dirty}, nil
}

func latest() (uint, error) {
	names, err := fs.Glob(FS, "*.up.sql")
	if err != nil || len(names) == 0 {
		return 0, fmt.Errorf("no migrations embedded: %w", err)
	}
	number, _, _ := strings.Cut(names[len(names)-1], "_")
	version, err := strconv.ParseUint(number, 10, 32)
	return uint(version), err
}

func open(databaseURL string, files fs.FS) (*migrate.Migrate, error) {
	source, err := iofs.New(files, ".")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	u, err := url.Parse(databaseURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("the database's address must be a postgres:// URL") // not echoed: it may hold a password
	}
	u.Scheme = "pgx5"
	there, err := database.Open(u.String())
	if err != nil {
		return nil, fmt.Errorf("connect to migrate the database: %w", inWords(err))
	}
	if err := there.Run(strings.NewReader(sqlNoticed)); err != nil {
		return nil, errors.Join(fmt.Errorf("connect to migrate the database: %w", inWords(err)), there.Close())
	}
	m, err := migrate.NewWithInstance("iofs", source, "pgx5", &driver{Driver: there})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("begin to migrate the database: %w", err), there.Close())
	}
	return m, nil
}

func closed(m *migrate.Migrate) error {
	sourceErr, databaseErr := m.Close()
	return errors.Join(sourceErr, databaseErr)
}
