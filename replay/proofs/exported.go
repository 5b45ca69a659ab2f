package proofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/google/uuid"
)

const (
	fileSuffix = ".checkpoints"
	// tailSize is how much of the end of a file is read to find its newest note.
	tailSize = 64 << 10
	// lockTry is how often a file that another program has locked is tried again. It is held for a moment only; readWithin
	// is when a reader does without.
	lockTry    = 10 * time.Millisecond
	readWithin = 5 * time.Second
)

// directory is where checkpoints are exported to: a file a log, to which notes are only ever added. Several programs may
// use it at once: the file is locked while a note is added, and a note is one write.
type directory string

func (d directory) file(log uuid.UUID) string {
	return filepath.Join(string(d), log.String()+fileSuffix)
}

// logs lists the logs whose checkpoints are in the directory.
func (d directory) logs() ([]uuid.UUID, error) {
	entries, err := os.ReadDir(string(d))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list the exported checkpoints: %w", err)
	}
	var logs []uuid.UUID
	for _, entry := range entries {
		name, is := strings.CutSuffix(entry.Name(), fileSuffix)
		if id, err := parseUUID(name); is && err == nil {
			logs = append(logs, id)
		}
	}
	return logs, nil
}

// exported is the file of a log's checkpoints, opened.
type exported struct{ file *os.File }

// openToAdd makes the file if need be and locks it, until it is closed, against all who would add to it.
func (d directory) openToAdd(ctx context.Context, log uuid.UUID) (*exported, error) {
	if err := os.MkdirAll(string(d), 0o755); err != nil { //nolint:gosec // checkpoints are to be read by others
		return nil, fmt.Errorf("make the directory of checkpoints: %w", err)
	}
	flags := os.O_RDWR | os.O_APPEND | os.O_CREATE
	f, err := openRegular(d.file(log), flags)
	if err != nil {
		return nil, fmt.Errorf("open the checkpoints: %w", err)
	}
	if err := lock(ctx, f, syscall.LOCK_EX); err != nil {
		_ = f.Close()
		return nil, err
	}
	return &exported{f}, nil
}

// openToRead opens the file, locked against those who would add to it if that can be had: a copy may be where nothing can
// be locked. nil: there is no file.
func (d directory) openToRead(ctx context.Context, log uuid.UUID) (*exported, error) {
	f, err := openRegular(d.file(log), os.O_RDONLY)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("open the checkpoints: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, readWithin)
	defer cancel()
	_ = lock(ctx, f, syscall.LOCK_SH)
	return &exported{f}, nil
}

// errNotRegular says that something stands where a file should be: a pipe, say, at which a reader would wait for ever.
var errNotRegular = errors.New("it is no regular file")

// openRegular opens a file, or makes it where the flags say so. It waits for nobody: what is no file is an error.
func openRegular(path string, flags int) (*os.File, error) {
	if info, err := os.Stat(path); err == nil && !info.Mode().IsRegular() { // opening a device may do something
		return nil, fmt.Errorf("%s: %w", path, errNotRegular)
	}
	f, err := os.OpenFile(path, flags|syscall.O_NONBLOCK, 0o644) //nolint:gosec // checkpoints are to be read by others
	if err != nil {
		return nil, err
	}
	info, err := f.Stat() // it may have been exchanged in between
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s: %w", path, errNotRegular)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

func lock(ctx context.Context, f *os.File, how int) error {
	again := time.NewTicker(lockTry)
	defer again.Stop()
	for {
		err := syscall.Flock(int(f.Fd()), how|syscall.LOCK_NB)
		switch {
		case err == nil:
			return nil
		case errors.Is(err, syscall.EINTR):
		case errors.Is(err, syscall.EWOULDBLOCK):
			select {
			case <-ctx.Done():
				return fmt.Errorf("lock %s, which another program holds: %w", f.Name(), ctx.Err())
			case <-again.C:
			}
		default:
			return fmt.Errorf("lock %s: %w", f.Name(), err)
		}
	}
}

// unlock lets others add; what was there before may still be read.
func (e *exported) unlock() { _ = syscall.Flock(int(e.file.Fd()), syscall.LOCK_UN) }

func (e *exported) close() { _ = e.file.Close() }

// tail is the end of a file of checkpoints.
type tail struct {
	newest string // the last whole note; empty: there is none
	// end is where whole notes, and whatever else stands in the file, end; what a crash left of another is behind it.
	end, size int64
	// open says that the last line has no end.
	open bool
}

// tail reads the end of the file, which must be locked.
func (e *exported) tail() (tail, error) {
	info, err := e.file.Stat()
	if err != nil {
		return tail{}, fmt.Errorf("read %s: %w", e.file.Name(), err)
	}
	t, err := e.tailFrom(max(0, info.Size()-tailSize), info.Size())
	if err == nil && t.newest == "" && info.Size() > tailSize {
		t, err = e.tailFrom(0, info.Size())
	}
	if err != nil {
		return tail{}, fmt.Errorf("read %s: %w", e.file.Name(), err)
	}
	return t, nil
}

func (e *exported) tailFrom(start, size int64) (tail, error) {
	t := tail{end: size, size: size}
	notes := newNoteReader(io.NewSectionReader(e.file, start, size-start), start)
	for {
		p, err := notes.next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return tail{}, err
		}
		if p.note != "" {
			t.newest = p.note
		}
		if p.torn {
			t.end = p.offset
		}
	}
	if t.end > 0 {
		last := make([]byte, 1)
		if _, err := e.file.ReadAt(last, t.end-1); err != nil {
			return tail{}, err
		}
		t.open = last[0] != '\n'
	}
	return t, nil
}

// add adds a note behind the tail, on the disk when it returns. What a crash left of another is taken away. When it fails
// nothing of the note is in the file, as far as that can be had.
func (e *exported) add(t tail, note string) error {
	if t.end < t.size {
		if err := e.file.Truncate(t.end); err != nil {
			return fmt.Errorf("take away what a crash left in %s: %w", e.file.Name(), err)
		}
	}
	if t.open {
		note = "\n" + note
	}
	_, err := e.file.WriteString(note)
	if err == nil {
		err = e.file.Sync()
	}
	if err != nil {
		_ = e.file.Truncate(t.end)
		return fmt.Errorf("add a checkpoint: %w", err)
	}
	if t.end > 0 {
		return nil
	}
	return syncDirectory(filepath.Dir(e.file.Name())) // the file may be new
}

func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("add a checkpoint: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("add a checkpoint: %w", err)
	}
	return nil
}
