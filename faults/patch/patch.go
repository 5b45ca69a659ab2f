// Package patch changes a few lines of the program's sources for one build or one run of its tests. The sources themselves are
// not touched.
package patch

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Patch is a change of one source file.
type Patch struct {
	// File is relative to the module's folder, or to that of Go when it begins with "$GOROOT/".
	File string
	// Old has to be in the file exactly once. Empty: there is no such file, and New is all of it.
	Old string
	New string
}

// ErrNoFit: the sources have changed since the patch was written.
var ErrNoFit = errors.New("a patch does not fit the sources")

// Fits returns an error when one of the patches does not fit the sources in module.
func Fits(ctx context.Context, module string, patches []Patch) error {
	_, err := Apply(ctx, module, patches)
	return err
}

// Overlay writes the patched files into the folder dir, and what `go build -overlay` reads, and returns the latter's path.
func Overlay(ctx context.Context, module, dir string, patches []Patch) (string, error) {
	patched, err := Apply(ctx, module, patches)
	if err != nil {
		return "", err
	}
	var overlay struct{ Replace map[string]string }
	overlay.Replace = make(map[string]string)
	for original, text := range patched {
		f, err := os.CreateTemp(dir, "*-"+filepath.Base(original))
		if err != nil {
			return "", err
		}
		_, err = f.WriteString(text)
		if err := errors.Join(err, f.Close()); err != nil {
			return "", err
		}
		overlay.Replace[original] = f.Name()
	}
	content, err := json.Marshal(overlay)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, content, 0o600)
}

// Apply returns the patched files' texts by their paths. Where there is more than one patch of a file, each is of what the one before
// has made of it.
func Apply(ctx context.Context, module string, patches []Patch) (map[string]string, error) {
	module, err := filepath.Abs(module)
	if err != nil {
		return nil, err
	}
	out, err := exec.CommandContext(ctx, "go", "env", "GOROOT").Output()
	if err != nil {
		return nil, fmt.Errorf("ask where Go is: %w", err)
	}
	patched := make(map[string]string)
	for _, p := range patches {
		path := filepath.Join(module, p.File)
		if rest, inGo := strings.CutPrefix(p.File, "$GOROOT/"); inGo {
			path = filepath.Join(strings.TrimSpace(string(out)), rest)
		}
		text, again := patched[path]
		if !again && p.Old != "" {
			content, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("%w: %w", ErrNoFit, err)
			}
			text = string(content)
		}
		if p.Old == "" {
			patched[path] = p.New
			continue
		}
		if n := strings.Count(text, p.Old); n != 1 {
			return nil, fmt.Errorf("%w: %s has %d times, not once: %s", ErrNoFit, p.File, n, p.Old)
		}
		patched[path] = strings.Replace(text, p.Old, p.New, 1)
	}
	return patched, nil
}
