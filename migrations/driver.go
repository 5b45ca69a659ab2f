package migrations

import (
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/golang-migrate/migrate/v4/database"
	"github.com/jackc/pgx/v5/pgconn"
)

// errLocked: others held what a migration needs for longer than it may wait. Nothing was changed.
var errLocked = errors.New("others hold a lock that the migration needs")

// lockTimeout is how long a statement of a migration waits for a lock, in PostgreSQL's words. Whoever wants the same lock
// stands behind it meanwhile, and be it in the weakest mode: a node that appends must not wait for a migration that waits
// for somebody's report.
const lockTimeout = "2s"

// driver carries out each migration in one transaction with its number, so that it happened or it did not: whatever ends
// the program, nobody has to repair a schema by hand. The library would commit the number before and mark it as dirty.
type driver struct {
	database.Driver
	version  int  // of the migration under way
	recorded bool // it is in the database
}

// SetVersion is called before a migration and, no longer dirty, after it. What Run has recorded is not recorded again: the
// library does so by TRUNCATE, which waits without an end for whoever reads the number, as a backup does, and lets nobody
// read it meanwhile.
func (d *driver) SetVersion(version int, dirty bool) error {
	switch {
	case dirty:
		d.version, d.recorded = version, false
		return nil
	case d.recorded && d.version == version:
		return nil
	}
	return inWords(d.Driver.SetVersion(version, false))
}

// Run carries out a migration. PostgreSQL takes statements that are sent as one text for one transaction.
func (d *driver) Run(migration io.Reader) error {
	text, err := io.ReadAll(migration)
	if err != nil {
		return err
	}
	var all bytes.Buffer
	fmt.Fprintf(&all, "SET LOCAL lock_timeout = '%s'; %s\n;DELETE FROM schema_migrations;", lockTimeout, text)
	if d.version >= 0 { // else all is taken back
		fmt.Fprintf(&all, "INSERT INTO schema_migrations (version, dirty) VALUES (%d, false)", d.version)
	}
	err = inWords(d.Driver.Run(&all))
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == "55P03" {
		return fmt.Errorf("migrate to version %d: %w", d.version, errLocked)
	}
	d.recorded = err == nil
	return err
}

// Lock waits for who migrates by the library alone.
func (d *driver) Lock() error { return inWords(d.Driver.Lock()) }

// Unlock lets the next one migrate.
func (d *driver) Unlock() error { return inWords(d.Driver.Unlock()) }

// Version is where the database stands.
func (d *driver) Version() (version int, dirty bool, err error) {
	version, dirty, err = d.Driver.Version()
	return version, dirty, inWords(err)
}
