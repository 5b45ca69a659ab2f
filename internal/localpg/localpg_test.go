package localpg

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"
)

// programVariable turns the test binary into a program with a private PostgreSQL in the folder it names, attachVariable
// into one that attaches to it.
const (
	programVariable = "ORDERLOG_LOCALPG_TEST_PROGRAM"
	attachVariable  = "ORDERLOG_LOCALPG_TEST_ATTACH"
)

func TestMain(m *testing.M) {
	if dir := os.Getenv(programVariable); dir != "" {
		os.Exit(beProgram(dir))
	}
	if dir := os.Getenv(attachVariable); dir != "" {
		os.Exit(beAttached(dir))
	}
	goleak.VerifyTestMain(m)
}

func beProgram(dir string) int {
	s, err := Start(context.Background(), Config{Dir: dir, NoSync: true})
	if err != nil {
		fmt.Fprintln(os.Stdout, "error", err)
		return 1
	}
	fmt.Fprintln(os.Stdout, s.PID())
	<-s.Done() // the test kills us before
	return 1
}

func TestDataIsThereAfterAStopAndAStart(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	do(t, s.URL(""), `CREATE TABLE kept AS SELECT 7 AS n`)
	stop(t, s)

	s = begin(t, cfg)
	if n := value[int](t, s.URL(""), `SELECT n FROM kept`); n != 7 {
		t.Errorf("found %d", n)
	}
}

func TestTheApplicationHasADatabaseAndNoPower(t *testing.T) {
	t.Parallel()
	s := begin(t, Config{Dir: folder(t), NoSync: true, Settings: map[string]string{"max_connections": "17"}})
	for sql, want := range map[string]string{
		`SELECT current_user::text`:       "orderlog",
		`SELECT current_database()::text`: "orderlog",
		`SELECT pg_get_userbyid(datdba)::text FROM pg_database WHERE datname = 'orderlog'`:                 "orderlog",
		`SELECT (rolsuper OR rolcreatedb OR rolcreaterole)::text FROM pg_roles WHERE rolname = 'orderlog'`: "false",
		`SHOW fsync`:              "on",
		`SHOW synchronous_commit`: "on",
		`SHOW server_encoding`:    "UTF8",
		`SHOW data_checksums`:     "on",
		`SHOW max_connections`:    "17",
		`SHOW listen_addresses`:   "",
	} {
		if got := value[string](t, s.URL(""), sql); got != want {
			t.Errorf("%s: %q, want %q", sql, got, want)
		}
	}
	if got := value[string](t, s.SuperuserURL(""), `SELECT current_user::text`); got != "postgres" {
		t.Errorf("the superuser is %s", got)
	}
}

func TestOnlyTheServersUserMayEnterItsFolders(t *testing.T) {
	t.Parallel()
	s := begin(t, Config{Dir: folder(t), NoSync: true})
	for name, want := range map[string]os.FileMode{dataFolder: 0o700, runFolder: 0o700, secretFile: 0o600, logFile: 0o600} {
		info, err := os.Stat(filepath.Join(s.Home(), name))
		if err != nil {
			t.Fatal(err)
		}
		if got := info.Mode().Perm(); got != want {
			t.Errorf("%s has the permissions %o, want %o", name, got, want)
		}
	}
}

func TestASecondProgramIsRefused(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	first := begin(t, cfg)
	_, err := Start(t.Context(), cfg)
	if !errors.Is(err, ErrInUse) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{cfg.Dir, strconv.Itoa(os.Getpid()), "DATA_DIR"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	if err := Remove(t.Context(), cfg.Dir); !errors.Is(err, ErrInUse) {
		t.Errorf("removed under a running server: %v", err)
	}
	stop(t, first)
	begin(t, cfg)
}

func TestStopEndsTheServerAndMayBeCalledAgain(t *testing.T) {
	t.Parallel()
	s := begin(t, Config{Dir: folder(t), NoSync: true})
	stop(t, s)
	stop(t, s)
	select {
	case <-s.Done():
	default:
		t.Error("the server still runs")
	}
	if err := s.Wait(t.Context()); err != nil {
		t.Errorf("an ordered end is told as a failure: %v", err)
	}
	if serves(t.Context(), s.PID(), filepath.Join(s.Home(), dataFolder)) {
		t.Error("the process is there")
	}
}

func TestAStopWithoutTimeIsShort(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	do(t, s.URL(""), `CREATE TABLE kept AS SELECT 7 AS n`)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	s = begin(t, cfg)
	if n := value[int](t, s.URL(""), `SELECT n FROM kept`); n != 7 {
		t.Errorf("found %d", n)
	}
}

func TestAServerThatCannotStartSaysWhy(t *testing.T) {
	t.Parallel()
	_, err := Start(t.Context(), Config{Dir: folder(t), NoSync: true, Settings: map[string]string{"shared_buffers": "many"}})
	if err == nil || !strings.Contains(err.Error(), "shared_buffers") {
		t.Errorf("got %v", err)
	}
}

func TestAStartThatIsCalledOffLeavesNoServer(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	stop(t, begin(t, cfg))
	ctx, cancel := context.WithCancel(t.Context())
	m := thisMachine()
	m.sockets = func(ctx context.Context, as *account) func(string) error {
		cancel() // the last thing before the server is started
		return socketsWork(context.WithoutCancel(ctx), as)
	}
	if _, err := start(ctx, cfg, m); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	out, err := exec.CommandContext(t.Context(), "ps", "-ww", "-A", "-o", "args=").Output()
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(out)) {
		if isServer(strings.Fields(line), filepath.Join(cfg.Dir, dataFolder)) {
			t.Errorf("left behind: %s", line)
		}
	}
	begin(t, cfg)
}

