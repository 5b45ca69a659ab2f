package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrNotRunning is returned when no program holds the folder, so that Start may be called.
var ErrNotRunning = errors.New("no program runs a database in the folder")

// attachAtMost is how long Attach waits for a server by default.
const attachAtMost = 10 * time.Second

// Attach gives the address, for the application's role, of the PostgreSQL that another program runs on the folder. It
// changes nothing there, and does not keep that program from stopping. While the server is starting, Attach waits for it,
// at most Config.StartTimeout (zero: 10 seconds) or as long as ctx lasts. Of the configuration it uses Dir, Logger and
// StartTimeout.
//
// Who may: root, the user that the server runs as, and on a machine without Unix sockets whoever may read the folder and
// the secret. Errors: ErrNotRunning, or what is in the way and what to do about it.
func Attach(ctx context.Context, cfg Config) (url string, err error) {
	if cfg.StartTimeout == 0 {
		cfg.StartTimeout = attachAtMost
	}
	cfg = cfg.withDefaults()
	if cfg.Dir == "" {
		return "", errors.New("localpg: no folder given")
	}
	dir, home, err := findHome(cfg.Dir)
	if err != nil {
		return "", err
	}
	ctx, cancel := context.WithTimeout(ctx, cfg.StartTimeout)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for waiting := false; ; waiting = true {
		if err := held(ctx, dir, home); err != nil {
			return "", err
		}
		url, err := reach(ctx, home)
		if err == nil {
			return url, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return "", closedTo(home, err)
		}
		if !waiting {
			cfg.Logger.Info("waiting for the private PostgreSQL of another program", "place", home)
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return "", fmt.Errorf("the database in %s is run by another program%s, and takes no connections (%w): %w; try again when that program is up, or look into %s",
				home, holder(filepath.Join(dir, lockFile)), ctx.Err(), err, filepath.Join(home, logFile))
		}
	}
}

// Exists reports whether there is a cluster for the folder. It makes nothing. Where it may not look, or where the cluster
// was placed elsewhere and is gone from there, it says that there is one: Attach and Start then say what is wrong.
func Exists(dir string) bool {
	if dir == "" {
		return false
	}
	dir, home, err := findHome(dir)
	if err != nil {
		return !errors.Is(err, ErrNotRunning)
	}
	if _, err := os.Stat(home); home != dir && errors.Is(err, fs.ErrNotExist) {
		return true
	}
	_, err = os.Stat(filepath.Join(home, dataFolder, "PG_VERSION"))
	return err == nil || errors.Is(err, fs.ErrPermission)
}

// findHome gives the real path of a folder and where its cluster is. A folder that is not there is ErrNotRunning.
func findHome(given string) (dir, home string, err error) {
	dir, err = filepath.Abs(given)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", "", fmt.Errorf("%w: there is no %s", ErrNotRunning, given)
	}
	if err == nil {
		home, err = readLocation(dir)
	}
	if errors.Is(err, fs.ErrPermission) {
		return "", "", closedTo(given, err)
	}
	if err != nil {
		return "", "", err
	}
	if home == "" {
		home = dir
	}
	return dir, home, nil
}

// held returns nil while a program holds dir or, through another folder that names it, home; else ErrNotRunning.
func held(ctx context.Context, dir, home string) error {
	folders := []string{dir}
	if home != dir {
		folders = append(folders, home)
	}
	for _, folder := range folders {
		locked, err := isLocked(folder)
		if errors.Is(err, fs.ErrPermission) {
			// Only who runs the program may touch its lock. The server it has can be seen by others as well.
			locked, err = hasServer(ctx, home)
		}
		if err != nil {
			return closedTo(folder, err)
		}
		if locked {
			return nil
		}
	}
	return fmt.Errorf("%w: nobody holds %s", ErrNotRunning, dir)
}

// isLocked reports whether a program holds a folder. It takes the lock for a moment to find out, shared, so that others who
// ask do not see each other; acquire waits that moment.
func isLocked(folder string) (bool, error) {
	f, err := os.Open(filepath.Join(folder, lockFile))
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer f.Close()
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return true, nil
	}
	return false, err
}

func hasServer(ctx context.Context, home string) (bool, error) {
	data := filepath.Join(home, dataFolder)
	pid, err := readPID(filepath.Join(data, pidFile))
	switch {
	case errors.Is(err, fs.ErrPermission):
		return false, err
	case err != nil:
		return false, nil
	}
	return serves(ctx, pid, data), nil
}

// reach finds out where the server of a cluster listens, and tries it: with the application's role and database, which the
// program makes after the server takes its first connections.
func reach(ctx context.Context, home string) (string, error) {
	e, pid, err := readEndpoint(filepath.Join(home, dataFolder, pidFile))
	if err != nil {
		return "", err
	}
	secret := ""
	if e.folder == "" {
		// The port may be somebody else's by now, who should not be told anything.
		if !serves(ctx, pid, filepath.Join(home, dataFolder)) {
			return "", errors.New("the server that its files tell of does not run")
		}
		if secret, err = readSecret(home); err != nil {
			return "", err
		}
	}
	url := e.url(Role, password(secret, Role), Database)
	cfg, err := pgx.ParseConfig(url)
	if err != nil {
		return "", fmt.Errorf("make an address of the server: %w", err)
	}
	cfg.ConnectTimeout = connectTimeout
	conn, err := pgx.ConnectConfig(ctx, cfg)
	if err != nil {
		return "", err
	}
	return url, conn.Close(ctx)
}

// readEndpoint reads where a server listens from the file that it keeps: its process, its folder, the second it started,
// the port, the first folder of sockets, the first address, its shared memory, and how far it is, a line each.
func readEndpoint(path string) (e endpoint, pid int, err error) {
	content, err := os.ReadFile(path)
	if err != nil {
		return endpoint{}, 0, err
	}
	if pid, err = readPID(path); err != nil {
		return endpoint{}, 0, err
	}
	lines := strings.Split(string(content), "\n")
	if len(lines) < 8 || strings.TrimSpace(lines[7]) != "ready" {
		return endpoint{}, 0, errors.New("the server is starting or stopping")
	}
	port, err := strconv.ParseUint(strings.TrimSpace(lines[3]), 10, 16)
	if err != nil || port == 0 {
		return endpoint{}, 0, fmt.Errorf("%s names no port", path)
	}
	folder := strings.TrimSpace(lines[4])
	if folder != "" && !filepath.IsAbs(folder) {
		return endpoint{}, 0, fmt.Errorf("%s names no folder of sockets", path)
	}
	return endpoint{folder: folder, port: int(port)}, pid, nil
}

// closedTo says that this user may not do what Attach has to do in a folder.
func closedTo(folder string, err error) error {
	if !errors.Is(err, fs.ErrPermission) {
		return fmt.Errorf("look for the program that runs the database in %s: %w", folder, err)
	}
	who := "the user that runs its program"
	if info, err := os.Stat(filepath.Join(folder, dataFolder)); err == nil {
		uid, gid := ownerOf(info)
		who = "the user " + (&account{uid: uid, gid: gid}).describe()
	}
	return fmt.Errorf("this user may not use the database in %s (%w); run as root or as %s", folder, err, who)
}
