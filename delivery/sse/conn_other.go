//go:build !linux

package sse

import (
	"net"
	"time"
)

// giveUpAfter leaves it to the kernel how long it sends what nobody acknowledges.
func giveUpAfter(*net.TCPConn, time.Duration) error { return nil }
