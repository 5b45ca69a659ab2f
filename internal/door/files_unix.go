//go:build unix

package door

import (
	"math"
	"syscall"
)

// files is how many files the process may have open. Go has raised that to the most that it may be raised to.
func files() int {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || limit.Cur > math.MaxInt32 {
		return math.MaxInt32
	}
	return int(limit.Cur)
}
