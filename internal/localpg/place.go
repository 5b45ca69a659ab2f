package localpg

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

const locationFile = "location"

// account is the user a root program runs PostgreSQL as; nil means the program's own.
type account struct{ uid, gid uint32 }

func (a *account) describe() string {
	if a == nil {
		return "own"
	}
	if u, err := user.LookupId(strconv.Itoa(int(a.uid))); err == nil {
		return u.Username
	}
	return strconv.Itoa(int(a.uid))
}

func (a *account) own(path string) error {
	if a == nil {
		return nil
	}
	return os.Chown(path, int(a.uid), int(a.gid))
}

// blockedAt names the first folder on the way to (and including) dir that the account cannot enter, or "".
func (a *account) blockedAt(dir string) string {
	way, err := folderWay(dir)
	if err != nil {
		return dir
	}
	return blocked(way, *a)
}

// wayFolder is what decides whether somebody may pass a folder.
type wayFolder struct {
	path     string
	mode     fs.FileMode
	uid, gid uint32
}

// blocked names the first folder that an account may not pass by its permission bits, or "". Access lists are not known
// here; the trial run of the server's program in that folder finds those out.
func blocked(way []wayFolder, a account) string {
	for _, f := range way {
		bit := fs.FileMode(0o001)
		switch {
		case f.uid == a.uid:
			bit = 0o100
		case f.gid == a.gid:
			bit = 0o010
		}
		if f.mode.Perm()&bit == 0 {
			return f.path
		}
	}
	return ""
}

func folderWay(dir string) ([]wayFolder, error) {
	var way []wayFolder
	for path := dir; ; path = filepath.Dir(path) {
		info, err := os.Stat(path)
		if err != nil {
			return nil, err
		}
		uid, gid := ownerOf(info)
		way = append(way, wayFolder{path: path, mode: info.Mode(), uid: uid, gid: gid})
		if path == filepath.Dir(path) {
			slices.Reverse(way)
			return way, nil
		}
	}
}

func ownerOf(info fs.FileInfo) (uid, gid uint32) {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Uid, st.Gid
	}
	return 0, 0
}

// site is the outcome of the decisions: where the cluster is, who runs it, with which programs.
type site struct {
	home     string
	account  *account
	programs programs
}

// machine is what the decisions ask about the computer; tests replace parts of it.
type machine struct {
	root  bool
	find  func(ctx context.Context, as *account, extra string) []programs
	fetch func(ctx context.Context, folder string) error
	try   func(ctx context.Context, p programs, as *account, dir string) error
	user  func() (*account, error)

	sockets func(ctx context.Context, as *account) func(folder string) error
}

func thisMachine() machine {
	return machine{
		root:  os.Geteuid() == 0,
		find:  findPrograms,
		fetch: fetchPrograms,
		try:   tryIn,
		user:  serverUser,

		sockets: socketsWork,
	}
}

// makeFolder makes dir and what is missing above it, and gives its real path. Only what it made gets its permissions set:
// closed to others, but for a root program open to pass through, since the server runs as another user.
func (m machine) makeFolder(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	var missing []string
	for path := dir; ; path = filepath.Dir(path) {
		_, err := os.Stat(path)
		if err == nil {
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", err
		}
		missing = append(missing, path)
	}
	mode := fs.FileMode(0o700)
	if m.root {
		mode = 0o711
	}
	for _, path := range slices.Backward(missing) {
		if err := os.Mkdir(path, mode); errors.Is(err, fs.ErrExist) {
			continue // made by somebody else just now
		} else if err != nil {
			return "", err
		}
		if err := os.Chmod(path, mode); err != nil {
			return "", err // the umask may have taken bits away
		}
	}
	return filepath.EvalSymlinks(dir)
}

// settle decides where the cluster of dir is or will be, as whom it runs and with which programs.
func (m machine) settle(ctx context.Context, dir string, cfg Config) (site, error) {
	home, err := readLocation(dir)
	if err != nil {
		return site{}, err
	}
	if home == "" {
		home = dir
	} else if _, err := os.Stat(home); err != nil {
		return site{}, fmt.Errorf("the database of %s was placed in %s, which cannot be used (%w); bring it back, or remove %s to begin with an empty one",
			dir, home, err, filepath.Join(dir, locationFile))
	}
	s := site{home: home}
	major := 0
	if hasCluster(home) {
		if s.account, err = m.owner(home); err != nil {
			return site{}, err
		}
		if major, err = clusterMajor(home); err != nil {
			return site{}, err
		}
	} else if m.root {
		if s.account, err = m.user(); err != nil {
			return site{}, err
		}
	}
	found := m.find(ctx, s.account, filepath.Join(home, programsFolder, "bin"))
	if s.programs, err = choose(found, major, home); err != nil && !errors.Is(err, ErrNoPrograms) {
		return site{}, err
	}
	if s.account != nil {
		if s.home, err = m.placeFor(ctx, s, dir, cfg.Elsewhere); err != nil {
			return site{}, err
		}
	}
	if s.programs.folder == "" {
		s.programs, err = m.download(ctx, s, cfg.Logger)
	}
	return s, err
}

