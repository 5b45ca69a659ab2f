package child

import "syscall"

func bequeath(attr *syscall.SysProcAttr, s syscall.Signal) { attr.Pdeathsig = s }
