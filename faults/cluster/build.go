package cluster

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// Patch is a change of one source file for one build. The file itself is not touched.
type Patch struct {
	// File is relative to the module's folder, or to that of Go when it begins with "$GOROOT/".
	File string
	// Old has to be in the file exactly once. Empty: there is no such file, and New is all of it.
	Old string
	New string
}

// errNoFit: the sources have changed since the patch was written.
var errNoFit = errors.New("a patch does not fit the sources")

// Build builds the program from its sources and the patches into the folder dir and returns its path.
func Build(ctx context.Context, module, dir string, patches []Patch) (string, error) {
	overlay, err := writeOverlay(ctx, module, dir, patches)
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "app")
	cmd := exec.CommandContext(ctx, "go", "build", "-overlay", overlay, "-o", path, "./cmd/app") //nolint:gosec // our own paths
	cmd.Dir = module
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the program: %w: %s", err, bytes.TrimSpace(out))
	}
	return path, nil
}

// Fits returns an error when one of the patches does not fit the sources in module.
func Fits(ctx context.Context, module string, patches []Patch) error {
	_, err := apply(ctx, module, patches)
	return err
}

// writeOverlay writes the patched files and what `go build -overlay` reads, and returns the path of the latter.
func writeOverlay(ctx context.Context, module, dir string, patches []Patch) (string, error) {
	patched, err := apply(ctx, module, patches)
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

// apply returns the patched files' texts by their paths.
func apply(ctx context.Context, module string, patches []Patch) (map[string]string, error) {
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
				return nil, fmt.Errorf("%w: %w", errNoFit, err)
			}
			text = string(content)
		}
		if p.Old == "" {
			patched[path] = p.New
			continue
		}
		if n := strings.Count(text, p.Old); n != 1 {
			return nil, fmt.Errorf("%w: %s has %d times, not once: %s", errNoFit, p.File, n, p.Old)
		}
		patched[path] = strings.Replace(text, p.Old, p.New, 1)
	}
	return patched, nil
}
