package localpg

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// ErrInUse is returned when another running program holds the folder.
var ErrInUse = errors.New("the database folder is in use")

const (
	lockFile     = "lock"
	lookedAtMost = 100 * time.Millisecond
)

// lock is an advisory lock on a folder. The kernel drops it with the process, so it is never stale.
type lock struct{ file *os.File }

func acquire(ctx context.Context, dir string) (*lock, error) {
	path := filepath.Join(dir, lockFile)
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock the database's folder: %w", err)
	}
	if err := flock(ctx, f); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("%w: %s is held by another running program%s; stop that one, or give this one a DATA_DIR of its own or a DATABASE_URL",
				ErrInUse, dir, holder(path))
		}
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	// The process id is for people who read the message above; nothing depends on it.
	if err := f.Truncate(0); err == nil {
		_, _ = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	return &lock{file: f}, nil
}

// flock takes the lock, or fails with EWOULDBLOCK. Somebody who only looks whether it is taken has it for a moment, which is
// no reason to fail.
func flock(ctx context.Context, f *os.File) error {
	deadline := time.Now().Add(lookedAtMost)
	for {
		err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EWOULDBLOCK) || time.Now().After(deadline) || sleep(ctx, pollEvery) != nil {
			return err
		}
	}
}

func (l *lock) release() { _ = l.file.Close() }

func holder(path string) string {
	data, err := os.ReadFile(path)
	if pid := strings.TrimSpace(string(data)); err == nil && pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}
