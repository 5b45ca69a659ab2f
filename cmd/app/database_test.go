package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/migrations"
)

// What settles the pool may stand in DATABASE_URL, for the commands that open one and for those that do not.
func TestThePoolIsSettledByTheDatabasesAddress(t *testing.T) {
	t.Parallel()
	address := pgtest.Database(t)
	for _, tc := range []struct {
		query string
		tool  bool
		want  int32
	}{
		{"", false, poolSize},
		{"", true, toolPoolSize},
		{"&pool_max_conns=7&pool_min_conns=1", false, 7},
		{"&pool_max_conns=7", true, 7},
	} {
		cfg := config.Config{DatabaseURL: address + tc.query}
		open := openDatabase
		if tc.tool {
			open = attachDatabase
		}
		d, err := open(t.Context(), cfg, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatalf("%q: %v", tc.query, err)
		}
		pool, err := d.pool(t.Context())
		if err != nil {
			t.Fatalf("%q: %v", tc.query, err)
		}
		if got := pool.Config().MaxConns; got != tc.want {
			t.Errorf("%q: a pool of %d, want %d", tc.query, got, tc.want)
		}
		pool.Close()
		if _, err := migrations.ReadStatus(d.url); err != nil {
			t.Errorf("%q: %v", tc.query, err)
		}
	}
}

func TestFilesAreLeftForTheDatabasesConnections(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]int{
		"": poolSize + 1, "postgres://u@h/d": poolSize + 1, "postgres://u@h/d?pool_max_conns=300": 301,
	} {
		if got := nodeConns(address); got != want {
			t.Errorf("%q: %d connections, want %d", address, got, want)
		}
	}
}

// A node that is frozen in a transaction keeps the others waiting for as long as its session lives. What is longer than 3 s
// came with the server, the database or the role, if nobody said it to the node.
func TestANodesSessionDoesNotIdleInATransaction(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ database, address, want string }{
		{"0", "", "3s"},
		{"'1d'", "", "3s"},
		{"'4s'", "", "3s"},
		{"'2s'", "", "2s"},
		{"'1d'", "&idle_in_transaction_session_timeout=10000", "10s"},
		{"'1d'", "&options=-c%20idle_in_transaction_session_timeout%3D0", "0"},
	} {
		address := pgtest.Database(t)
		pool := pgtest.Pool(t, address)
		sql := `ALTER DATABASE ` + pgx.Identifier{pool.Config().ConnConfig.Database}.Sanitize() + ` SET idle_in_transaction_session_timeout = ` + tc.database
		if _, err := pool.Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
		nodes, err := given(address + tc.address).nodePool(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		defer nodes.Close()
		var got string
		if err := nodes.QueryRow(t.Context(), `SHOW idle_in_transaction_session_timeout`).Scan(&got); err != nil {
			t.Fatal(err)
		}
		if got != tc.want {
			t.Errorf("where the database says %s and the address %q it is %s, want %s", tc.database, tc.address, got, tc.want)
		}
	}
}

// toolCommands need a database, and nothing of it that is not there already.
var toolCommands = []string{
	"audit history ORD-000001", "audit export", "audit verify", "audit bundle ORD-000001",
	"projections status", "projections rebuild orders",
}

func TestToolsMakeNoDatabaseAndChangeNoSchema(t *testing.T) {
	t.Parallel()
	empty, older, newer, dirty := pgtest.Empty(t), pgtest.Database(t), pgtest.Database(t), pgtest.Database(t)
	for address, sql := range map[string]string{
		older: `UPDATE schema_migrations SET version = 3`,
		newer: `UPDATE schema_migrations SET version = 9999`, dirty: `UPDATE schema_migrations SET dirty = true`,
	} {
		if _, err := pgtest.Pool(t, address).Exec(t.Context(), sql); err != nil {
			t.Fatal(err)
		}
	}
	for name, tc := range map[string]struct {
		databaseURL string
		says        string
	}{
		"no database":          {"", "DATA_DIR"},
		"a database of no log": {empty, "app serve"},
		"an older schema":      {older, "app migrate up"},
		"a newer schema":       {newer, "the newer program"},
		"a broken schema":      {dirty, "app migrate status"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			before := schemaOf(t, tc.databaseURL)
			for _, command := range toolCommands {
				folder := filepath.Join(t.TempDir(), "data")
				env := settings{"DATABASE_URL": tc.databaseURL, "DATA_DIR": folder}
				var out bytes.Buffer
				err := run(t.Context(), strings.Fields(command), env.getenv, &out, io.Discard)
				if exitCode(err) != 1 || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") || out.Len() > 0 {
					t.Errorf("app %s ended with %v and wrote %q, want an error with %q", command, err, out.String(), tc.says)
				}
				if _, err := os.Stat(folder); err == nil {
					t.Errorf("app %s made %s", command, folder)
				}
			}
			if after := schemaOf(t, tc.databaseURL); after != before {
				t.Errorf("the schema was\n%s\nand is\n%s", before, after)
			}
		})
	}
}

