package rebuild

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/projections"
)

// sessions is how many connections a rebuild uses at most: one that writes, one that reads ahead, one for what a model
// does outside its transaction, one that holds the checkpoint, and the comparison's.
const sessions = 5

// place is where the live tables are and as whom they can be replaced.
type place struct {
	live       string // their schema
	shadow     string // the schema of those that are built
	owner      string
	searchPath string        // without the shadow, quoted
	deadlock   time.Duration // after which PostgreSQL looks for a deadlock
}

// inspect finds the live tables and refuses what could only fail at the end.
func inspect(ctx context.Context, config *pgx.ConnConfig, tables []string, o Options) (place, error) {
	conn, err := pgx.ConnectConfig(ctx, config)
	if err != nil {
		return place{}, fmt.Errorf("connect: %w", err)
	}
	defer func() {
		closeCtx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(closeCtx) // nothing is lost with it
	}()
	p := place{shadow: "rebuild_" + o.Name}
	member := false
	rows, err := conn.Query(ctx, sqlLiveTables, tables)
	if err != nil {
		return place{}, fmt.Errorf("look for the live tables: %w", err)
	}
	var t struct {
		name, schema, owner       string
		found, table, member, key bool
	}
	_, err = pgx.ForEachRow(rows, []any{&t.name, &t.schema, &t.found, &t.table, &t.owner, &t.member, &t.key}, func() error {
		switch {
		case !t.found:
			return fmt.Errorf("there is no table %s: bring the schema up to date (app migrate up)", t.name)
		case !t.table:
			return fmt.Errorf("%s is no table", t.name)
		case !t.key:
			return fmt.Errorf("table %s has no primary key to compare its rows by", t.name)
		case p.live != "" && (p.live != t.schema || p.owner != t.owner):
			return fmt.Errorf("table %s is in schema %s and of %s, others are in %s and of %s: they must be together", t.name, t.schema, t.owner, p.live, p.owner)
		}
		p.live, p.owner, member = t.schema, t.owner, t.member
		return nil
	})
	if err != nil {
		return place{}, err
	}
	var (
		user, database           string
		createSchema, createHere bool
		deadlock                 int64 // milliseconds
	)
	err = conn.QueryRow(ctx, sqlAround, p.owner, p.live).Scan(&user, &database, &p.searchPath, &createSchema, &createHere, &deadlock)
	if err != nil {
		return place{}, fmt.Errorf("look at the live tables' surroundings: %w", err)
	}
	p.deadlock = time.Duration(deadlock) * time.Millisecond
	quote := func(name string) string { return pgx.Identifier{name}.Sanitize() }
	switch {
	case !member:
		return place{}, fmt.Errorf("role %s does not own %s: set DATABASE_URL to one of role %s, or GRANT %s TO %s",
			user, strings.Join(tables, ", "), p.owner, quote(p.owner), quote(user))
	case !createSchema:
		return place{}, fmt.Errorf("role %s may make no schema to build in: GRANT CREATE ON DATABASE %s TO %s", p.owner, quote(database), quote(p.owner))
	case !createHere:
		return place{}, fmt.Errorf("role %s may put no tables into schema %s: GRANT CREATE ON SCHEMA %s TO %s", p.owner, p.live, quote(p.live), quote(p.owner))
	case o.DryRun:
		return p, nil
	}
	return p, checkDependents(ctx, conn, p.live, tables)
}

// checkDependents refuses tables that others hang on: it would be lost with them, or keep them from being dropped.
func checkDependents(ctx context.Context, conn *pgx.Conn, schema string, tables []string) error {
	rows, err := conn.Query(ctx, sqlDependents, schema, tables)
	if err != nil {
		return fmt.Errorf("look for what depends on the live tables: %w", err)
	}
	found, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (string, error) {
		var table, what string
		err := row.Scan(&table, &what)
		return what + " depends on table " + table, err
	})
	if err != nil {
		return fmt.Errorf("look for what depends on the live tables: %w", err)
	}
	if len(found) > 0 {
		return fmt.Errorf("%s: what is rebuilt can't take its place with that; drop it and make it again afterwards, or only compare (dry run)",
			strings.Join(found, "; "))
	}
	return nil
}

