package localpg

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestInstalledProgramsAreFound(t *testing.T) {
	t.Parallel()
	var as *account
	if os.Geteuid() == 0 {
		var err error
		if as, err = serverUser(); err != nil {
			t.Fatal(err)
		}
	}
	found := findPrograms(t.Context(), as, "")
	if len(found) == 0 {
		t.Fatal("no PostgreSQL found; these tests need one")
	}
	seen := map[string]bool{}
	for _, p := range found {
		if p.major < minimumMajor || !strings.HasPrefix(p.version, "1") || seen[p.folder] {
			t.Errorf("found %+v", p)
		}
		seen[p.folder] = true
	}
}

func TestProgramsAreAskedForTheirVersion(t *testing.T) {
	t.Parallel()
	for says, want := range map[string]int{
		"postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)": 15,
		"postgres (PostgreSQL) 18beta1":                        18,
		"postgres (PostgreSQL) 9.6.24":                         9,
		"pgbouncer 1.2":                                        0,
	} {
		dir := filepath.Dir(folder(t))
		for name, text := range map[string]string{"postgres": "#!/bin/sh\necho '" + says + "'\n", "initdb": "#!/bin/sh\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o755); err != nil {
				t.Fatal(err)
			}
		}
		p, err := inspect(t.Context(), nil, dir)
		if (err == nil) != (want > 0) || p.major != want {
			t.Errorf("%q: %+v, %v", says, p, err)
		}
	}
}

func TestAClusterIsStartedWithTheMajorThatMadeIt(t *testing.T) {
	t.Parallel()
	found := []programs{{folder: "a", major: 17}, {folder: "b", major: 15}}
	for major, want := range map[int]string{0: "a", 15: "b", 17: "a"} {
		if p, err := choose(found, major, "/home"); err != nil || p.folder != want {
			t.Errorf("major %d: %+v, %v", major, p, err)
		}
	}
	_, err := choose(found, 16, "/home")
	if !errors.Is(err, ErrNoMajor) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"/home", "PostgreSQL 16", "install"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	if _, err := choose(nil, 0, "/home"); !errors.Is(err, ErrNoPrograms) {
		t.Errorf("no programs: %v", err)
	}
}

func TestAClusterOfAMissingMajorIsNotTouched(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	s := begin(t, cfg)
	stop(t, s)
	version := filepath.Join(s.Home(), dataFolder, "PG_VERSION")
	if err := os.WriteFile(version, []byte("98\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), cfg); !errors.Is(err, ErrNoMajor) || strings.Contains(err.Error(), "\n") {
		t.Errorf("got %v", err)
	}
	if data, err := os.ReadFile(version); err != nil || string(data) != "98\n" {
		t.Errorf("the cluster was changed: %q, %v", data, err)
	}
}

func TestAnInterruptedMakingIsRedone(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	half := filepath.Join(cfg.Dir, newDataFolder)
	if err := os.MkdirAll(half, 0o711); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, "PG_VERSION"), []byte("15\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if os.Geteuid() == 0 {
		if err := os.Chmod(cfg.Dir, 0o711); err != nil {
			t.Fatal(err)
		}
	}
	s := begin(t, cfg)
	do(t, s.URL(""), `SELECT 1`)
	if _, err := os.Stat(half); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the unfinished cluster is there: %v", err)
	}
}

func TestAFolderWithSomethingElseIsNotOverwritten(t *testing.T) {
	t.Parallel()
	cfg := Config{Dir: folder(t), NoSync: true}
	mine := filepath.Join(cfg.Dir, dataFolder, "mine")
	if err := os.MkdirAll(mine, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Start(t.Context(), cfg); err == nil || !strings.Contains(err.Error(), "in the way") {
		t.Errorf("got %v", err)
	}
	if _, err := os.Stat(mine); err != nil {
		t.Error(err)
	}
}

func TestWithoutProgramsTheyAreDownloaded(t *testing.T) {
	t.Parallel()
	m := thisMachine()
	var fetched string
	resolved := m.find
	m.find = func(ctx context.Context, as *account, extra string) []programs {
		if fetched == "" || extra != filepath.Join(fetched, "bin") {
			return nil
		}
		return resolved(ctx, as, extra)
	}
	m.fetch = func(_ context.Context, folder string) error {
		fetched = folder
		return nil
	}
	cfg := Config{Dir: folder(t), NoSync: true}
	s, err := start(t.Context(), cfg, m)
	if err != nil {
		t.Fatal(err)
	}
	stop(t, s)
	if want := filepath.Join(s.Home(), programsFolder); fetched != want {
		t.Errorf("downloaded to %s, want %s", fetched, want)
	}
	fetched = ""
	dir := folder(t)
	tools, err := m.findTools(t.Context(), dir, slog.New(slog.DiscardHandler))
	if err != nil || fetched != filepath.Join(dir, programsFolder) {
		t.Errorf("as tools they were downloaded to %q, %v", fetched, err)
	}
	if _, err := os.Stat(filepath.Join(tools.Folder, "initdb")); err != nil || (tools.Account == nil) != (os.Geteuid() != 0) {
		t.Errorf("the tools are %+v, %v", tools, err)
	}
}

func TestWithoutProgramsAndDownloadItSaysWhatToInstall(t *testing.T) {
	t.Parallel()
	m := thisMachine()
	m.find = func(context.Context, *account, string) []programs { return nil }
	broken := errors.New("no network")
	m.fetch = func(context.Context, string) error { return broken }
	_, err := start(t.Context(), Config{Dir: folder(t)}, m)
	if !errors.Is(err, ErrNoPrograms) || !errors.Is(err, broken) {
		t.Fatalf("got %v", err)
	}
	for _, want := range []string{"install", "DATABASE_URL"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%q does not mention %s", err, want)
		}
	}
	if strings.Contains(err.Error(), "\n") {
		t.Errorf("%q is more than a line", err)
	}
	for goos, want := range map[string]string{"linux": "apt install postgresql", "darwin": "brew install postgresql@"} {
		if hint := installHint(goos, 0); !strings.Contains(hint, want) {
			t.Errorf("%s: %q", goos, hint)
		}
	}
}
