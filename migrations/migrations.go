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

	"github.com/golang-migrate/migrate/v4"
	// Registers the pgx5:// scheme that open uses.
	_ "github.com/golang-migrate/migrate/v4/database/pgx/v5"
	"github.com/golang-migrate/migrate/v4/source/iofs"
	"github.com/jackc/pgx/v5"
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
func Up(ctx context.Context, databaseURL string) error {
	m, err := open(databaseURL)
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
	m, err := open(databaseURL)
	if err != nil {
		return Status{}, err
	}
	status, err := read(m)
	return status, errors.Join(err, closed(m))
}

// mayMigrate refuses a role that has no more than app migrate grant gives. Half a migration would be worse than none.
func mayMigrate(ctx context.Context, databaseURL string, status Status) error {
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connect to migrate the database: %w", err)
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

func open(databaseURL string) (*migrate.Migrate, error) {
	source, err := iofs.New(FS, ".")
	if err != nil {
		return nil, fmt.Errorf("read the embedded migrations: %w", err)
	}
	u, err := url.Parse(databaseURL)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") {
		return nil, errors.New("the database's address must be a postgres:// URL") // not echoed: it may hold a password
	}
	u.Scheme = "pgx5"
	m, err := migrate.NewWithSourceInstance("iofs", source, u.String())
	if err != nil {
		return nil, fmt.Errorf("connect to migrate the database: %w", err)
	}
	return m, nil
}

func closed(m *migrate.Migrate) error {
	sourceErr, databaseErr := m.Close()
	return errors.Join(sourceErr, databaseErr)
}
