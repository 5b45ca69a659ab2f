package sse

import (
	"fmt"
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of linux/tcp.h, which package syscall does not name.
const tcpUserTimeout = 18

// giveUpAfter has the kernel break a connection when nothing of what was sent is acknowledged for that long.
func giveUpAfter(c syscall.Conn, gone time.Duration) error {
	raw, err := c.SyscallConn()
	if err != nil {
		return fmt.Errorf("reach the socket: %w", err)
	}
	var failed error
	err = raw.Control(func(fd uintptr) {
		failed = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(gone.Milliseconds()))
	})
	if err == nil {
		err = failed
	}
	return err
}
