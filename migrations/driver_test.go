package migrations_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5/pgconn"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/migrations"
)

// files are migrations by their text.
func files(texts ...string) fstest.MapFS {
	fs := fstest.MapFS{}
	for i, text := range texts {
		fs["000"+string(rune('1'+i))+"_x.up.sql"] = &fstest.MapFile{Data: []byte(text)}
	}
	return fs
}

// Somebody's report keeps a table for long. The migration that needs the table does not keep those waiting who read and
// write it meanwhile, and is there when the report is done.
func TestAMigrationBehindALongTransactionStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	pool := pgtest.Pool(t, url)
	exec(t, pool, `CREATE TABLE probe (n int)`)
	report, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if _, err := report.Exec(t.Context(), `SELECT * FROM probe`); err != nil {
		t.Fatal(err)
	}
	told, done := make(chan string, 100), make(chan error, 1)
	go func() {
		done <- migrations.UpTo(t.Context(), url, files(`CREATE TABLE other (n int); ALTER TABLE probe ADD m int`), func(why string) { told <- why })
	}()
	if why := parttest.Await(t, "the migration to say that it waits", told); !strings.Contains(why, "tried again") {
		t.Errorf("it says %q", why)
	}
	for range 20 { // over more than one try
		ctx, cancel := context.WithTimeout(t.Context(), 8*time.Second)
		if _, err := pool.Exec(ctx, `INSERT INTO probe SELECT 1 FROM pg_sleep(0.2)`); err != nil {
			t.Errorf("a node can't go on while the migration waits: %v", err)
		}
		cancel()
	}
	if got := text(t, pool, `SELECT count(*) || ' ' || coalesce(to_regclass('other')::text, 'none') FROM schema_migrations`); got != "0 none" {
		t.Errorf("while it waits something is left of it: %s", got)
	}
	if err := report.Rollback(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := parttest.Await(t, "the migration", done); err != nil {
		t.Error(err)
	}
	if got := text(t, pool, `SELECT version || ' ' || dirty || ' ' || (SELECT count(m) FROM probe) FROM schema_migrations`); got != "1 false 0" {
		t.Errorf("afterwards: %s", got)
	}
}

// A backup reads the schema's number and keeps it for as long as it takes. The migration, which records its own, is tried
// again, waits for nobody when it has happened, and keeps nobody from reading.
func TestAMigrationBehindABackupStandsInNobodysWay(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	pool := pgtest.Pool(t, url)
	first, second := `CREATE TABLE one (n int)`, `CREATE TABLE two (n int)`
	if err := migrations.UpTo(t.Context(), url, files(first), nil); err != nil {
		t.Fatal(err)
	}
	backup, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = backup.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := backup.Exec(t.Context(), `LOCK TABLE schema_migrations IN ACCESS SHARE MODE`); err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- migrations.UpTo(t.Context(), url, files(first, second), func(string) {}) }()
	if err := parttest.Await(t, "the migration", done); err != nil {
		t.Error(err)
	}
	if got := text(t, pool, `SELECT version || ' ' || dirty FROM schema_migrations`); got != "2 false" {
		t.Errorf("afterwards it is at %s", got)
	}
}

func TestWhoWaitsToMigrateIsToldToStop(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	pool := pgtest.Pool(t, url)
	exec(t, pool, `CREATE TABLE probe (n int)`)
	report, err := pool.Begin(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = report.Rollback(context.WithoutCancel(t.Context())) }()
	if _, err := report.Exec(t.Context(), `SELECT * FROM probe`); err != nil {
		t.Fatal(err)
	}
	migration := files(`ALTER TABLE probe ADD m int`)
	for _, why := range []string{"tried again", "another node"} { // the first waits for the report, the second for the first
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		told, done := make(chan string, 100), make(chan error, 1)
		go func() { done <- migrations.UpTo(ctx, url, migration, func(why string) { told <- why }) }()
		if got := parttest.Await(t, "it to wait", told); !strings.Contains(got, why) {
			t.Errorf("it waits because %s, want %s", got, why)
		}
		if why == "another node" {
			cancel()
			if err := parttest.Await(t, "it to stop", done); !errors.Is(err, context.Canceled) {
				t.Errorf("it ended with %v", err)
			}
		}
	}
}

// A migration that fails leaves nothing behind, and neither do those that end in the middle: it may be run again.
func TestAMigrationHappensOrItDoesNot(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	pool := pgtest.Pool(t, url)
	err := migrations.UpTo(t.Context(), url, files(`CREATE TABLE one (n int)`, `CREATE TABLE two (n int); SELECT 1/0;`), nil)
	var refused *pgconn.PgError
	if !errors.As(err, &refused) || refused.Code != "22012" || strings.Contains(err.Error(), "CREATE TABLE") {
		t.Errorf("the error is %v", err)
	}
	const stands = `SELECT version || ' ' || dirty || ' ' || (to_regclass('one') IS NOT NULL) || ' ' || (to_regclass('two') IS NOT NULL) FROM schema_migrations`
	if got := text(t, pool, stands); got != "1 false true false" {
		t.Errorf("it stands at %s", got)
	}
	if err := migrations.UpTo(t.Context(), url, files(`CREATE TABLE one (n int)`, `CREATE TABLE two (n int)`), nil); err != nil {
		t.Error(err)
	}
	if got := text(t, pool, stands); got != "2 false true true" {
		t.Errorf("mended, it stands at %s", got)
	}
}

func TestOfManyWhoMigrateAtOnceOneDoes(t *testing.T) {
	t.Parallel()
	url := pgtest.Empty(t)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			if err := migrations.Up(t.Context(), url); err != nil { // a second time would fail
				t.Error(err)
			}
		})
	}
	all.Wait()
	if status, err := migrations.ReadStatus(url); err != nil || status.Version != latest || status.Dirty {
		t.Errorf("the status is %+v, %v", status, err)
	}
}
