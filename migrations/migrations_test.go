package migrations_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/migrations"
)

func TestMain(m *testing.M) { pgtest.Main(m) }

const latest = 8

// to migrates a database to a version, through Up to the latest.
func to(t *testing.T, url string, version uint) {
	t.Helper()
	var err error
	if version == latest {
		err = migrations.Up(t.Context(), url)
	} else {
		err = migrations.To(url, version)
	}
	if err != nil {
		t.Fatalf("migrate to %d: %v", version, err)
	}
}

// schema describes all that migrations make: columns, indexes, constraints, functions and triggers.
func schema(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	return text(t, pool, `
SELECT string_agg(line, E'\n' ORDER BY line) FROM (
	SELECT format('%s.%s %s %s %s', table_name, column_name, data_type, is_nullable, column_default)
	FROM information_schema.columns WHERE table_schema = 'public'
	UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public'
	UNION ALL SELECT format('%s %s', conrelid::regclass, pg_get_constraintdef(oid)) FROM pg_constraint
	WHERE connamespace = 'public'::regnamespace
	UNION ALL SELECT format('%s %s', oid::regprocedure, md5(prosrc)) FROM pg_proc WHERE pronamespace = 'public'::regnamespace
	UNION ALL SELECT format('%s %s', tgrelid::regclass, tgname) FROM pg_trigger
) AS found(line)`)
}

// state is what the data of the tables that version 3 changes looks like.
func state(t *testing.T, pool *pgxpool.Pool) string {
	t.Helper()
	return text(t, pool, `
SELECT format('groups %s; orders %s, products %s, business %s',
	(SELECT string_agg(group_name || '=' || position, ' ' ORDER BY group_name) FROM checkpoints WHERE group_name <> 'proofs'),
	(SELECT count(*) FROM orders_view), (SELECT count(*) FROM products_view), (SELECT count(*) FROM business_view))`)
}

func text(t *testing.T, pool *pgxpool.Pool, query string) (s string) {
	t.Helper()
	if err := pool.QueryRow(t.Context(), query).Scan(&s); err != nil {
		t.Fatal(err)
	}
	return s
}

func exec(t *testing.T, pool *pgxpool.Pool, statements ...string) {
	t.Helper()
	for _, sql := range statements {
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatalf("%s: %v", sql, err)
		}
	}
}

// event puts an event at a seq into the log.
func event(seq int, streamType, typ string) string {
	id := uuid.New()
	return fmt.Sprintf(`
WITH e AS (INSERT INTO events VALUES (%[1]d, gen_random_uuid(), '%[2]s', '%[3]s', 1, '%[4]s', '{}', '{}', now())),
     s AS (INSERT INTO streams VALUES ('%[2]s', '%[3]s', 1, %[1]d, %[1]d))
UPDATE log_head SET seq = %[1]d`, seq, streamType, id, typ)
}

// used is a database at version 2 in which an order was placed and shown, and a product added but not shown yet.
func used(t *testing.T) (url string, pool *pgxpool.Pool) {
	t.Helper()
	url = pgtest.Empty(t)
	to(t, url, 2)
	pool = pgtest.Pool(t, url)
	exec(
		t, pool,
		event(1, "order", "order.placed"), event(2, "product", "product.added"),
		`INSERT INTO orders_view VALUES (gen_random_uuid(), 'ann', '', 'placed', now(), 1, '{"version":1}')`,
		`INSERT INTO notification_log (seq, event, channels, payload, at) VALUES (1, 'order:new', '{role:admin}', '{"n": 1}', now())`,
		`UPDATE checkpoints SET position = 1`,
	)
	return url, pool
}

func TestEveryMigrationCanBeTakenBack(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	pool := pgtest.Pool(t, url)
	var schemas []string
	for version := uint(1); version <= latest; version++ {
		to(t, url, version)
		schemas = append(schemas, schema(t, pool))
	}
	for version := uint(latest) - 1; version > 0; version-- {
		to(t, url, version)
		if got, want := schema(t, pool), schemas[version-1]; got != want {
			t.Errorf("taken back to %d the schema is\n%s\nand was\n%s", version, got, want)
		}
	}
	to(t, url, latest)
	if got, want := schema(t, pool), schemas[latest-1]; got != want {
		t.Errorf("migrated again the schema is\n%s\nand was\n%s", got, want)
	}
	status, err := migrations.ReadStatus(url)
	if err != nil || status != (migrations.Status{Version: latest, Latest: latest}) {
		t.Errorf("the status is %+v, %v", status, err)
	}
}

func TestTheCatalogueComesToADatabaseThatIsInUse(t *testing.T) {
	t.Parallel()
	url, pool := used(t)
	to(t, url, latest)
	// The views go on where they were, inboxes begin with what happens next, and no refund is forgotten.
	if got, want := state(t, pool), "groups feed=1 inbox=2 refunds=0 views=1; orders 1, products 0, business 0"; got != want {
		t.Errorf("migrated: %s; want %s", got, want)
	}
	if got := text(t, pool, `SELECT payload::text || coalesce(endings::text, ' without endings') FROM notification_log`); got != `{"n": 1} without endings` {
		t.Errorf("the notification from before is %s", got)
	}
	// Also in partitions from before and in those that are made later.
	exec(
		t, pool, `SELECT add_partitions('notification_log', 100000, 500000)`,
		`INSERT INTO notification_log (seq, event, channels, payload, at, endings) SELECT seq, '', '{}', '{}', now(), '[{}]' FROM unnest('{2,499999}'::bigint[]) seq`,
	)

	to(t, url, 2)
	if got, want := state(t, pool), "groups feed=1 views=1; orders 1, products 0, business 0"; got != want {
		t.Errorf("taken back: %s; want %s", got, want)
	}
	to(t, url, latest)
	if got, want := state(t, pool), "groups feed=1 inbox=2 refunds=0 views=1; orders 1, products 0, business 0"; got != want {
		t.Errorf("migrated again: %s; want %s", got, want)
	}
}

func TestTheCatalogueIsDerivedAnewAfterItWasTakenBack(t *testing.T) {
	t.Parallel()
	for _, stream := range []string{"payment", "courier", "track", "offer", "offer_tally", "inbox_entry", "inbox_reader"} {
		t.Run(stream, func(t *testing.T) {
			t.Parallel()
			url, pool := used(t)
			to(t, url, latest)
			exec(
				t, pool, event(3, "order", "order.placed"), event(4, stream, "of.that"), event(5, "order", "order.placed"),
				`UPDATE checkpoints SET position = 5`,
			)
			to(t, url, 2)
			to(t, url, latest)
			want := "groups feed=5 inbox=5 refunds=0 views=0; orders 0, products 0, business 0"
			if stream == "inbox_entry" { // what may not have been entered yet is handled again
				want = strings.Replace(want, "inbox=5", "inbox=3", 1)
			}
			if got := state(t, pool); got != want {
				t.Errorf("%s; want %s", got, want)
			}
		})
	}
}

func TestADatabaseOfANewerProgramIsLeftAlone(t *testing.T) {
	t.Parallel()
	url := pgtest.Database(t)
	pool := pgtest.Pool(t, url)
	exec(t, pool, fmt.Sprintf(`UPDATE schema_migrations SET version = %d`, latest+1))
	if err := migrations.Up(t.Context(), url); !errors.Is(err, migrations.ErrNewerSchema) {
		t.Errorf("migrating it: %v", err)
	}
}