// schemaOf lists a database's tables and the version of its schema.
func schemaOf(t *testing.T, databaseURL string) (s string) {
	t.Helper()
	if databaseURL == "" {
		return ""
	}
	pool := pgtest.Pool(t, databaseURL)
	err := pool.QueryRow(t.Context(), `SELECT coalesce(string_agg(tablename, ' ' ORDER BY tablename), '') FROM pg_tables WHERE schemaname = 'public'`).Scan(&s)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(s, "schema_migrations") {
		var version string
		if err := pool.QueryRow(t.Context(), `SELECT version || ' ' || dirty FROM schema_migrations`).Scan(&version); err != nil {
			t.Fatal(err)
		}
		s += " at " + version
	}
	return s
}

// A private PostgreSQL is shared with the server that runs it, and started where none does.
func TestToolsUseThePrivateDatabase(t *testing.T) {
	t.Parallel()
	env := settings{"DATA_DIR": dataFolder(t), "PORT": "0", "LOG_LEVEL": "error"}
	s := start(t, env)
	token := output(t, []string{"token", "--user", "boss", "--role", "admin"}, env)
	s.must(t, 200, "PATCH", "/api/v1/business/status", token, map[string]any{"isOpen": true})
	for _, running := range []bool{true, false, false} {
		if !running {
			s.stop()
		}
		got := told(t, env, "projections status")
		if !strings.Contains(got, "views") || !strings.Contains(got, "current") {
			t.Errorf("with a server (%v) the status is\n%s", running, got)
		}
	}
	// It goes with the command: a server may be started on it.
	start(t, env)
}

func TestAToolIsToldToStopWhileItWaitsForTheDatabase(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	env := settings{"DATABASE_URL": pgtest.Database(t)}
	for _, command := range toolCommands {
		err := run(ctx, strings.Fields(command), env.getenv, io.Discard, io.Discard)
		if exitCode(err) != 1 || err.Error() != "stopped" {
			t.Errorf("app %s ended with %v", command, err)
		}
	}
}

func TestAddressesOfConnections(t *testing.T) {
	t.Parallel()
	for address, want := range map[string]string{
		"postgres://u:p%40@h:5432/d":                                         "postgres://u:p%40@h:5432/d",
		"postgres://u:p%40@h/d?sslmode=disable":                              "postgres://u:p%40@h/d?sslmode=disable",
		"postgres://u:p%40@h/d?pool_max_conns=3":                             "postgres://u:p%40@h/d",
		"postgres:///d?host=/run/pool_a&pool_max_conns=3&pool_min_conns=1":   "postgres:///d?host=%2Frun%2Fpool_a",
		"postgres:///d?host=/run/pool_a&application_name=spool_b&sslmode=no": "postgres:///d?application_name=spool_b&host=%2Frun%2Fpool_a&sslmode=no",
	} {
		got := given(address)
		same := func(a, b string) bool {
			x, err1 := url.Parse(a)
			y, err2 := url.Parse(b)
			return err1 == nil && err2 == nil && fmt.Sprint(x.Query()) == fmt.Sprint(y.Query()) && x.Path == y.Path && fmt.Sprint(x.User) == fmt.Sprint(y.User)
		}
		if !same(got.url, want) || got.given != address {
			t.Errorf("%s is connected to as %s, want %s", address, got.url, want)
		}
	}
}
