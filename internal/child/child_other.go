//go:build !linux

package child

import "syscall"

func bequeath(*syscall.SysProcAttr, syscall.Signal) {}
