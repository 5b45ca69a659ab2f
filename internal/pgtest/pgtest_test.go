package pgtest

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// memberVariable turns the test binary into a member of the server in the folder it names, until its input ends.
const memberVariable = "ORDERLOG_PGTEST_TEST_MEMBER"

func TestMain(m *testing.M) {
	if folder := os.Getenv(memberVariable); folder != "" && os.Getenv(keeperVariable) == "" {
		os.Exit(beMember(folder, os.Stdin, os.Stdout))
	}
	code := Run(m)
	if err := goleak.Find(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

func beMember(folder string, in io.Reader, out io.Writer) int {
	ctx, cancel := context.WithTimeout(context.Background(), joinAtMost)
	defer cancel()
	m, err := join(ctx, folder)
	if err != nil {
		fmt.Fprintln(out, "error", err)
		return 1
	}
	fmt.Fprintln(out, m.keeper, m.Superuser)
	_, _ = bufio.NewReader(in).ReadByte()
	if err := m.leave(); err != nil {
		fmt.Fprintln(out, "error", err)
		return 1
	}
	return 0
}

func TestADatabaseHasTheMigrationsAndAnOwnerWithoutPower(t *testing.T) {
	t.Parallel()
	address := Database(t)
	conn := connect(t, address)
	var (
		superuser bool
		owner     bool
		log       bool
	)
	const look = `SELECT rolsuper OR rolcreaterole OR rolcreatedb, d.datdba = r.oid, to_regclass('events') IS NOT NULL
		FROM pg_roles r, pg_database d WHERE rolname = current_user AND datname = current_database()`
	if err := conn.QueryRow(t.Context(), look).Scan(&superuser, &owner, &log); err != nil {
		t.Fatal(err)
	}
	if superuser || !owner || !log {
		t.Errorf("superuser %v, owner %v, has the log's table %v", superuser, owner, log)
	}
	if got := value[string](t, conn, `SHOW synchronous_commit`); got != "on" {
		t.Errorf("synchronous_commit is %q, in production it is on", got)
	}
}

func TestAnEmptyDatabaseIsEmpty(t *testing.T) {
	t.Parallel()
	conn := connect(t, Empty(t))
	if n := value[int](t, conn, `SELECT count(*) FROM pg_tables WHERE schemaname = 'public'`); n != 0 {
		t.Errorf("%d tables in an empty database", n)
	}
}

func TestTheSuperuserReachesTheSameDatabase(t *testing.T) {
	t.Parallel()
	address := Empty(t)
	app, super := connect(t, address), connect(t, SuperuserURL(t, address))
	const where = `SELECT current_database()::text`
	if a, b := value[string](t, app, where), value[string](t, super, where); a != b {
		t.Errorf("the application is in %s, the superuser in %s", a, b)
	}
	if !value[bool](t, super, `SELECT rolsuper FROM pg_roles WHERE rolname = current_user`) {
		t.Error("the superuser is none")
	}
}

func TestDatabasesDoNotSeeEachOtherAndGoWithTheirTest(t *testing.T) {
	t.Parallel()
	var names []string
	t.Run("inner", func(t *testing.T) {
		for range 2 {
			conn := connect(t, Database(t))
			if _, err := conn.Exec(t.Context(), `CREATE TABLE mine ()`); err != nil {
				t.Fatal(err)
			}
			names = append(names, value[string](t, conn, `SELECT current_database()::text`))
			// Still connected when the database is dropped, as a test is that forgets to close its pool.
			if _, err := pgx.Connect(context.WithoutCancel(t.Context()), conn.Config().ConnString()); err != nil {
				t.Fatal(err)
			}
		}
	})
	admin := connect(t, current.use(t).Superuser)
	for _, name := range names {
		if value[bool](t, admin, `SELECT EXISTS (SELECT FROM pg_database WHERE datname = '`+name+`')`) {
			t.Errorf("database %s outlived its test", name)
		}
	}
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close(context.Background()) })
	return conn
}

func value[T any](t *testing.T, conn *pgx.Conn, sql string) T {
	t.Helper()
	var v T
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", strings.TrimSpace(sql), err)
	}
	return v
}
