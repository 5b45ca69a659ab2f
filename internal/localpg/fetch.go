package localpg

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"time"

	embeddedpostgres "github.com/fergusstrange/embedded-postgres"
)

const (
	fetchVersion = embeddedpostgres.V17
	fetchAtMost  = 10 * time.Minute
)

// fetchPrograms downloads PostgreSQL's programs into a folder, so that folder/bin holds them.
//
// The library only offers to start a server. It is given a cluster that cannot start, so that it downloads and unpacks, and
// then gives up without having run anything that matters; its own start does not work for root, needs a TCP port and
// leaves no say over where the data is.
func fetchPrograms(ctx context.Context, folder string) error {
	scratch, err := os.MkdirTemp(filepath.Dir(folder), "fetch-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(scratch)
	data, unpacked := filepath.Join(scratch, "data"), filepath.Join(scratch, "unpacked")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(data, "PG_VERSION"), []byte("17\n"), 0o600); err != nil {
		return err
	}
	port, err := freePort(ctx)
	if err != nil {
		return err
	}
	library := embeddedpostgres.NewDatabase(embeddedpostgres.DefaultConfig().
		Version(fetchVersion).Port(port).Logger(io.Discard).
		CachePath(filepath.Join(scratch, "cache")).RuntimePath(filepath.Join(scratch, "runtime")).
		BinariesPath(unpacked).DataPath(data))
	ctx, cancel := context.WithTimeout(ctx, fetchAtMost)
	defer cancel()
	result := make(chan error, 1)
	// The library takes no context: when ctx ends first, this goroutine lives until the download fails or the program ends.
	go func() { result <- library.Start() }()
	select {
	case err = <-result:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err == nil {
		return errors.Join(errors.New("the library started a server on an empty cluster"), library.Stop())
	}
	for _, name := range []string{"postgres", "initdb"} {
		if _, statErr := os.Stat(filepath.Join(unpacked, "bin", name)); statErr != nil {
			return err
		}
	}
	if err := os.Chmod(unpacked, 0o755); err != nil { //nolint:gosec // programs, for the server's user to run
		return err
	}
	if err := os.RemoveAll(folder); err != nil {
		return err
	}
	return os.Rename(unpacked, folder)
}

func freePort(ctx context.Context) (uint32, error) {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil || !ok {
		return 0, fmt.Errorf("free the port: %w", err)
	}
	return uint32(addr.Port), nil //nolint:gosec // a port fits
}
