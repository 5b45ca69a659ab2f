package sse

import (
	"net"
	"syscall"
	"testing"
	"time"
)

// option reads an option of a socket.
func option(t *testing.T, c net.Conn, level, name int) (value int) {
	t.Helper()
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		t.Fatalf("it is a %T", c)
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { value, failed = syscall.GetsockoptInt(int(fd), level, name) }); err != nil || failed != nil {
		t.Fatal(err, failed)
	}
	return value
}

// A client that vanishes, as in a tunnel, is not kept for as long as the kernel would keep it.
func TestTheKernelIsToldOfAStreamsBounds(t *testing.T) {
	t.Parallel()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	bound(ConnContext(t.Context(), c), 64<<10, 90*time.Second)
	if got := option(t, c, syscall.IPPROTO_TCP, tcpUserTimeout); got != 90_000 {
		t.Errorf("it is given up after %d ms", got)
	}
	if got := option(t, c, syscall.SOL_SOCKET, syscall.SO_SNDBUF); got > 128<<10 { // the kernel doubles what it is told
		t.Errorf("it may keep %d bytes", got)
	}
}
