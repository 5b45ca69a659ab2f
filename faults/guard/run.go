package guard

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/faults/patch"
)

// Copy is a copy of the module, whose guards can be taken out. Not only what is compiled counts: some tests look at sources,
// and at the files for those who install the program.
type Copy struct{ dir string }

// NewCopy copies the module's sources into the folder dir.
func NewCopy(module, dir string) (*Copy, error) {
	return &Copy{dir}, fs.WalkDir(os.DirFS(module), ".", func(path string, entry fs.DirEntry, err error) error {
		to := filepath.Join(dir, path)
		switch {
		case err != nil:
			return err
		case entry.IsDir() && slices.Contains(notSources, entry.Name()):
			return fs.SkipDir
		case entry.IsDir():
			return os.MkdirAll(to, 0o750)
		case !entry.Type().IsRegular():
			return nil
		}
		content, err := os.ReadFile(filepath.Join(module, path))
		if err != nil {
			return err
		}
		return os.WriteFile(to, content, 0o600)
	})
}

// notSources are folders that nobody tests.
var notSources = []string{".git", ".tools", "bin", "node_modules"}

// Sound runs the tests of guards with all guards in place. An error says which fail all the same.
func (c *Copy) Sound(ctx context.Context, guards []Guard) error {
	tests := map[string]bool{}
	for _, g := range guards {
		for _, t := range g.Tests {
			tests[t] = true
		}
	}
	failed, err := c.test(ctx, slices.Sorted(maps.Keys(tests)))
	if err == nil && len(failed) > 0 {
		err = fmt.Errorf("with all guards in place these fail: %s", strings.Join(failed, ", "))
	}
	return err
}

// Unnoticed takes a guard out, runs its tests, puts it back, and returns the tests that did not fail.
func (c *Copy) Unnoticed(ctx context.Context, g Guard) (_ []string, err error) {
	patched, err := patch.Apply(ctx, c.dir, g.Patches)
	if err != nil {
		return nil, err
	}
	for path, text := range patched {
		whole, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		defer func() { err = errors.Join(err, os.WriteFile(path, whole, 0o600)) }()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	failed, err := c.test(ctx, g.Tests)
	return slices.DeleteFunc(slices.Clone(g.Tests), func(t string) bool { return slices.Contains(failed, t) }), err
}

var (
	failure = regexp.MustCompile(`(?m)^--- FAIL: (\w+) `)
	ran     = regexp.MustCompile(`(?m)^(ok|FAIL)\s+\S+\s+[0-9.]+s`)
)

// test runs tests and returns those that fail. It is an error when they do not compile.
func (c *Copy) test(ctx context.Context, tests []string) (failed []string, err error) {
	names := map[string][]string{} // by their package
	for _, t := range tests {
		at := strings.LastIndex(t, ".")
		names[t[:at]] = append(names[t[:at]], t[at+1:])
	}
	for _, pkg := range slices.Sorted(maps.Keys(names)) {
		pattern := "^(" + strings.Join(names[pkg], "|") + ")$"
		cmd := exec.CommandContext(ctx, "go", "test", "-count=1", "-timeout=5m", "-run="+pattern, "./"+pkg) //nolint:gosec // our own names
		cmd.Dir = c.dir
		// The tests are the children of what is run here.
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
		cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGTERM) }
		cmd.WaitDelay = 10 * time.Second
		out, err := cmd.CombinedOutput()
		if !ran.Match(out) {
			return nil, errors.Join(fmt.Errorf("the tests of %s do not run: %s", pkg, bytes.TrimSpace(out)), err, ctx.Err())
		}
		for _, f := range failure.FindAllSubmatch(out, -1) {
			failed = append(failed, pkg+"."+string(f[1]))
		}
	}
	return failed, nil
}
