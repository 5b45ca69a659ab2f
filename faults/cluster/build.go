package cluster

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"

	"github.com/orderlog/orderlog/faults/patch"
)

// Build builds the program from its sources and the patches into the folder dir and returns its path.
func Build(ctx context.Context, module, dir string, patches []patch.Patch) (string, error) {
	overlay, err := patch.Overlay(ctx, module, dir, patches)
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
