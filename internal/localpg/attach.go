package localpg

import (
	"context"
	"errors"
	"path/filepath"
)

// ErrNotRunning is returned when no program holds the folder, so that Start may be called.
var ErrNotRunning = errors.New("no program runs a database in the folder")

// Attach gives the address, for the application's role, of the PostgreSQL that another program runs on the folder. It
// changes nothing. While that program is starting it waits until connections are taken, for 10 seconds at most. Of the
// configuration it looks at Dir and Logger alone. Errors: ErrNotRunning, or what is in the way and what to do about it.
func Attach(ctx context.Context, cfg Config) (url string, err error) {
	return "", ErrNotRunning
}

// Exists reports whether there is a cluster for the folder. It makes nothing.
func Exists(dir string) bool {
	home, err := readLocation(dir)
	if err != nil || home == "" {
		home = dir
	}
	return hasCluster(filepath.Clean(home))
}
