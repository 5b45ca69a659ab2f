package migrations_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/migrations"
)

// The statements that a node's role is refused, on a log that holds events.
func TestANodesRoleCanDoNoMoreThanItMust(t *testing.T) {
	t.Parallel()
	owners := pgtest.Database(t)
	own := pgtest.Pool(t, owners)
	exec(t, own, event(1, "order", "order.placed"), `INSERT INTO merkle_tiles VALUES (0, 0, '\x00')`)
	roles, role := pgtest.Role(t, owners)
	if err := migrations.Grant(t.Context(), owners, role); err != nil {
		t.Fatal(err)
	}
	pool := pgtest.Pool(t, roles)
	for _, sql := range []string{
		`UPDATE events SET data = '{}'`, `UPDATE events_p00000000 SET data = '{}'`,
		`DELETE FROM events`, `DELETE FROM events_p00000000`,
		`TRUNCATE events`, `TRUNCATE events_p00000000`,
		`INSERT INTO events_p00000000 SELECT * FROM events`, `SELECT FROM events_p00000000`,
		`MERGE INTO events e USING (SELECT 1 AS seq) s ON e.seq = s.seq WHEN MATCHED THEN DELETE`,
		`ALTER TABLE events DISABLE TRIGGER refuse_statement`, `ALTER TABLE events_p00000000 DISABLE TRIGGER ALL`,
		`ALTER TABLE events DETACH PARTITION events_p00000000`, `ALTER TABLE events ADD COLUMN x int`,
		`ALTER TABLE events OWNER TO CURRENT_USER`, `ALTER TABLE events RENAME TO e`,
		`DROP TABLE events`, `DROP TABLE events_p00000000`, `DROP TRIGGER refuse_statement ON events`,
		`CREATE TRIGGER t BEFORE INSERT ON events FOR EACH ROW EXECUTE FUNCTION refuse_change()`,
		`CREATE RULE r AS ON INSERT TO events DO INSTEAD NOTHING`, `CREATE INDEX ON events (type)`,
		`SET session_replication_role = replica`,

		`UPDATE log_head SET log_id = gen_random_uuid()`, `DELETE FROM log_head`, `INSERT INTO log_head DEFAULT VALUES`, `TRUNCATE log_head`,
		`DELETE FROM streams`, `UPDATE streams SET first_seq = 1`, `TRUNCATE streams`,
		`DELETE FROM idempotency_keys`, `UPDATE idempotency_keys SET answer = NULL`,
		`DELETE FROM merkle_tiles`, `UPDATE merkle_tiles SET n = 9`, `TRUNCATE merkle_tiles`,
		`DELETE FROM checkpoints`, `DELETE FROM audit_index`, `UPDATE audit_index SET actor = ''`, `TRUNCATE orders_view`,
		`DELETE FROM notification_log`, `UPDATE notification_log SET payload = '{}'`, `DROP TABLE notification_log_p00000000`,
		`DELETE FROM notification_channels`, `DELETE FROM track_points`,
		`SELECT setval('order_number_seq', 1)`, `ALTER SEQUENCE order_number_seq RESTART`,
		`UPDATE schema_migrations SET version = 1`, `DELETE FROM rebuilds`,

		`CREATE TABLE mine (n int)`, `CREATE SCHEMA mine`, `CREATE FUNCTION mine() RETURNS int LANGUAGE sql AS 'SELECT 1'`,
		`CREATE OR REPLACE FUNCTION add_partitions(parent text, size bigint, upto bigint) RETURNS void LANGUAGE sql AS ''`,
		`ALTER FUNCTION keep_partitions(text, bigint) RESET search_path`, `CREATE EXTENSION pgcrypto`, `CREATE ROLE mine`,
		`SELECT make_append_only('orders_view')`,

		`SELECT FROM pg_authid`, `SELECT rolpassword FROM pg_authid`, `COPY (SELECT 1) TO PROGRAM 'true'`, `COPY events TO '/tmp/events'`,
		`COPY track_points FROM '/etc/passwd'`, `SELECT pg_read_file('/etc/passwd')`, `SELECT lo_import('/etc/passwd')`,
		`ALTER SYSTEM SET fsync = off`, `ALTER ROLE CURRENT_USER SUPERUSER`, `SET ROLE postgres`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user`,

		// What runs with the owner's rights does what a node needs and nothing beyond.
		`SELECT keep_partitions('orders_view', 1)`, `SELECT keep_partitions('events', 20000000)`, `SELECT keep_partitions('events', -1)`,
		`SELECT keep_partitions('events', NULL)`, `SELECT keep_partitions(NULL, 1)`, `SELECT keep_partitions('events; DROP TABLE events', 1)`,
		`SELECT add_partitions('streams', 1000000, 1000000)`, `SELECT add_partitions('notification_log', 100000, 9000000)`,
		`SELECT drop_notifications('notification_log_p00000000')`, `SELECT drop_notifications('events_p00000000')`,
		`SELECT drop_notifications('orders_view')`, `SELECT drop_notifications('notification_log')`, `SELECT drop_notifications(NULL)`,
		`SELECT drop_notifications('notification_log_p00000000, events')`,
	} {
		if _, err := pool.Exec(t.Context(), sql); !refusedByRights(err) {
			t.Errorf("%s: %v", sql, err)
		}
	}
	if got := text(t, own, `SELECT string_agg(seq || ' ' || type || ' ' || data, ',') FROM events`); got != "1 order.placed {}" {
		t.Errorf("the log holds %s", got)
	}
}

// refusedByRights: 42501 is PostgreSQL's, and 42601, 22023 and the like would mean that the statement was never tried.
func refusedByRights(err error) bool {
	var refused *pgconn.PgError
	return errors.As(err, &refused) && refused.Code == "42501"
}

func TestWhatANodeAsksOfTheOwnersRights(t *testing.T) {
	t.Parallel()
	owners := pgtest.Database(t)
	own := pgtest.Pool(t, owners)
	roles, role := pgtest.Role(t, owners)
	if err := migrations.Grant(t.Context(), owners, role); err != nil {
		t.Fatal(err)
	}
	// One connection, in which the role has put tables of its own in front of the log's.
	conn, err := pgx.Connect(t.Context(), roles)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.WithoutCancel(t.Context())) })
	for _, sql := range []string{
		`CREATE TEMP TABLE log_head AS SELECT 1000000000 AS seq`,
		`CREATE TEMP TABLE notification_floor AS SELECT 1000000000 AS floor`,
		`CREATE TEMP TABLE events (n int)`, `GRANT SELECT ON log_head, notification_floor TO PUBLIC`, // for the owner to fall for
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for _, sql := range []string{`SELECT keep_partitions('events', 900000000)`, `SELECT drop_notifications('notification_log_p00000000')`} {
		if _, err := conn.Exec(t.Context(), sql); !refusedByRights(err) {
			t.Errorf("with tables of the role's own in front, %s: %v", sql, err)
		}
	}
	for _, sql := range []string{
		`SELECT add_partitions('events', 1000000, 3000000)`, `SELECT keep_partitions('notification_log', 500000)`,
		`UPDATE public.notification_floor SET floor = 199999`, `SELECT drop_notifications('notification_log_p00000001')`,
	} {
		if _, err := conn.Exec(t.Context(), sql); err != nil {
			t.Errorf("%s: %v", sql, err)
		}
	}
	others, _ := pgtest.Role(t, owners)
	stranger := pgtest.Pool(t, others)
	for _, sql := range []string{`SELECT keep_partitions('events', 1000000)`, `SELECT drop_notifications('notification_log_p00000000')`} {
		if _, err := stranger.Exec(t.Context(), sql); err == nil || !strings.Contains(err.Error(), "permission denied for function") {
			t.Errorf("by a role that was granted nothing, %s: %v", sql, err)
		}
	}
	const look = `SELECT string_agg(inhrelid::regclass::text, ' ' ORDER BY 1) FROM pg_inherits WHERE inhparent = 'events'::regclass`
	if got := text(t, own, look); !strings.Contains(got, "events_p00000003") {
		t.Errorf("there are %s", got)
	}
	if got := text(t, own, strings.ReplaceAll(look, "'events'", "'notification_log'")); strings.Contains(got, "p00000001") || !strings.Contains(got, "p00000005") {
		t.Errorf("there are %s", got)
	}
	// What the owner's rights made is the owner's, and as append-only as the others.
	for _, sql := range []string{`DELETE FROM events_p00000003`, `TRUNCATE events_p00000003`} {
		if _, err := own.Exec(t.Context(), sql); !refusedByRights(err) {
			t.Errorf("%s: %v", sql, err)
		}
	}
}

func TestEveryTableIsGrantedOrNot(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	got := text(t, pgtest.Pool(t, url), `SELECT string_agg(relname, ' ' ORDER BY relname) FROM pg_class
		WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition`)
	if want := strings.Join(migrations.GrantedTables(), " "); got != want {
		t.Errorf("the tables are\n%s, and granted are\n%s", got, want)
	}
}

func TestRolesThatAreNotGranted(t *testing.T) {
	t.Parallel()
	owners := pgtest.Database(t)
	super := pgtest.Pool(t, pgtest.SuperuserURL(t, owners))
	roles, role := pgtest.Role(t, owners)
	owner := text(t, super, `SELECT tableowner FROM pg_tables WHERE tablename = 'events'`)

	refused := func(databaseURL, role, says string) {
		t.Helper()
		if err := migrations.Grant(t.Context(), databaseURL, role); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("granting to %s: %v, want %q", role, err, says)
		}
	}
	refused(owners, "nobody-of-that-name", "there is no role")
	refused(owners, owner, "has the rights of the tables' owner")
	exec(t, super, `ALTER ROLE `+role+` CREATEDB`)
	refused(owners, role, "may do more than any grant says")
	exec(t, super, `ALTER ROLE `+role+` NOCREATEDB`, `GRANT CREATE ON SCHEMA public TO PUBLIC`)
	refused(owners, role, "create things in schema public")
	exec(t, super, `REVOKE CREATE ON SCHEMA public FROM PUBLIC`, `GRANT DELETE ON track_points TO `+role, `GRANT CREATE ON SCHEMA public TO `+role)
	exec(t, super, `GRANT pg_read_server_files TO `+role)
	refused(owners, role, "use role pg_read_server_files")
	exec(t, super, `REVOKE pg_read_server_files FROM `+role, `REVOKE CREATE ON SCHEMA public FROM `+role)
	for range 2 {
		if err := migrations.Grant(t.Context(), owners, role); err != nil {
			t.Errorf("granting to %s: %v", role, err)
		}
	}
	refused(roles, role, "only the tables' owner can grant")
}

func TestARoleThatMayNotMigrateIsToldWhatToDo(t *testing.T) {
	t.Parallel()
	owners := pgtest.Database(t)
	roles, role := pgtest.Role(t, owners)
	if err := migrations.Grant(t.Context(), owners, role); err != nil {
		t.Fatal(err)
	}
	if err := migrations.Up(t.Context(), roles); err != nil {
		t.Errorf("a schema that is current: %v", err)
	}
	exec(t, pgtest.Pool(t, owners), fmt.Sprintf(`UPDATE schema_migrations SET version = %d`, latest-1))
	if err := migrations.Up(t.Context(), roles); !errors.Is(err, migrations.ErrMayNotMigrate) || !strings.Contains(err.Error(), "app migrate grant") {
		t.Errorf("a schema that is behind: %v", err)
	}
	if status, err := migrations.ReadStatus(owners); err != nil || status.Dirty || status.Version != latest-1 {
		t.Errorf("it left %+v, %v", status, err)
	}
	if err := migrations.Grant(t.Context(), owners, role); err == nil || !strings.Contains(err.Error(), "app migrate up") {
		t.Errorf("granting on a schema that is behind: %v", err)
	}
}
