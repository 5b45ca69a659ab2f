package migrations

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/jackc/pgx/v5"
)

// grants is what a node does to each table, and no more. Nobody may change the log or its tree's past through it: the
// triggers and `app audit verify` are for those who have the owner's rights.
var grants = map[string]string{
	"log_head":         "SELECT, UPDATE (seq, recorded_at)", // not the log's id
	"events":           "SELECT, INSERT",
	"streams":          "SELECT, INSERT, UPDATE (version, last_seq)",
	"idempotency_keys": "SELECT, INSERT",

	"checkpoints":           "SELECT, UPDATE",
	"notification_log":      "SELECT, INSERT",
	"notification_channels": "SELECT, INSERT",
	"notification_floor":    "SELECT, UPDATE",
	"orders_view":           "SELECT, INSERT, UPDATE",
	"products_view":         "SELECT, INSERT, UPDATE",
	"business_view":         "SELECT, INSERT, UPDATE",
	"payments_view":         "SELECT, INSERT, UPDATE",
	"couriers_view":         "SELECT, INSERT, UPDATE",
	"track_points":          "SELECT, INSERT",
	"offers_view":           "SELECT, INSERT, UPDATE",
	"inbox_view":            "SELECT, INSERT, UPDATE",
	"inbox_readers":         "SELECT, INSERT",
	"audit_index":           "SELECT, INSERT",
	"merkle_tiles":          "SELECT, INSERT, UPDATE (hashes)",
	"rebuilds":              "SELECT",
	"recovery_rooms":        "SELECT, INSERT, UPDATE, DELETE",
	"event_tickets":         "SELECT, INSERT, UPDATE (expires_at), DELETE", // who clears away locks what he clears
	"schema_migrations":     "SELECT",
}

// functions are what a node calls. What they do they do with its own rights, but for the two that need the owner's,
// which check what they are asked.
var functions = []string{
	"append_events_2(text[],uuid[],bigint[],text[],uuid[],bigint[],bigint[],bigint[],bigint[],uuid[],text[],uuid[],bigint[],text[],jsonb[],jsonb[],text[],text[],bytea[],bigint[],bigint[],text[],text)",
	"add_partitions(text,bigint,bigint)", "keep_partitions(text,bigint)", "drop_notifications(text)",
}

// Grant gives role, which must be there, what a node needs of the database at databaseURL, and takes from it what else it
// was granted on the tables. It must be asked by the tables' owner, and the schema must be the newest; it may be asked again.
//
// It refuses a role that can do more by other ways: by being a superuser or the owner, or by rights that everybody has.
func Grant(ctx context.Context, databaseURL, role string) error {
	status, err := ReadStatus(databaseURL)
	if err != nil {
		return err
	}
	if status.Version != status.Latest || status.Dirty {
		return fmt.Errorf("the schema is at version %d of %d: run app migrate up first", status.Version, status.Latest)
	}
	conn, err := pgx.Connect(ctx, databaseURL)
	if err != nil {
		return fmt.Errorf("connect to grant: %w", err)
	}
	defer conn.Close(context.WithoutCancel(ctx))
	return pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		if err := mayBeGranted(ctx, tx, role); err != nil {
			return err
		}
		var schema string
		if err := tx.QueryRow(ctx, `SELECT current_schema()`).Scan(&schema); err != nil {
			return err
		}
		for _, sql := range grantsTo(schema, role) {
			if _, err := tx.Exec(ctx, sql); err != nil {
				return fmt.Errorf("%s: %w", sql, err)
			}
		}
		return holdsNoMore(ctx, tx, role)
	})
}

