package cluster

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// smallDisk is room for some minutes of a run, and what a minute more takes at most. It is memory that is taken when the disk
// is filled.
const (
	smallDisk     = 768 << 20
	diskForMinute = 64 << 20
)

// disk is a file system of its own in memory, so that it can be full without the machine's being.
type disk struct {
	folder  string
	mounted bool
	why     string // it is not mounted
}

// newDisk mounts one, with room for a run of that length, on a folder, or leaves the folder as it is where that is not allowed.
// A disk that was mounted is also returned with an error: it is to be removed.
func newDisk(folder string, span time.Duration, owner *syscall.Credential) (*disk, error) {
	d := &disk{folder: folder}
	if err := os.MkdirAll(folder, 0o700); err != nil {
		return nil, err
	}
	if err := mount(folder, smallDisk+int64(span.Minutes()*diskForMinute)); err != nil {
		d.why = fmt.Sprintf("a disk of its own for PostgreSQL could not be mounted: %v", err)
	} else {
		d.mounted = true
	}
	if owner != nil {
		return d, os.Chown(folder, int(owner.Uid), int(owner.Gid))
	}
	return d, nil
}

func (d *disk) ballast() string { return filepath.Join(d.folder, "ballast") }

// fill leaves no room.
func (d *disk) fill() (err error) {
	if !d.mounted {
		return errors.New(d.why)
	}
	f, err := os.OpenFile(d.ballast(), os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	return takeAll(f, d.folder)
}

func (d *disk) free() error {
	if err := os.Remove(d.ballast()); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

// remove gives the disk back. Processes that were killed may hold it for a moment longer.
func (d *disk) remove(ctx context.Context) error {
	for d.mounted {
		err := unmount(d.folder)
		switch {
		case err == nil:
			d.mounted = false
		case wait(ctx, tryEvery) != nil:
			return fmt.Errorf("unmount %s: %w", d.folder, err)
		}
	}
	return nil
}
