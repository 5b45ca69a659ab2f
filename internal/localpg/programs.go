package localpg

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"time"
)

var (
	// ErrNoPrograms is returned when no PostgreSQL is installed and none could be downloaded.
	ErrNoPrograms = errors.New("no PostgreSQL")
	// ErrNoMajor is returned when the PostgreSQL that made the cluster is no longer installed.
	ErrNoMajor = errors.New("the PostgreSQL of this cluster is missing")
)

const programsFolder = "programs"

// programs is a folder with PostgreSQL's server programs.
type programs struct {
	folder  string
	version string // as the program says it, such as 15.18
	major   int
}

func (p programs) path(name string) string { return filepath.Join(p.folder, name) }

// findPrograms lists usable programs, the preferred first: extra (what was downloaded for this cluster), $PATH, then the
// usual places of packages with the newest first.
func findPrograms(ctx context.Context, as *account, extra string) []programs {
	folders := append([]string{extra}, filepath.SplitList(os.Getenv("PATH"))...)
	list := look(ctx, as, folders)
	var packaged []string
	for _, pattern := range []string{
		"/usr/lib/postgresql/*/bin", // Debian, Ubuntu
		"/usr/pgsql-*/bin",          // Red Hat and relatives, from postgresql.org
		"/usr/libexec/postgresql*",  // Alpine
		"/opt/homebrew/opt/postgresql@*/bin",
		"/usr/local/opt/postgresql@*/bin",
	} {
		matches, err := filepath.Glob(pattern)
		if err == nil {
			packaged = append(packaged, matches...)
		}
	}
	rest := look(ctx, as, packaged)
	slices.SortStableFunc(rest, func(a, b programs) int { return b.major - a.major })
	list = append(list, rest...)
	seen := map[string]bool{}
	return slices.DeleteFunc(list, func(p programs) bool {
		twice := seen[p.folder]
		seen[p.folder] = true
		return twice
	})
}

func look(ctx context.Context, as *account, folders []string) []programs {
	var list []programs
	for _, folder := range folders {
		if !filepath.IsAbs(folder) {
			continue
		}
		if p, err := inspect(ctx, as, folder); err == nil && p.major >= minimumMajor {
			list = append(list, p)
		}
	}
	return list
}

var versionPattern = regexp.MustCompile(`\(PostgreSQL\) (\d+)([.\w]*)`)

// inspect asks the postgres in a folder for its version, as the user who would run it. Links are followed, because the
// other programs need not be linked beside it.
func inspect(ctx context.Context, as *account, folder string) (programs, error) {
	resolved, err := filepath.EvalSymlinks(filepath.Join(folder, "postgres"))
	if err != nil {
		return programs{}, err
	}
	p := programs{folder: filepath.Dir(resolved)}
	if _, err := os.Stat(p.path("initdb")); err != nil {
		return programs{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, p.path("postgres"), "--version") //nolint:gosec // a program that was looked for
	cmd.Dir, cmd.Env, cmd.SysProcAttr = "/", environment(), attributes(as)
	out, err := cmd.Output()
	if err != nil {
		return programs{}, fmt.Errorf("ask %s for its version: %w", resolved, err)
	}
	m := versionPattern.FindSubmatch(out)
	if m == nil {
		return programs{}, fmt.Errorf("%s does not say its version", resolved)
	}
	p.version = string(m[1]) + string(m[2])
	p.major, err = strconv.Atoi(string(m[1]))
	return p, err
}

// choose takes the preferred programs for a cluster made by a major version; zero: a new cluster.
func choose(found []programs, major int, home string) (programs, error) {
	for _, p := range found {
		if major == 0 || p.major == major {
			return p, nil
		}
	}
	if major == 0 {
		return programs{}, ErrNoPrograms
	}
	return programs{}, fmt.Errorf("%w: the data in %s was made by PostgreSQL %d, which is not installed here; %s",
		ErrNoMajor, home, major, installHint(runtime.GOOS, major))
}

// download fetches programs into the cluster's folder.
func (m machine) download(ctx context.Context, s site, logger *slog.Logger) (programs, error) {
	folder := filepath.Join(s.home, programsFolder)
	logger.Info("no PostgreSQL found, downloading it", "to", folder)
	err := m.fetch(ctx, folder)
	if err == nil {
		if p := m.find(ctx, s.account, filepath.Join(folder, "bin")); len(p) > 0 {
			return p[0], nil
		}
		err = errors.New("the downloaded programs do not run")
	}
	return programs{}, fmt.Errorf("%w %d or newer found, and downloading it failed (%w); %s, or set DATABASE_URL",
		ErrNoPrograms, minimumMajor, err, installHint(runtime.GOOS, 0))
}

func installHint(goos string, major int) string {
	version := ""
	if major > 0 {
		version = strconv.Itoa(major)
	}
	if goos == "darwin" {
		if version == "" {
			version = "16"
		}
		return "install it with: brew install postgresql@" + version
	}
	if version != "" {
		version = "-" + version
	}
	return "install it with: apt install postgresql" + version + " (or your system's package)"
}
