//go:build !linux

package sse

import (
	"syscall"
	"time"
)

// giveUpAfter leaves it to the kernel how long it sends what nobody acknowledges.
func giveUpAfter(syscall.Conn, time.Duration) error { return nil }
