package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// beAttached is the program of a user who attaches: it prints which user the database knows, or the error.
func beAttached(dir string) int {
	ctx := context.Background()
	address, err := Attach(ctx, Config{Dir: dir})
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return 1
	}
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return 1
	}
	defer conn.Close(ctx)
	var user string
	if err := conn.QueryRow(ctx, `SELECT current_user::text`).Scan(&user); err != nil {
		fmt.Fprintln(os.Stdout, "error:", err)
		return 1
	}
	fmt.Fprintln(os.Stdout, "user:", user)
	return 0
}

// attached attaches to a server that is up, and uses it.
func attached(t *testing.T, dir string) string {
	t.Helper()
	address, err := Attach(t.Context(), Config{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	if got := value[string](t, address, `SELECT current_user || '@' || current_database()`); got != "orderlog@orderlog" {
		t.Errorf("attached as %s", got)
	}
	return address
}

// tree is all that is in a folder, with permissions and what may change.
func tree(t *testing.T, dir string) (all []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if path != filepath.Join(dir, dataFolder) { // what is in there is the server's
			all = append(all, fmt.Sprint(path, info.Mode(), info.Size()))
			return nil
		}
		return fs.SkipDir
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestASecondProgramAttachesToTheServerThatTheFirstRuns(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	do(t, s.URL(""), `CREATE TABLE kept AS SELECT 7 AS n`)
	before := tree(t, cfg.Dir)
	address := attached(t, cfg.Dir)
	if address != s.URL("") {
		t.Errorf("the address is %s, want %s", address, s.URL(""))
	}
	if n := value[int](t, address, `SELECT n FROM kept`); n != 7 {
		t.Errorf("found %d", n)
	}
	if after := tree(t, cfg.Dir); !slices.Equal(after, before) {
		t.Errorf("the folder was changed from %v to %v", before, after)
	}
	link := filepath.Join(filepath.Dir(cfg.Dir), "link")
	if err := os.Symlink(cfg.Dir, link); err != nil {
		t.Fatal(err)
	}
	attached(t, link)
	stop(t, s)
	if _, err := Attach(t.Context(), cfg); !errors.Is(err, ErrNotRunning) {
		t.Errorf("after the stop: %v", err)
	}
	if !Exists(cfg.Dir) {
		t.Error("after the stop there is no cluster any more")
	}
	begin(t, cfg)
	attached(t, cfg.Dir)
}

func TestItAttachesWhereverTheServerListens(t *testing.T) {
	t.Parallel()
	t.Run("a socket elsewhere", func(t *testing.T) {
		t.Parallel()
		dir := filepath.Join(folder(t), strings.Repeat("long", 30))
		s := begin(t, Config{Dir: dir, NoSync: true})
		if address := attached(t, dir); !s.endpoint.temporary || address != s.URL("") {
			t.Errorf("the address is %s, want %s", address, s.URL(""))
		}
	})
	t.Run("a port", func(t *testing.T) {
		t.Parallel()
		m := thisMachine()
		m.sockets = func(context.Context, *account) func(string) error {
			return func(string) error { return errors.New("no sockets here") }
		}
		cfg := Config{Dir: folder(t), NoSync: true}
		s, err := start(t.Context(), cfg, m)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { stop(t, s) })
		address := attached(t, cfg.Dir)
		u, err := url.Parse(address)
		if err != nil {
			t.Fatal(err)
		}
		if pass, _ := u.User.Password(); address != s.URL("") || pass == "" {
			t.Errorf("the address is %s, want %s", address, s.URL(""))
		}
	})
}

// As in TestAProgramStartsInAFolderOfItsUsersAlone, for anybody but root it is any start.
func TestItAttachesToAClusterThatIsOutsideItsFolder(t *testing.T) {
	t.Parallel()
	place := filepath.Dir(folder(t))
	closed := filepath.Join(place, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: filepath.Join(closed, "pg"), NoSync: true, Elsewhere: []string{place}}
	s := begin(t, cfg)
	if !Exists(cfg.Dir) {
		t.Error("the cluster is not seen")
	}
	if address := attached(t, cfg.Dir); address != s.URL("") {
		t.Errorf("the address is %s, want %s", address, s.URL(""))
	}
	if s.Home() != cfg.Dir {
		// A copy of the folder names the same cluster, which is held.
		again := filepath.Join(place, "copy")
		if err := os.Mkdir(again, 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(again, locationFile), []byte(s.Home()+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		attached(t, again)
	}
	stop(t, s)
	if _, err := Attach(t.Context(), cfg); !errors.Is(err, ErrNotRunning) || !Exists(cfg.Dir) {
		t.Errorf("after the stop: %v, exists %t", err, Exists(cfg.Dir))
	}
}

func TestNothingIsMadeWhereThereIsNoCluster(t *testing.T) {
	t.Parallel()
	place := filepath.Dir(folder(t))
	missing, empty := filepath.Join(place, "missing"), filepath.Join(place, "empty")
	gone := filepath.Join(place, "gone")
	for _, dir := range []string{empty, gone} {
		if err := os.Mkdir(dir, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(gone, locationFile), []byte(filepath.Join(place, "nowhere")+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	before := tree(t, place)
	for dir, exists := range map[string]bool{missing: false, empty: false, gone: true, filepath.Join(missing, "below"): false} {
		if got := Exists(dir); got != exists {
			t.Errorf("%s: exists %t, want %t", dir, got, exists)
		}
		if _, err := Attach(t.Context(), Config{Dir: dir}); !errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), dir) {
			t.Errorf("%s: %v", dir, err)
		}
	}
	if after := tree(t, place); !slices.Equal(after, before) {
		t.Errorf("the folders were changed from %v to %v", before, after)
	}
	if _, err := Attach(t.Context(), Config{}); err == nil || errors.Is(err, ErrNotRunning) || Exists("") {
		t.Errorf("without a folder: %v", err)
	}
}

// waits is a logger whose first line calls something: a program that waits says so first.
func waits(then func()) *slog.Logger {
	return slog.New(slog.NewTextHandler(writer(func() { then() }), nil))
}

type writer func()

func (w writer) Write(p []byte) (int, error) { w(); return len(p), nil }

func TestItWaitsForAServerThatIsStarting(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	holding, goOn := make(chan struct{}), make(chan struct{})
	m := thisMachine()
	m.sockets = func(ctx context.Context, as *account) func(string) error {
		close(holding) // the lock is held and the cluster is made; the server is started next
		<-goOn
		return socketsWork(ctx, as)
	}
	started := make(chan *Server, 1)
	go func() {
		s, err := start(t.Context(), cfg, m)
		if err != nil {
			t.Error(err)
		}
		started <- s
	}()
	<-holding
	second := cfg
	second.StartTimeout, second.Logger = time.Minute, waits(func() { close(goOn) })
	address, err := Attach(t.Context(), second)
	s := <-started
	if s == nil {
		t.FailNow()
	}
	t.Cleanup(func() { stop(t, s) })
	if err != nil || address != s.URL("") {
		t.Fatalf("attached to %q, %v", address, err)
	}
	do(t, address, `SELECT 1`)
}

func TestWaitingForAServerIsBounded(t *testing.T) {
	t.Parallel()
	dir := folder(t)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	l, err := acquire(t.Context(), dir) // a program that holds the folder and has no server
	if err != nil {
		t.Fatal(err)
	}
	_, err = Attach(t.Context(), Config{Dir: dir, StartTimeout: 30 * time.Millisecond})
	if !errors.Is(err, context.DeadlineExceeded) || errors.Is(err, ErrNotRunning) || !strings.Contains(err.Error(), fmt.Sprint("process ", os.Getpid())) {
		t.Errorf("in vain: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	if _, err = Attach(ctx, Config{Dir: dir, Logger: waits(cancel)}); !errors.Is(err, context.Canceled) {
		t.Errorf("called off: %v", err)
	}
	// The program that was waited for ends.
	if _, err = Attach(t.Context(), Config{Dir: dir, Logger: waits(l.release)}); !errors.Is(err, ErrNotRunning) {
		t.Errorf("the other program has ended: %v", err)
	}
}

func TestWhatAKilledServerLeftIsNotTakenForAServer(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	if err := syscall.Kill(s.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	_ = s.Wait(t.Context())
	// The program is still there and holds the folder, as one does that is about to start the server again.
	second := cfg
	second.StartTimeout = 50 * time.Millisecond
	if _, err := Attach(t.Context(), second); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("with the program there: %v", err)
	}
	stop(t, s)
	if _, err := Attach(t.Context(), cfg); !errors.Is(err, ErrNotRunning) {
		t.Errorf("without the program: %v", err)
	}
}

func TestALookAtTheLockIsNotInTheWayOfAStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		t.Fatal(err)
	}
	if locked, err := isLocked(dir); locked || err != nil {
		t.Errorf("two that look see each other: %t, %v", locked, err)
	}
	waits := watched{t.Context(), func() {
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_UN); err != nil {
			t.Error(err)
		}
	}}
	l, err := acquire(waits, dir)
	if err != nil {
		t.Fatal(err)
	}
	l.release()
}

// watched is a context that tells when somebody waits with it.
type watched struct {
	context.Context
	waits func()
}

func (w watched) Done() <-chan struct{} { w.waits(); return w.Context.Done() }

// For root these are two other users, the server's and one who is a stranger; else the same user, and one who is shut out.
func TestWhoMayNotAttachIsToldAndWhoMayDoes(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	program := filepath.Join(filepath.Dir(cfg.Dir), "program")
	copyProgram(t, program)
	run := func(as *account) string {
		cmd := exec.CommandContext(t.Context(), program)
		cmd.Env = append(os.Environ(), attachVariable+"="+cfg.Dir)
		cmd.Dir, cmd.SysProcAttr = "/", attributes(as)
		out, _ := cmd.CombinedOutput() // the exit code says no more than the output
		return strings.TrimSpace(string(out))
	}
	if got := run(clusterAccount(t, s.Home())); got != "user: orderlog" {
		t.Errorf("the server's user: %s", got)
	}
	stranger := &account{uid: 54321, gid: 54321}
	if os.Geteuid() != 0 {
		stranger = nil
		for _, name := range []string{dataFolder, runFolder} {
			if err := os.Chmod(filepath.Join(s.Home(), name), 0); err != nil {
				t.Fatal(err)
			}
			defer os.Chmod(filepath.Join(s.Home(), name), 0o700) //nolint:errcheck // the folder goes anyway
		}
	}
	told := func(how string) {
		t.Helper()
		got := run(stranger)
		if !strings.HasPrefix(got, "error: this user may not use the database in "+cfg.Dir) || !strings.Contains(got, "run as root or as the user "+ownerOfCluster(t, s)) {
			t.Errorf("a stranger%s: %s", how, got)
		}
	}
	told("")
	if stranger == nil {
		return
	}
	for _, open := range []struct {
		how   string
		paths []string
		mode  os.FileMode
	}{
		{" who sees the lock", []string{lockFile}, 0o644},
		{" who sees where the server listens", []string{dataFolder, filepath.Join(dataFolder, pidFile)}, 0o755},
	} {
		for _, path := range open.paths {
			if err := os.Chmod(filepath.Join(s.Home(), path), open.mode); err != nil {
				t.Fatal(err)
			}
		}
		told(open.how)
	}
	if err := os.Chmod(filepath.Join(s.Home(), dataFolder), 0o700); err != nil {
		t.Fatal(err)
	}
}

func ownerOfCluster(t *testing.T, s *Server) string {
	t.Helper()
	info, err := os.Stat(filepath.Join(s.Home(), dataFolder))
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := ownerOf(info)
	return (&account{uid: uid, gid: gid}).describe()
}

// copyProgram puts the test binary where others may run it.
func copyProgram(t *testing.T, to string) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	syscall.ForkLock.RLock() // a child that had the file open for writing would keep it from being run
	defer syscall.ForkLock.RUnlock()
	from, err := os.Open(self)
	if err != nil {
		t.Fatal(err)
	}
	defer from.Close()
	f, err := os.OpenFile(to, os.O_WRONLY|os.O_CREATE, 0o755)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(f, from); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
}
