package localpg

import "syscall"

// serverAttributes makes the kernel shut the server down (fast, in order) when the program dies without doing it.
func serverAttributes(as *account) *syscall.SysProcAttr {
	a := attributes(as)
	a.Pdeathsig = syscall.SIGINT
	return a
}
