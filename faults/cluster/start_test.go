package cluster

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Ctrl-C may come at any time while PostgreSQL starts. Nothing may be left of it then: its folder, the disk that is mounted
// there, and the server that would hold the disk.
func TestAStartThatIsBrokenOffLeavesNothing(t *testing.T) {
	// Not in parallel: it sets where folders are made.
	t.Setenv("TMPDIR", t.TempDir())
	if err := os.Chmod(os.Getenv("TMPDIR"), 0o711); err != nil { // PostgreSQL's user passes through
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Dir(os.Getenv("TMPDIR")), 0o711); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	c := &Cluster{}
	t.Cleanup(func() { _ = c.Close() }) // its disk is not to outlive a test that fails
	logs := t.TempDir()
	go func() { // as soon as the server runs
		defer cancel()
		for ctx.Err() == nil {
			if _, err := os.Stat(filepath.Join(logs, "postgres.log")); err == nil {
				return
			}
			_ = wait(ctx, time.Millisecond)
		}
	}()
	if err := c.makePostgres(ctx, logs, 0); !errors.Is(err, context.Canceled) {
		t.Fatalf("it was not broken off: %v", err)
	}
	if c.postgres == nil {
		t.Error("the server that was started is not known")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("left are %v (%v)", left, err)
	}
}
