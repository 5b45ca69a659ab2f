package localpg

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

const (
	runFolder    = "run"
	socketFile   = "socketdir" // names a temporary socket folder, for the next start to remove
	socketPort   = 5432        // only part of the socket's name
	longestPath  = 103         // sun_path: 104 bytes on macOS and 108 on Linux, with a zero at the end
	socketPrefix = "orderlog-pg-"
)

// endpoint is where the server listens: a Unix socket in a folder, or a port of 127.0.0.1.
type endpoint struct {
	folder    string
	temporary bool
	port      int
}

func (e endpoint) url(role, pass, database string) string {
	u := url.URL{Scheme: "postgres", Path: "/" + database}
	q := url.Values{"sslmode": {"disable"}}
	if e.folder != "" {
		u.User = url.User(role)
		q.Set("host", e.folder)
		q.Set("port", strconv.Itoa(e.port))
	} else {
		u.User = url.UserPassword(role, pass)
		u.Host = net.JoinHostPort("127.0.0.1", strconv.Itoa(e.port))
	}
	u.RawQuery = q.Encode()
	return u.String()
}

func (e endpoint) settings() map[string]string {
	s := map[string]string{
		"port":                    strconv.Itoa(e.port),
		"listen_addresses":        "",
		"unix_socket_directories": "",
	}
	if e.folder == "" {
		s["listen_addresses"] = "127.0.0.1"
		return s
	}
	s["unix_socket_directories"] = `"` + e.folder + `"`
	s["unix_socket_permissions"] = "0700"
	return s
}

// chooseEndpoint takes the first that works of: a socket in home, a socket in a new short folder, a free port. A port may be
// taken by somebody else before the server binds it; the caller then chooses again.
func chooseEndpoint(ctx context.Context, home string, as *account, works func(folder string) error) (endpoint, error) {
	removeOldSocketFolder(home)
	folder := filepath.Join(home, runFolder)
	if err := makeOwned(folder, as); err != nil {
		return endpoint{}, fmt.Errorf("make the folder of the socket: %w", err)
	}
	if works(folder) == nil {
		return endpoint{folder: folder, port: socketPort}, nil
	}
	// Not os.TempDir alone: its path may be long, or closed to the server's user.
	for _, parent := range []string{"/tmp", "/var/tmp", os.TempDir()} {
		if e, err := temporaryEndpoint(home, parent, as, works); err == nil {
			return e, nil
		}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return endpoint{}, fmt.Errorf("find a way to listen: %w", err)
	}
	addr, ok := l.Addr().(*net.TCPAddr)
	if err := l.Close(); err != nil || !ok {
		return endpoint{}, fmt.Errorf("free the port for the database: %w", err)
	}
	return endpoint{port: addr.Port}, nil
}

func temporaryEndpoint(home, parent string, as *account, works func(string) error) (_ endpoint, err error) {
	folder, err := os.MkdirTemp(parent, socketPrefix)
	if err != nil {
		return endpoint{}, err
	}
	defer func() {
		if err != nil {
			_ = os.RemoveAll(folder)
		}
	}()
	if err := as.own(folder); err != nil {
		return endpoint{}, err
	}
	if err := works(folder); err != nil {
		return endpoint{}, err
	}
	if err := os.WriteFile(filepath.Join(home, socketFile), []byte(folder+"\n"), 0o600); err != nil {
		return endpoint{}, err
	}
	return endpoint{folder: folder, temporary: true, port: socketPort}, nil
}

// removeOldSocketFolder clears up after a program that was killed.
func removeOldSocketFolder(home string) {
	path := filepath.Join(home, socketFile)
	data, err := os.ReadFile(path)
	if err != nil {
		return
	}
	folder := strings.TrimSpace(string(data))
	if filepath.IsAbs(folder) && strings.HasPrefix(filepath.Base(folder), socketPrefix) {
		_ = os.RemoveAll(folder)
	}
	_ = os.Remove(path)
}

// socketsWork tries to listen in a folder under a name as long as the server's.
func socketsWork(ctx context.Context, as *account) func(folder string) error {
	return func(folder string) error {
		path := filepath.Join(folder, ".s.PGSQL."+strconv.Itoa(socketPort))
		if len(path) > longestPath {
			return errors.New("the path is too long for a socket")
		}
		// Lists of folders and of hosts are comma separated, in PostgreSQL's settings and in addresses.
		if strings.ContainsAny(folder, `,"'\`) {
			return errors.New("the path cannot be written in an address")
		}
		if as != nil && as.blockedAt(folder) != "" {
			return errors.New("the server's user cannot enter the folder")
		}
		// Not the server's own name: an earlier server may still be there.
		l, err := (&net.ListenConfig{}).Listen(ctx, "unix", filepath.Join(folder, ".s.try.00000"))
		if err != nil {
			return err
		}
		return l.Close()
	}
}