func TestWhereSocketsDoNotWorkItAsksForAPassword(t *testing.T) {
	t.Parallel()
	m := thisMachine()
	m.sockets = func(context.Context, *account) func(string) error {
		return func(string) error { return errors.New("no sockets here") }
	}
	s, err := start(t.Context(), Config{Dir: folder(t), NoSync: true}, m)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	if got := value[string](t, s.URL(""), `SELECT inet_server_addr()::text`); got != "127.0.0.1/32" {
		t.Errorf("listens on %s", got)
	}
	u, err := url.Parse(s.SuperuserURL(""))
	if err != nil {
		t.Fatal(err)
	}
	other, err := url.Parse(s.URL(""))
	if err != nil {
		t.Fatal(err)
	}
	pass, _ := other.User.Password()
	u.User = url.UserPassword(Superuser, pass)
	if conn, err := pgx.Connect(t.Context(), u.String()); err == nil {
		_ = conn.Close(t.Context())
		t.Error("the application's password opens the superuser's door")
	}
}

func TestALongPathGetsAShortSocket(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(folder(t), strings.Repeat("long", 30))
	s := begin(t, Config{Dir: dir, NoSync: true})
	do(t, s.URL(""), `SELECT 1`)
	if !s.endpoint.temporary || strings.HasPrefix(s.endpoint.folder, dir) {
		t.Fatalf("the socket is in %s", s.endpoint.folder)
	}
	stop(t, s)
	for _, path := range []string{s.endpoint.folder, filepath.Join(s.Home(), socketFile)} {
		if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is left behind: %v", path, err)
		}
	}
}

func TestASocketFolderLeftByAKilledProgramIsRemoved(t *testing.T) {
	t.Parallel()
	home, left := t.TempDir(), filepath.Join(t.TempDir(), socketPrefix+"1")
	precious := filepath.Join(t.TempDir(), "precious")
	for _, path := range []string{left, precious} {
		if err := os.Mkdir(path, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(home, socketFile), []byte(path+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		removeOldSocketFolder(home)
	}
	if _, err := os.Stat(left); !errors.Is(err, os.ErrNotExist) {
		t.Error("the folder is left behind")
	}
	if _, err := os.Stat(precious); err != nil {
		t.Error("a folder was removed that is not ours")
	}
}

// folder is one that the server's user can get to, which t.TempDir is not for root.
func folder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	if os.Geteuid() == 0 {
		for _, path := range []string{dir, filepath.Dir(dir)} {
			if err := os.Chmod(path, 0o711); err != nil {
				t.Fatal(err)
			}
		}
	}
	return filepath.Join(dir, "pg")
}

func begin(t *testing.T, cfg Config) *Server {
	t.Helper()
	s, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { stop(t, s) })
	return s
}

func stop(t *testing.T, s *Server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := s.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func do(t *testing.T, address, sql string) {
	t.Helper()
	conn := connect(t, address)
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), sql); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
}

func value[T any](t *testing.T, address, sql string) T {
	t.Helper()
	conn := connect(t, address)
	defer conn.Close(context.Background())
	var v T
	if err := conn.QueryRow(t.Context(), sql).Scan(&v); err != nil {
		t.Fatalf("%s: %v", sql, err)
	}
	return v
}

func connect(t *testing.T, address string) *pgx.Conn {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
