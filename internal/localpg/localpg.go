// Package localpg runs a private PostgreSQL for a program that was given no other: it finds the server's programs,
// makes a cluster in a folder of the program's own, and runs it as a child process.
//
// What it guarantees:
//
//   - Durable. The cluster lives in a place that outlasts reboots, is made by an initdb that either finished or is
//     redone, and runs with PostgreSQL's own fsync and synchronous_commit unless Config.Settings says otherwise.
//   - One program a folder. A lock is held as long as the Server lives; a second program gets ErrInUse, and may Attach to
//     the server instead.
//   - Nothing left behind. Stop ends the server; on Linux the kernel ends it also when the program is killed. Elsewhere a
//     server that outlived its program is ended by the next Start on the same folder. Stale lock files are not in the way.
//   - The same major version. A cluster is only ever started with the major version that made it.
//   - Never root. PostgreSQL refuses to run as root, so a program that runs as root runs it as the owner of the cluster,
//     which for a new one is the system's user postgres or else nobody.
//
// Authentication. The server listens on a Unix socket alone, in a folder that only its user (and root) may enter, and
// trusts who comes that way: whoever can open the socket could read the data files as well, so a password would protect
// nothing and would cost each new connection some milliseconds of hashing. Where Unix sockets do not work it listens on
// 127.0.0.1, which every user of the machine can reach; there SCRAM and a generated secret, kept 0600 beside the
// cluster, are required.
//
// Where the data is. In Config.Dir, with one exception: a root program's PostgreSQL runs as another user, who may be
// unable to enter Config.Dir (under /root, for example). Permissions of folders that are not ours are not changed;
// instead the cluster is placed in /var/lib/orderlog (else /var/tmp/orderlog), the file "location" in Config.Dir remembers
// where, and the place is logged. A backup of Config.Dir then holds no data; removing Config.Dir then leaves the data behind.
//
// The folder holds: data (the cluster), run (the socket), secret, postgres.log and postgres.log.1 (the server's messages
// since the last two starts), lock, and where they were needed location, socketdir and programs (downloaded ones).
package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderlog/orderlog/internal/child"
)

const (
	// Role is the role of the application: it may log in and owns Database, and nothing more.
	Role = "orderlog"
	// Database is the application's database.
	Database = "orderlog"
	// Superuser is the role for operators and tests.
	Superuser = "postgres"

	minimumMajor = 15
)

// Config says where and how a private PostgreSQL runs.
type Config struct {
	// Dir is the folder of the cluster. It is made when missing, and should be left to this package to make: it needs
	// permissions that let the server's user through. Required.
	Dir string
	// Logger gets a few lines about what was found and done. Nil: nothing is logged.
	Logger *slog.Logger
	// Settings are server settings by name, over PostgreSQL's defaults. They last for this run only.
	Settings map[string]string
	// NoSync makes a new cluster without waiting for the disk. For clusters nobody will miss.
	NoSync bool
	// StartTimeout bounds the wait until the server takes connections, a recovery after a crash included. Zero: 2 minutes.
	StartTimeout time.Duration
	// StopTimeout bounds an orderly shutdown; what takes longer is cut short and recovers at the next start. Zero: 30 seconds.
	StopTimeout time.Duration
	// Elsewhere lists folders that may hold the cluster where the server's user cannot enter Dir, the first usable one
	// wins. Nil: /var/lib/orderlog, /var/tmp/orderlog.
	Elsewhere []string
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.StartTimeout == 0 {
		c.StartTimeout = 2 * time.Minute
	}
	if c.StopTimeout == 0 {
		c.StopTimeout = 30 * time.Second
	}
	if c.Elsewhere == nil {
		c.Elsewhere = []string{"/var/lib/orderlog", "/var/tmp/orderlog"}
	}
	return c
}

// Server is a running PostgreSQL. Its methods are safe for concurrent use.
type Server struct {
	cfg      Config
	home     string
	programs programs
	endpoint endpoint
	secret   string
	process  *child.Process
	locks    []*lock
	sockets  func(ctx context.Context, as *account) func(folder string) error

	stop    sync.Once
	stopErr error
	stopped chan struct{}
}

// Start makes the cluster where there is none, starts PostgreSQL on it and returns when it takes connections. The server
// runs until Stop; ctx bounds only the start. Errors: ErrInUse, ErrNoPrograms, ErrNoMajor, or what went wrong with the
// last lines of the server's log.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	return start(ctx, cfg, thisMachine())
}

func start(ctx context.Context, cfg Config, m machine) (_ *Server, err error) {
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		return nil, errors.New("localpg: no folder given")
	}
	s := &Server{cfg: cfg, stopped: make(chan struct{}), sockets: m.sockets}
	defer func() {
		if err != nil {
			s.release()
		}
	}()

	dir, err := m.makeFolder(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("make the database's folder: %w; give a DATA_DIR that can be written, or a DATABASE_URL", err)
	}
	l, err := acquire(ctx, dir)
	if err != nil {
		return nil, err
	}
	s.locks = append(s.locks, l)

	site, err := m.settle(ctx, dir, cfg)
	if err != nil {
		return nil, err
	}
	s.home, s.programs = site.home, site.programs
	if s.home != dir {
		// A copy of dir names the same place: its own lock decides.
		if l, err = acquire(ctx, s.home); err != nil {
			return nil, err
		}
		s.locks = append(s.locks, l)
		cfg.Logger.Info("the database is outside its folder, because its user cannot enter there",
			"dir", dir, "place", s.home, "user", site.account.describe())
	}
	if err := s.prepare(ctx, site); err != nil {
		return nil, err
	}
	if err := s.launch(ctx, site); err != nil {
		return nil, err
	}
	cfg.Logger.Info("private PostgreSQL is up", "version", s.programs.version, "place", s.home, "pid", s.PID())
	return s, nil
}

