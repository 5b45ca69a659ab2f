package pgtest

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"syscall"

	"github.com/orderlog/orderlog/internal/localpg"
)

// The folder of a run:
//
//	lock         held by the keeper for life, from before the folder has its name: held means alive
//	socket       the keeper's, for its members
//	keeper.log   what the keeper says
//	pg           the cluster
const (
	lockName    = "lock"
	socketName  = "socket"
	logName     = "keeper.log"
	clusterName = "pg"
	longestPath = 103 // of a Unix socket

	memoryFolder  = "/dev/shm"
	memoryAtLeast = 2 << 30 // bytes; containers often have 64 MB
)

// errTaken: the run's folder is there and its keeper is alive.
var errTaken = errors.New("the folder is taken")

// runFolder is the folder of this run. All test binaries of one `go test` have the go command as their parent.
func runFolder() string {
	name := folderPrefix() + strconv.Itoa(os.Getppid())
	path := filepath.Join(runsFolder(os.Getenv("TMPDIR"), memoryFolder), name)
	if len(filepath.Join(path, socketName)) > longestPath {
		path = filepath.Join("/tmp", name)
	}
	return path
}

// runsFolder is where runs have their folders: in memory where that is to be had and TMPDIR asks for nothing else. Cloning
// a database makes some 900 files; that took 250 ms on a journaling file system and 17 ms in memory.
func runsFolder(tmpdir, memory string) string {
	if tmpdir != "" {
		return tmpdir
	}
	// The size and not what is free of it, so that all test binaries decide alike.
	var fs syscall.Statfs_t
	if syscall.Statfs(memory, &fs) == nil && fs.Blocks*uint64(fs.Bsize) >= memoryAtLeast { //nolint:gosec // a size is positive
		return memory
	}
	return os.TempDir()
}

func folderPrefix() string { return "orderlog-test-" + strconv.Itoa(os.Geteuid()) + "-" }

// claim makes the folder, and returns its locked lock. Who claims it starts the keeper. It clears away what is left of a
// keeper that died without doing so, and then returns errTaken also: the caller tries again.
func claim(ctx context.Context, folder string) (*os.File, error) {
	lock, err := build(folder)
	if err == nil {
		return lock, nil
	}
	if !errors.Is(err, fs.ErrExist) && !errors.Is(err, syscall.ENOTEMPTY) {
		return nil, fmt.Errorf("make the folder of the tests' server: %w", err)
	}
	if err := clearStale(ctx, folder); err != nil {
		return nil, err
	}
	return nil, errTaken
}

// build makes the folder under another name and renames it when it holds a lock that is held; the rename is the election.
func build(folder string) (_ *os.File, err error) {
	temporary, err := os.MkdirTemp(filepath.Dir(folder), "orderlog-new-")
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(temporary)
		}
	}()
	if os.Geteuid() == 0 {
		// PostgreSQL runs as another user then, and has to get to its cluster.
		if err := os.Chmod(temporary, 0o711); err != nil { //nolint:gosec // to pass, not to read
			return nil, err
		}
	}
	lock, err := tryLock(filepath.Join(temporary, lockName))
	if err != nil {
		return nil, err
	}
	if err := os.Rename(temporary, folder); err != nil {
		_ = lock.Close()
		return nil, err
	}
	return lock, nil
}

// tryLock returns a locked file, or errTaken when another holds it.
func tryLock(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, errTaken
		}
		return nil, err
	}
	return f, nil
}

// clearStale removes a folder whose keeper is dead. It does nothing to one whose keeper lives or that is gone.
func clearStale(ctx context.Context, folder string) error {
	info, err := os.Lstat(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok || !info.IsDir() || int(st.Uid) != os.Geteuid() {
		return fmt.Errorf("%s is not a folder of this user's tests; remove it", folder)
	}
	path := filepath.Join(folder, lockName)
	lock, err := tryLock(path)
	if errors.Is(err, errTaken) || errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("look after the keeper of %s: %w", folder, err)
	}
	defer lock.Close()
	// Between opening and locking another process may have removed this folder, and a third made a new one.
	ours, err1 := lock.Stat()
	named, err2 := os.Stat(path)
	if err1 != nil || err2 != nil || !os.SameFile(ours, named) {
		return nil
	}
	return clearFolder(ctx, folder)
}

// clearFolder removes a folder whose lock the caller holds, and ends a PostgreSQL that still runs in it. The name is given
// free in one step, so that nobody meets half a folder.
func clearFolder(ctx context.Context, folder string) error {
	if err := localpg.Remove(ctx, filepath.Join(folder, clusterName)); err != nil {
		return fmt.Errorf("clear away the tests' server: %w", err)
	}
	gone := folder + ".gone-" + strconv.Itoa(os.Getpid())
	if err := os.Rename(folder, gone); err != nil {
		return fmt.Errorf("clear away the tests' folder: %w", err)
	}
	if err := os.RemoveAll(gone); err != nil {
		return fmt.Errorf("clear away the tests' folder: %w", err)
	}
	return nil
}

// sweep clears away what other runs left that were killed with their keeper.
func sweep(ctx context.Context, folder string) {
	others, err := filepath.Glob(filepath.Join(filepath.Dir(folder), folderPrefix()+"*"))
	if err != nil {
		return
	}
	for _, other := range others {
		if other != folder {
			_ = clearStale(ctx, other) // none of this run's business if it fails
		}
	}
}
