package localpg

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"syscall"
)

// Tools are PostgreSQL's programs, for who runs a server in a way of their own.
type Tools struct {
	// Folder holds initdb, postgres and the others.
	Folder string
	// Account is whom they have to run as, because they refuse to for root. Nil: this program's user.
	Account *syscall.Credential
}

// FindTools finds the programs that Start would take for a new cluster. Where there are none it downloads them into a folder
// below dir, which has to be one that Account may pass. Errors: ErrNoPrograms.
func FindTools(ctx context.Context, dir string, logger *slog.Logger) (Tools, error) {
	return thisMachine().findTools(ctx, dir, logger)
}

func (m machine) findTools(ctx context.Context, dir string, logger *slog.Logger) (t Tools, err error) {
	s := site{home: dir}
	if m.root {
		if s.account, err = m.user(); err != nil {
			return t, err
		}
		t.Account = &syscall.Credential{Uid: s.account.uid, Gid: s.account.gid}
	}
	s.programs, err = choose(m.find(ctx, s.account, filepath.Join(dir, programsFolder, "bin")), 0, dir)
	if errors.Is(err, ErrNoPrograms) {
		s.programs, err = m.download(ctx, s, logger)
	}
	t.Folder = s.programs.folder
	return t, err
}
