package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
)

// peerFolder installs the npm packages of a peer, once, and returns the peer's folder.
func peerFolder(ctx context.Context, name string) (dir string, err error) {
	dir = filepath.Join("peers", name)
	modules := filepath.Join(dir, "node_modules")
	if _, err := os.Stat(modules); err == nil {
		return dir, nil
	}
	install := exec.CommandContext(ctx, "npm", "ci", "--no-audit", "--no-fund")
	install.Dir = dir
	if text, err := install.CombinedOutput(); err != nil {
		_ = os.RemoveAll(modules) // half of it would pass for all of it
		return "", fmt.Errorf("install %s (Node 20 and npm are needed): %w: %s", name, err, text)
	}
	return dir, nil
}
