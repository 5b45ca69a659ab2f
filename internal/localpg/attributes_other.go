//go:build !linux

package localpg

import "syscall"

// serverAttributes: without the kernel's help a server that outlives its program is ended by the next Start.
func serverAttributes(as *account) *syscall.SysProcAttr { return attributes(as) }