// connect makes the pool on which models run unchanged: what they name is found in the shadow first.
func connect(ctx context.Context, config *pgxpool.Config, p place) (*pgxpool.Pool, error) {
	config.MaxConns, config.MinConns = sessions, 0
	config.ConnConfig.RuntimeParams["application_name"] = "orderlog rebuild"
	before := config.AfterConnect
	path := pgx.Identifier{p.shadow}.Sanitize() + ", " + p.searchPath
	config.AfterConnect = func(ctx context.Context, conn *pgx.Conn) error {
		if before != nil {
			if err := before(ctx, conn); err != nil {
				return err
			}
		}
		var q pgx.Batch
		q.Queue(sqlNoTimeouts)
		q.Queue(sqlSession, p.owner, path)
		return conn.SendBatch(ctx, &q).Close()
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, fmt.Errorf("connect: %w", err)
	}
	return pool, nil
}

// claimWait is how long locks may take that a process may have left which has just been killed: PostgreSQL finds out
// when it next writes to it.
const claimWait = 3 * time.Second

// claim takes the locks by which there is one rebuild of a table at a time. They are the connection's that writes: when it
// is lost both are.
func claim(ctx context.Context, conn *pgxpool.Conn, name string, tables []string) error {
	sorted := slices.Sorted(slices.Values(tables)) // in one order, so that two don't wait for each other
	err := withLockTimeout(ctx, conn, claimWait, func() error {
		for _, table := range sorted {
			if _, err := conn.Exec(ctx, sqlLockTable, table); err != nil {
				return err
			}
		}
		_, err := conn.Exec(ctx, sqlLockName, name)
		return err
	})
	if isBusy(err) {
		return ErrRunning
	}
	if err != nil {
		return fmt.Errorf("claim the tables: %w", err)
	}
	return nil
}

// withLockTimeout does something outside a transaction.
func withLockTimeout(ctx context.Context, conn *pgxpool.Conn, timeout time.Duration, do func() error) error {
	if _, err := conn.Exec(ctx, sqlSessionLockTimeout, milliseconds(timeout)); err != nil {
		return err
	}
	err := do()
	if conn.Conn().IsClosed() || ctx.Err() != nil {
		return err
	}
	_, resetErr := conn.Exec(ctx, sqlSessionLockTimeout, "0")
	return errors.Join(err, resetErr)
}

// milliseconds is a timeout as PostgreSQL takes it; never 0, which would be none.
func milliseconds(d time.Duration) string { return fmt.Sprint(max(d.Milliseconds(), 1)) }

// isBusy: a lock was not to be had in time, or only by breaking a deadlock. Nothing is wrong.
func isBusy(err error) bool {
	var pgErr *pgconn.PgError
	return errors.As(err, &pgErr) && (pgErr.Code == "55P03" || pgErr.Code == "40P01")
}

// isOutside: what failed is not what an event asked for but the server or the way to it.
func isOutside(err error) bool {
	var pgErr *pgconn.PgError
	if !errors.As(err, &pgErr) {
		return pgconn.SafeToRetry(err) || pgconn.Timeout(err)
	}
	return slices.Contains([]string{"08", "53", "57", "58", "XX"}, pgErr.Code[:2]) || isBusy(err)
}

// groupOf returns the models' group and all their tables.
func groupOf(models []projections.ReadModel) (group string, tables []string, err error) {
	if len(models) == 0 {
		return "", nil, errors.New("no read model to rebuild")
	}
	group = models[0].Group
	for _, m := range models {
		if m.Group != group {
			return "", nil, fmt.Errorf("%s is of group %s and %s of %s: rebuild them one after the other", models[0].Name, group, m.Name, m.Group)
		}
		for _, t := range m.Tables {
			if slices.Contains(tables, t) {
				return "", nil, fmt.Errorf("two read models keep table %s", t)
			}
			tables = append(tables, t)
		}
	}
	return group, tables, nil
}
