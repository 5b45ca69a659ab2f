package cluster

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mount makes a folder a file system in memory of so many bytes.
func mount(folder string, size int64) error {
	return unix.Mount("orderlog-faults", folder, "tmpfs", unix.MS_NODEV|unix.MS_NOSUID, fmt.Sprintf("size=%d,mode=0700", size))
}

func unmount(folder string) error { return unix.Unmount(folder, 0) }

// takeAll lets a file grow until there is no room left in its file system, which a folder is of.
func takeAll(f *os.File, folder string) error {
	for size := int64(0); ; {
		var free unix.Statfs_t
		if err := unix.Statfs(folder, &free); err != nil {
			return err
		}
		room := int64(free.Bavail) * free.Bsize //nolint:gosec // less than its size
		if room == 0 {
			return nil
		}
		switch err := unix.Fallocate(int(f.Fd()), 0, size, room); {
		case errors.Is(err, unix.ENOSPC): // PostgreSQL was faster
			return nil
		case err != nil:
			return err
		}
		info, err := f.Stat()
		if err != nil {
			return err
		}
		size = info.Size()
	}
}