// owner is the account a root program has to take for an existing cluster.
func (m machine) owner(home string) (*account, error) {
	info, err := os.Stat(filepath.Join(home, dataFolder))
	if err != nil {
		return nil, fmt.Errorf("look at the cluster: %w", err)
	}
	uid, gid := ownerOf(info)
	a := &account{uid: uid, gid: gid}
	switch {
	case m.root && uid == 0:
		return nil, fmt.Errorf("the cluster in %s belongs to root, as whom PostgreSQL does not run; chown it to the user postgres", home)
	case m.root:
		return a, nil
	case int(uid) != os.Geteuid():
		return nil, fmt.Errorf("the cluster in %s belongs to the user %s; run as that user, or give another DATA_DIR", home, a.describe())
	}
	return nil, nil
}

// placeFor finds a folder that the server's user can enter: where the cluster is, else dir, else a new one elsewhere.
func (m machine) placeFor(ctx context.Context, s site, dir string, elsewhere []string) (string, error) {
	usable := func(folder string) error {
		if at := s.account.blockedAt(folder); at != "" {
			return fmt.Errorf("the user %s cannot enter %s", s.account.describe(), at)
		}
		if s.programs.folder == "" {
			return nil
		}
		return m.try(ctx, s.programs, s.account, folder)
	}
	err := usable(s.home)
	if err == nil {
		return s.home, nil
	}
	if s.home != dir || hasCluster(s.home) {
		return "", fmt.Errorf("the cluster in %s cannot be started: %w", s.home, err)
	}
	for _, parent := range elsewhere {
		parent, err := m.makeFolder(parent)
		if err != nil || usable(parent) != nil {
			continue
		}
		place, err := os.MkdirTemp(parent, "cluster-")
		if err != nil {
			continue
		}
		// The name is new each time: who removed dir begins anew, and nothing that is somebody's data is taken for ours.
		if err := os.Chmod(place, 0o711); err != nil { //nolint:gosec // the server's user has to pass; the data inside is 0700
			return "", err
		}
		if err := os.WriteFile(filepath.Join(place, "belongs-to"), []byte(dir+"\n"), 0o600); err != nil {
			return "", err
		}
		return place, writeWhole(filepath.Join(dir, locationFile), place+"\n")
	}
	return "", fmt.Errorf("no place for the database: %w, and none of %s can be used; give a DATA_DIR that this user can enter, or a DATABASE_URL",
		err, strings.Join(elsewhere, ", "))
}

func readLocation(dir string) (string, error) {
	data, err := os.ReadFile(filepath.Join(dir, locationFile))
	if errors.Is(err, fs.ErrNotExist) {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("read where the database is: %w", err)
	}
	home := strings.TrimSpace(string(data))
	if !filepath.IsAbs(home) {
		return "", fmt.Errorf("%s does not name a folder", filepath.Join(dir, locationFile))
	}
	return home, nil
}

// tryIn runs the server's program in dir as the account. It fails where that user cannot enter dir, by whatever rule.
func tryIn(ctx context.Context, p programs, as *account, dir string) error {
	cmd := exec.CommandContext(ctx, p.path("postgres"), "--version") //nolint:gosec // a program that was looked for
	cmd.Dir, cmd.Env, cmd.SysProcAttr = dir, environment(), attributes(as)
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("the user %s cannot run PostgreSQL in %s: %w", as.describe(), dir, err)
	}
	return nil
}

func serverUser() (*account, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
		gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
		if err1 == nil && err2 == nil && uid != 0 {
			return &account{uid: uint32(uid), gid: uint32(gid)}, nil
		}
	}
	return nil, errors.New("PostgreSQL does not run as root, and there is neither a user postgres nor nobody; add one, run as another user, or set DATABASE_URL")
}