// prepare makes the folder ready for a server: a whole cluster, and no earlier server on it.
func (s *Server) prepare(ctx context.Context, site site) error {
	fresh := !hasCluster(s.home)
	secret, _, err := readOrMakeSecret(s.home)
	if err != nil {
		return fmt.Errorf("keep the database's secret: %w", err)
	}
	s.secret = secret
	if fresh {
		s.cfg.Logger.Info("making a database cluster", "place", s.home, "version", s.programs.version, "user", site.account.describe())
		return initialise(ctx, s.home, site, s.secret, s.cfg.NoSync)
	}
	return evict(ctx, filepath.Join(s.home, dataFolder), s.cfg.Logger)
}

// URL gives the address of a database for the application's role, for pgx and golang-migrate. Empty: the application's database.
func (s *Server) URL(database string) string {
	if database == "" {
		database = Database
	}
	return s.endpoint.url(Role, password(s.secret, Role), database)
}

// SuperuserURL gives the address of a database for the superuser. Empty: the application's database.
func (s *Server) SuperuserURL(database string) string {
	if database == "" {
		database = Database
	}
	return s.endpoint.url(Superuser, password(s.secret, Superuser), database)
}

// PID is the process id of the server.
func (s *Server) PID() int { return s.process.PID() }

// Home is the folder that holds the cluster: Config.Dir, or the place elsewhere that was taken instead.
func (s *Server) Home() string { return s.home }

// Done is closed when the server has ended, for whatever reason.
func (s *Server) Done() <-chan struct{} { return s.process.Done() }

// Wait blocks until the server ends and says why it ended by itself; it returns nil when Stop ended it or ctx is over.
func (s *Server) Wait(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return nil
	case <-s.process.Done():
	}
	select {
	case <-s.stopped:
		return nil
	default:
		return fmt.Errorf("the private PostgreSQL ended by itself (%s): %s", s.process.State(), tail(s.home))
	}
}

// Stop ends the server in order: transactions are rolled back and data is written out. When that takes longer than
// Config.StopTimeout or ctx lasts, it is cut short; committed data is safe then too, the next start recovers it. Further
// calls wait for the first and return its error. The folder may be used by another program afterwards.
func (s *Server) Stop(ctx context.Context) error {
	s.stop.Do(func() {
		close(s.stopped)
		s.stopErr = shutdown(ctx, s.process, s.cfg.StopTimeout)
		s.release()
	})
	return s.stopErr
}

func (s *Server) release() {
	if s.endpoint.temporary {
		_ = os.RemoveAll(s.endpoint.folder)
		_ = os.Remove(filepath.Join(s.home, socketFile))
	}
	for _, l := range slices.Backward(s.locks) {
		l.release()
	}
	s.locks = nil
}

// Remove deletes a folder of this package and the cluster it belongs to, wherever that is; a server that was left running
// on it is ended first. It refuses with ErrInUse while a program uses it. A folder that is not there is no error.
func Remove(ctx context.Context, dir string) error {
	if _, err := os.Stat(dir); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	l, err := acquire(ctx, dir)
	if err != nil {
		return err
	}
	defer l.release()
	home, err := readLocation(dir)
	if err != nil {
		return err
	}
	for _, folder := range []string{home, dir} {
		if folder == "" {
			continue
		}
		if hasCluster(folder) {
			if err := evict(ctx, filepath.Join(folder, dataFolder), slog.New(slog.DiscardHandler)); err != nil {
				return err
			}
		}
		removeOldSocketFolder(folder)
		if err := os.RemoveAll(folder); err != nil {
			return fmt.Errorf("remove the database's folder: %w", err)
		}
	}
	return nil
}

// arguments are the server's command line.
func (s *Server) arguments() []string {
	settings := map[string]string{
		"timezone":     "UTC",
		"log_timezone": "UTC",
	}
	maps.Copy(settings, s.cfg.Settings)
	maps.Copy(settings, s.endpoint.settings())
	args := []string{"-D", filepath.Join(s.home, dataFolder)}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "-c", name+"="+settings[name])
	}
	return args
}

// tail is the end of the server's log in one line, for an error message.
func tail(home string) string {
	data, err := os.ReadFile(filepath.Join(home, logFile))
	if err != nil {
		return "its log cannot be read: " + err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(data)), "\n")
	if len(lines) > 6 {
		lines = lines[len(lines)-6:]
	}
	text := strings.Join(lines, "; ")
	if text == "" {
		return "its log is empty"
	}
	return text
}
