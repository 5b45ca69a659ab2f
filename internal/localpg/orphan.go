package localpg

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

const pidFile = "postmaster.pid"

// evict ends a server that an earlier program left running on a cluster, and removes a pid file that names some other
// program, which PostgreSQL would take for a server. The caller holds the folder's lock, so no program of ours uses it.
func evict(ctx context.Context, data string, logger *slog.Logger) error {
	path := filepath.Join(data, pidFile)
	pid, err := readPID(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil && serves(ctx, pid, data) {
		logger.Warn("ending a PostgreSQL that outlived its program", "pid", pid, "data", data)
		return endOrphan(ctx, pid, data)
	}
	// Dead, or another program that got its number, or a file that was cut short.
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("remove a stale %s: %w", path, err)
	}
	return nil
}

func readPID(path string) (int, error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return 0, err
	}
	first, _, _ := bytes.Cut(content, []byte("\n"))
	pid, err := strconv.Atoi(string(bytes.TrimSpace(first)))
	if err != nil || pid <= 1 {
		return 0, fmt.Errorf("%s names no process", path)
	}
	return pid, nil
}

func endOrphan(ctx context.Context, pid int, data string) error {
	for _, step := range []struct {
		signal syscall.Signal
		atMost time.Duration
	}{{syscall.SIGINT, 30 * time.Second}, {syscall.SIGQUIT, quitAtMost}} {
		if err := syscall.Kill(pid, step.signal); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("end the PostgreSQL that was left (process %d): %w", pid, err)
		}
		if gone(ctx, pid, data, step.atMost) {
			return nil
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
	return fmt.Errorf("a PostgreSQL that was left on %s (process %d) does not end; end it by hand", data, pid)
}

func gone(ctx context.Context, pid int, data string, atMost time.Duration) bool {
	ctx, cancel := context.WithTimeout(ctx, atMost)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for serves(ctx, pid, data) {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return false
		}
	}
	return true
}

// isServer reports whether a command line is that of a server on the cluster in data.
func isServer(args []string, data string) bool {
	if len(args) == 0 {
		return false
	}
	if name := filepath.Base(args[0]); name != "postgres" && name != "postmaster" {
		return false
	}
	for i, arg := range args {
		if (arg == "-D" && i+1 < len(args) && args[i+1] == data) || arg == "-D"+data {
			return true
		}
	}
	return false
}
