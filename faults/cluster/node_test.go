package cluster

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// newTestNode is a node whose program is a shell's.
func newTestNode(t *testing.T, script string) *node {
	t.Helper()
	dir := t.TempDir()
	n := &node{program: filepath.Join(dir, "app"), log: filepath.Join(dir, "log"), environ: []string{"PATH=" + os.Getenv("PATH")}}
	if err := os.WriteFile(n.program, []byte("#!/bin/sh\n"+script+"\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.halt(syscall.SIGKILL) })
	return n
}

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	patience, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for !holds() {
		if wait(patience, 5*time.Millisecond) != nil {
			t.Fatalf("never: %s", what)
		}
	}
}

func (n *node) complained() []string {
	n.complaints.Lock()
	defer n.complaints.Unlock()
	return append([]string{}, n.complaints.list...)
}

func TestANodeThatEndsByItselfIsToldOfAndStartedAgain(t *testing.T) {
	t.Parallel()
	n := newTestNode(t, `echo "panic: so it is" >&2; exit 3`)
	eventually(t, "it ends twice", func() bool { return len(n.complained()) >= 2 })
	n.halt(syscall.SIGKILL)
	if got := n.complained()[0]; !strings.Contains(got, "exit status 3") || !strings.Contains(got, "panic: so it is") {
		t.Errorf("the complaint is %q", got)
	}
	if n.pid() != 0 {
		t.Error("it runs after the end")
	}
	if panics := n.panics(); len(panics) < 2 {
		t.Errorf("of its panics these were seen: %v", panics)
	}
}

// The program may catch a panic and go on: that is no less wrong.
func TestAPanicThatWasCaughtIsSeenInTheLog(t *testing.T) {
	t.Parallel()
	n := newTestNode(t, `echo 'level=ERROR msg="a group failed" err="events 3 to 5: panic: index out of range"' >&2
		echo 'level=INFO msg="no panic here"' >&2; echo done; while :; do sleep 0.01; done`)
	eventually(t, "it has logged", func() bool { return n.lastWords() == "done" })
	n.halt(syscall.SIGKILL)
	if panics := n.panics(); len(panics) != 1 || !strings.Contains(panics[0], "index out of range") {
		t.Errorf("of its panics these were seen: %v", panics)
	}
}

func TestANodeThatFailsToStopInOrderIsAComplaint(t *testing.T) {
	t.Parallel()
	n := newTestNode(t, `trap 'echo could not flush; exit 1' TERM; echo up; while :; do sleep 0.01; done`)
	eventually(t, "it is up", func() bool { return n.lastWords() == "up" })
	n.halt(syscall.SIGTERM)
	if all := n.complained(); len(all) != 1 || !strings.Contains(all[0], "exit status 1") || !strings.Contains(all[0], "could not flush") {
		t.Errorf("the complaints are %v", all)
	}
}

// Before it listens a node may not mind signals yet.
func TestANodeThatWasJustStartedIsLetListenBeforeItIsStopped(t *testing.T) {
	t.Parallel()
	address, err := freeAddress()
	if err != nil {
		t.Fatal(err)
	}
	c := &Cluster{nodes: []*node{{address: address}}}
	stopped := make(chan struct{})
	go func() {
		defer close(stopped)
		c.Stop(0)
	}()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatalf("it was not looked whether it listens: %v", err)
	}
	_ = conn.Close()
	<-stopped
}

func TestANodeThatIsAskedToStopIsNoComplaint(t *testing.T) {
	t.Parallel()
	n := newTestNode(t, `trap 'echo stopped; exit 0' TERM; echo up; while :; do sleep 0.01; done`)
	says := func(word string) func() bool {
		return func() bool {
			content, _ := os.ReadFile(n.log)
			return strings.Contains(string(content), word)
		}
	}
	eventually(t, "it is up", says("up"))
	first := n.pid()
	if err := n.start(); err != nil || n.pid() != first {
		t.Errorf("it was started twice: %v", err)
	}
	n.signal(syscall.SIGSTOP)
	n.halt(syscall.SIGTERM) // also of one that is paused
	if !says("stopped")() {
		t.Error("it was not let stop by itself")
	}
	if err := n.start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it runs again", func() bool { return n.pid() != 0 && n.pid() != first })
	n.halt(syscall.SIGKILL)
	if all := append(n.complained(), n.panics()...); len(all) > 0 {
		t.Errorf("there are complaints: %v", all)
	}
}