// grantsTo are the statements, in their order.
func grantsTo(schema, role string) []string {
	in, to := pgx.Identifier{schema}.Sanitize(), pgx.Identifier{role}.Sanitize()
	statements := []string{
		"REVOKE ALL ON ALL TABLES IN SCHEMA " + in + " FROM " + to,
		"REVOKE ALL ON ALL SEQUENCES IN SCHEMA " + in + " FROM " + to,
		"REVOKE ALL ON ALL FUNCTIONS IN SCHEMA " + in + " FROM " + to,
		"REVOKE ALL ON SCHEMA " + in + " FROM " + to,
		"GRANT USAGE ON SCHEMA " + in + " TO " + to,
		"GRANT USAGE ON SEQUENCE " + in + ".order_number_seq TO " + to,
	}
	for table, rights := range grants {
		statements = append(statements, "GRANT "+rights+" ON "+in+"."+table+" TO "+to)
	}
	for _, function := range functions {
		statements = append(statements, "GRANT EXECUTE ON FUNCTION "+in+"."+function+" TO "+to)
	}
	return statements
}

func mayBeGranted(ctx context.Context, tx pgx.Tx, role string) error {
	const look = `
SELECT r.rolsuper OR r.rolcreaterole OR r.rolcreatedb OR r.rolreplication OR r.rolbypassrls,
	pg_has_role(r.oid, t.relowner, 'MEMBER'), pg_has_role(t.relowner, 'USAGE')
FROM pg_roles r, pg_class t WHERE r.rolname = $1 AND t.oid = 'events'::regclass`
	var powerful, owner, allowed bool
	err := tx.QueryRow(ctx, look, role).Scan(&powerful, &owner, &allowed)
	switch {
	case errors.Is(err, pgx.ErrNoRows):
		return fmt.Errorf("there is no role %s: make it first, CREATE ROLE %s LOGIN PASSWORD '…'", role, pgx.Identifier{role}.Sanitize())
	case err != nil:
		return fmt.Errorf("look at role %s: %w", role, err)
	case !allowed:
		return errors.New("only the tables' owner can grant: set DATABASE_URL to one of the role that ran app migrate up")
	case owner:
		return fmt.Errorf("role %s has the rights of the tables' owner: grant to another role", role)
	case powerful:
		return fmt.Errorf("role %s may do more than any grant says: ALTER ROLE %s NOSUPERUSER NOCREATEDB NOCREATEROLE NOREPLICATION NOBYPASSRLS",
			role, pgx.Identifier{role}.Sanitize())
	}
	return nil
}

// holdsNoMore looks for rights that the role has by others or by everybody's.
func holdsNoMore(ctx context.Context, tx pgx.Tx, role string) error {
	const look = `
SELECT format('create things in schema %s', nspname) FROM pg_namespace
WHERE nspname = current_schema() AND has_schema_privilege($1, oid, 'CREATE')
UNION ALL
SELECT format('%s table %s', p, c.relname)
FROM pg_class c, unnest('{UPDATE,DELETE,TRUNCATE,REFERENCES,TRIGGER}'::text[]) p
WHERE c.oid IN (SELECT 'events'::regclass UNION SELECT inhrelid FROM pg_inherits WHERE inhparent = 'events'::regclass)
	AND has_table_privilege($1, c.oid, p)
UNION ALL
SELECT format('use role %s', rolname) FROM pg_roles WHERE rolname ~ '^pg_(read_server|write_server|execute_server|write_all|signal)'
	AND pg_has_role($1, oid, 'MEMBER')
LIMIT 5`
	rows, err := tx.Query(ctx, look, role)
	if err != nil {
		return fmt.Errorf("look at what role %s may do: %w", role, err)
	}
	more, err := pgx.CollectRows(rows, pgx.RowTo[string])
	if err != nil {
		return fmt.Errorf("look at what role %s may do: %w", role, err)
	}
	if len(more) > 0 {
		return fmt.Errorf("role %s may also %s, by PUBLIC or by a role that it is in: revoke that first (REVOKE CREATE ON SCHEMA public FROM PUBLIC, for one)",
			role, strings.Join(more, ", "))
	}
	return nil
}
