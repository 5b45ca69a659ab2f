// Package pgtest gives each test a PostgreSQL database of its own.
//
// A package that uses it has a TestMain that goes through Run (or Main), and its tests ask for a Database:
//
//	func TestMain(m *testing.M) { pgtest.Main(m) }
//
//	func TestThing(t *testing.T) {
//		pool, err := pgxpool.New(t.Context(), pgtest.Database(t))
//
// What it guarantees:
//
//   - Fresh. A database is cloned from a template that holds the repository's migrations as they are compiled in; nothing
//     another test did is in it. It is dropped when the test ends, whoever is still connected.
//   - As in production. The database belongs to a role that is no superuser; URLs are those of that role.
//   - One server a run. All test binaries that one `go test` runs share a PostgreSQL, started by the first that needs one.
//   - Nothing left. When `go test` is over, no process, folder or socket is left, also after a panic or a timeout: the
//     server is kept by a process of its own that knows its users by their connections, which the kernel closes whatever
//     happens, and that holds their standard output, on which `go test` waits.
//
// The server is not made to survive a power cut (fsync is off). Set TEST_DATABASE_URL to a superuser's postgres:// address
// to use another server instead; templates stay on that one, named by their migrations.
package pgtest

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"go.uber.org/goleak"
)

const (
	serverVariable = "TEST_DATABASE_URL"
	dropAtMost     = 30 * time.Second
	joinAtMost     = 90 * time.Second
)

// session is this test binary's use of a server.
type session struct {
	mu       sync.Mutex
	running  bool
	server   *server
	member   *member
	template string
}

var current session

// server is a PostgreSQL to make databases on. Both addresses name a database that is there for administration.
type server struct {
	Superuser   string `json:"superuser"`
	Application string `json:"application"`
}

// Main runs the tests, looks for goroutines that they left behind, and exits. For a TestMain with nothing else to do.
func Main(m *testing.M) {
	code := Run(m)
	if err := goleak.Find(); err != nil && code == 0 {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// Run runs the tests and returns the exit code. Call it first in TestMain: in the process that keeps the server it does
// that instead, and never returns. When it returns, nothing of this package runs in this process any more.
func Run(m *testing.M) int {
	if folder := os.Getenv(keeperVariable); folder != "" {
		os.Exit(keep(folder))
	}
	current.open()
	code := m.Run()
	if err := current.close(); err != nil {
		fmt.Fprintln(os.Stderr, "pgtest:", err)
		code = max(code, 1)
	}
	return code
}

// Database makes a database with the repository's migrations for the test and returns its postgres:// address.
func Database(t testing.TB) string {
	t.Helper()
	s := current.use(t)
	template, err := current.migrated(t.Context(), s)
	if err != nil {
		t.Fatalf("pgtest: make the migrated template: %v", err)
	}
	return create(t, s, " TEMPLATE "+pgx.Identifier{template}.Sanitize()+" STRATEGY "+strategy)
}

// Empty makes a database without anything in it for the test and returns its postgres:// address.
func Empty(t testing.TB) string {
	t.Helper()
	return create(t, current.use(t), "")
}

// Pool connects to a database; it is closed when the test ends, before the database goes.
func Pool(t testing.TB, databaseURL string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), databaseURL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	t.Cleanup(pool.Close)
	return pool
}

// SuperuserURL gives the address of the same database for the superuser, for tests that tamper with what the
// application's role may not touch.
func SuperuserURL(t testing.TB, databaseURL string) string {
	t.Helper()
	u, err := url.Parse(databaseURL)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	return withDatabase(current.use(t).Superuser, u.Path)
}

func create(t testing.TB, s *server, options string) string {
	t.Helper()
	id := uuid.New()
	name := fmt.Sprintf("orderlog_test_%x", id[:8])
	owner, err := roleOf(s.Application)
	if err != nil {
		t.Fatalf("pgtest: %v", err)
	}
	err = administer(t.Context(), s, "CREATE DATABASE "+name+" OWNER "+pgx.Identifier{owner}.Sanitize()+options)
	if err != nil {
		t.Fatalf("pgtest: make a database: %v", err)
	}
	t.Cleanup(func() {
		// The test's own context has ended by now.
		ctx, cancel := context.WithTimeout(context.Background(), dropAtMost)
		defer cancel()
		if err := administer(ctx, s, "DROP DATABASE IF EXISTS "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("pgtest: drop the test's database: %v", err)
		}
	})
	return withDatabase(s.Application, "/"+name)
}

func (s *session) open() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.running = true
}

// use gives the server and finds or starts it at the first call, so that a run that needs no database starts none.
func (s *session) use(t testing.TB) *server {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.running {
		t.Fatal("pgtest: this package's TestMain does not call pgtest.Main or pgtest.Run")
	}
	if s.server != nil {
		return s.server
	}
	ctx, cancel := context.WithTimeout(t.Context(), joinAtMost)
	defer cancel()
	var err error
	if given := os.Getenv(serverVariable); given != "" {
		s.server, err = outside(ctx, given)
	} else {
		s.member, err = join(ctx, runFolder())
		if err == nil {
			s.server = &s.member.server
		}
	}
	if err != nil {
		t.Fatalf("pgtest: no PostgreSQL for the tests: %v", err)
	}
	return s.server
}

func (s *session) close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	m := s.member
	s.running, s.server, s.member = false, nil, nil
	if m == nil {
		return nil
	}
	return m.leave()
}

// administer runs one statement on a connection of its own: CREATE and DROP DATABASE are seldom, and a pool would keep
// goroutines that leak checks of tests would find.
func administer(ctx context.Context, s *server, sql string) error {
	conn, err := pgx.Connect(ctx, s.Superuser)
	if err != nil {
		return err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	_, err = conn.Exec(ctx, sql)
	return err
}

func withDatabase(address, path string) string {
	u, err := url.Parse(address)
	if err != nil {
		return address // connecting says what is wrong with it
	}
	u.Path = path
	return u.String()
}

func roleOf(address string) (string, error) {
	u, err := url.Parse(address)
	if err != nil {
		return "", err
	}
	return u.User.Username(), nil
}
