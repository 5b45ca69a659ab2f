package localpg

import "syscall"

// attributes are those of every program of PostgreSQL: run as the account, and in a process group of its own, so that a
// Ctrl-C at the terminal reaches the program alone, which then ends the server when it is done with it.
func attributes(as *account) *syscall.SysProcAttr {
	a := &syscall.SysProcAttr{Setpgid: true}
	if as != nil {
		a.Credential = &syscall.Credential{Uid: as.uid, Gid: as.gid}
	}
	return a
}
