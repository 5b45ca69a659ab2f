package localpg

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestAFolderIsBlockedByItsPermissions(t *testing.T) {
	t.Parallel()
	server := account{uid: 101, gid: 104}
	way := func(last wayFolder) []wayFolder {
		last.path = "/home/data"
		return []wayFolder{{path: "/", mode: fs.ModeDir | 0o755}, {path: "/home", mode: fs.ModeDir | 0o711}, last}
	}
	for name, c := range map[string]struct {
		way  []wayFolder
		want string
	}{
		"open to all":             {way(wayFolder{mode: 0o755}), ""},
		"open to pass":            {way(wayFolder{mode: 0o711}), ""},
		"root's alone":            {way(wayFolder{mode: 0o700}), "/home/data"},
		"to read but not to pass": {way(wayFolder{mode: 0o744}), "/home/data"},
		"the server's own":        {way(wayFolder{mode: 0o700, uid: 101}), ""},
		"its group's":             {way(wayFolder{mode: 0o710, gid: 104}), ""},
		"another group's":         {way(wayFolder{mode: 0o710, gid: 5}), "/home/data"},
		"closed to its group":     {way(wayFolder{mode: 0o701, gid: 104}), "/home/data"},
		"closed to its owner":     {way(wayFolder{mode: 0o077, uid: 101, gid: 104}), "/home/data"},
		"closed further up": {[]wayFolder{
			{path: "/", mode: 0o755}, {path: "/root", mode: 0o700}, {path: "/root/data", mode: 0o777},
		}, "/root"},
	} {
		if got := blocked(c.way, server); got != c.want {
			t.Errorf("%s: blocked at %q, want %q", name, got, c.want)
		}
	}
}

// A root program's decisions, on a machine that needs no root.
func rootMachine(t *testing.T, closed ...string) machine {
	t.Helper()
	m := thisMachine()
	m.root = true
	info, err := os.Stat(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	uid, gid := ownerOf(info)
	m.user = func() (*account, error) { return &account{uid: uid, gid: gid}, nil }
	m.find = func(context.Context, *account, string) []programs { return []programs{{folder: "/bin", major: 15}} }
	m.try = func(_ context.Context, _ programs, _ *account, dir string) error {
		for _, c := range closed {
			if dir == c {
				return errors.New("closed")
			}
		}
		return nil
	}
	return m
}

func TestTheClusterIsPlacedWhereItsUserCanBe(t *testing.T) {
	t.Parallel()
	dir, first, second := realTemp(t), realTemp(t), realTemp(t)
	cfg := Config{Elsewhere: []string{first, second}}.withDefaults()

	s, err := rootMachine(t).settle(t.Context(), dir, cfg)
	if err != nil || s.home != dir {
		t.Fatalf("a folder that can be entered: %q, %v", s.home, err)
	}
	s, err = rootMachine(t, dir, first).settle(t.Context(), dir, cfg)
	if err != nil || filepath.Dir(s.home) != second {
		t.Fatalf("placed in %q, %v; want a folder in %s", s.home, err, second)
	}
	again, err := rootMachine(t, dir).settle(t.Context(), dir, cfg)
	if err != nil || again.home != s.home {
		t.Errorf("the next start takes %q, %v; want %s", again.home, err, s.home)
	}
	if err := os.RemoveAll(s.home); err != nil {
		t.Fatal(err)
	}
	if _, err = rootMachine(t, dir).settle(t.Context(), dir, cfg); err == nil || !strings.Contains(err.Error(), s.home) {
		t.Errorf("the data is gone and nobody says so: %v", err)
	}
}

func TestNoPlaceIsToldWithWhatToDo(t *testing.T) {
	t.Parallel()
	dir, other := realTemp(t), realTemp(t)
	_, err := rootMachine(t, dir, other).settle(t.Context(), dir, Config{Elsewhere: []string{other}}.withDefaults())
	if err == nil || !strings.Contains(err.Error(), "DATA_DIR") {
		t.Errorf("got %v", err)
	}
}

// This is a start as root's, whose server's user cannot enter there; for anybody else it is any start.
func TestAProgramStartsInAFolderOfItsUsersAlone(t *testing.T) {
	t.Parallel()
	place := filepath.Dir(folder(t))
	closed := filepath.Join(place, "closed")
	if err := os.Mkdir(closed, 0o700); err != nil {
		t.Fatal(err)
	}
	cfg := Config{Dir: filepath.Join(closed, "pg"), NoSync: true, Elsewhere: []string{place}}
	s := begin(t, cfg)
	do(t, s.URL(""), `CREATE TABLE kept AS SELECT 7 AS n`)
	stop(t, s)
	s = begin(t, cfg)
	if n := value[int](t, s.URL(""), `SELECT n FROM kept`); n != 7 {
		t.Errorf("found %d", n)
	}
	home := s.Home()
	if outside := !strings.HasPrefix(home, closed); outside != (os.Geteuid() == 0) {
		t.Errorf("the cluster is in %s", home)
	}
	stop(t, s)
	if err := Remove(t.Context(), cfg.Dir); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{home, cfg.Dir} {
		if _, err := os.Stat(path); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("%s is left behind: %v", path, err)
		}
	}
}

func TestWhatItMakesIsClosedToOthersAndWhatWasThereIsLeftAsItWas(t *testing.T) {
	t.Parallel()
	there := realTemp(t)
	if err := os.Chmod(there, 0o750); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		root bool
		want fs.FileMode
	}{{false, 0o700}, {true, 0o711}} {
		made := filepath.Join(there, "made", c.want.String())
		if _, err := (machine{root: c.root}).makeFolder(made); err != nil {
			t.Fatal(err)
		}
		expectMode(t, made, c.want)
	}
	expectMode(t, there, 0o750)
}

func expectMode(t *testing.T, path string, want fs.FileMode) {
	t.Helper()
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if got := info.Mode().Perm(); got != want {
		t.Errorf("%s has %o, want %o", path, got, want)
	}
}

func realTemp(t *testing.T) string {
	t.Helper()
	dir, err := filepath.EvalSymlinks(filepath.Dir(folder(t)))
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
