package main

import (
	"bufio"
	"fmt"
	"net/http"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// Something else than clients, whose number is bounded by the files that there may be, can still take the last file.
// Then nobody is let in, who is there is served, and all is as before once there are files.
func TestTheProgramOutlivesBeingOutOfFiles(t *testing.T) {
	t.Parallel()
	s := startProcess(t, serverSettings(t, pgtest.Database(t)))
	there := s.connect(t)
	reader := bufio.NewReader(there)
	healthy := func() bool {
		_ = there.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = fmt.Fprint(there, "GET /ready HTTP/1.1\r\nHost: x\r\n\r\n")
		resp, err := http.ReadResponse(reader, nil)
		if err != nil {
			t.Fatalf("who is there is not answered: %v", err)
		}
		_, _ = reader.Discard(int(resp.ContentLength))
		_ = resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	}
	parttest.Eventually(t, "the program is ready", healthy)

	before := limitFiles(t, s.pid, 10) // fewer than it has open
	waits := s.connect(t)              // the kernel has it, and nobody takes it
	_, _ = fmt.Fprint(waits, "GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	_ = waits.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
	if n, err := waits.Read(make([]byte, 1)); err == nil {
		t.Errorf("it was let in: %d bytes", n)
	}
	if !healthy() {
		t.Error("who is there is told that the program is not ready")
	}
	limitFiles(t, s.pid, before)
	_ = waits.SetReadDeadline(time.Now().Add(30 * time.Second))
	resp, err := http.ReadResponse(bufio.NewReader(waits), nil)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Fatalf("who waited is not let in once there are files: %v", err)
	}
	_ = resp.Body.Close()
}

// limitFiles sets how many files a process may have open, and returns how many it was.
func limitFiles(t *testing.T, pid int, most uint64) (before uint64) {
	t.Helper()
	set := func(limit, old *syscall.Rlimit) {
		_, _, failed := syscall.RawSyscall6(syscall.SYS_PRLIMIT64, uintptr(pid), syscall.RLIMIT_NOFILE,
			uintptr(unsafe.Pointer(limit)), uintptr(unsafe.Pointer(old)), 0, 0)
		if failed != 0 {
			t.Fatalf("prlimit: %v", failed)
		}
	}
	var limit syscall.Rlimit
	set(nil, &limit)
	before, limit.Cur = limit.Cur, most
	set(&limit, nil)
	return before
}
