package cluster

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/internal/child"
)

// stopAtMost is how long a node may take to stop when it is asked to, also while everything around it is broken.
const stopAtMost = 45 * time.Second

// listenAtMost is how long a node may take to listen, which it does before all else.
const listenAtMost = 10 * time.Second

// againAfter is how long a node that ended by itself is left alone.
const againAfter = 300 * time.Millisecond

// node is one process of the program, started again whenever it ends by itself.
type node struct {
	number  int
	program string
	environ []string
	log     string
	address string // where it listens
	clients *proxy // the way of clients to it
	store   *proxy // its way to PostgreSQL
	clock   *clock

	mu     sync.Mutex // held while it is started or stopped
	proc   *child.Process
	cancel context.CancelFunc // ends the one who starts it again
	over   chan struct{}      // closed when that one has ended

	complaints struct {
		sync.Mutex
		list []string
	}
}

// start runs the node until it is killed or stopped.
func (n *node) start() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.cancel != nil {
		return nil
	}
	proc, err := n.spawn()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(context.Background())
	n.proc, n.cancel, n.over = proc, cancel, make(chan struct{})
	go n.keepUp(ctx, n.over)
	return nil
}

func (n *node) spawn() (*child.Process, error) {
	log, err := os.OpenFile(n.log, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer log.Close()
	cmd := exec.Command(n.program, "serve") //nolint:gosec,noctx // our own, which is ended by signals
	cmd.Env = n.environ
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true} // Ctrl-C is for us
	return child.Start(cmd, syscall.SIGKILL)
}

// keepUp starts the node again when it ends by itself, which it should not.
func (n *node) keepUp(ctx context.Context, over chan<- struct{}) {
	defer close(over)
	for {
		n.mu.Lock()
		proc := n.proc
		n.mu.Unlock()
		select {
		case <-ctx.Done():
			return
		case <-proc.Done():
		}
		n.mu.Lock()
		if ctx.Err() != nil {
			n.mu.Unlock()
			return
		}
		n.complain("node %d ended by itself: %s: %s", n.number, proc.State(), n.lastWords())
		n.mu.Unlock()
		for wait(ctx, againAfter) == nil {
			n.mu.Lock()
			again, err := n.spawn()
			if err == nil {
				n.proc = again
			}
			n.mu.Unlock()
			if err == nil {
				break
			}
			n.complain("node %d cannot be started: %v", n.number, err)
		}
	}
}

// halt ends the node with a signal and waits until it has ended.
func (n *node) halt(how syscall.Signal) {
	n.mu.Lock()
	if n.cancel == nil {
		n.mu.Unlock()
		return
	}
	n.cancel()
	_ = n.proc.Signal(syscall.SIGCONT) // one that is paused hears nothing else
	_ = n.proc.Signal(how)
	switch stopped := n.proc.Await(stopAtMost); {
	case !stopped:
		n.complain("node %d did not stop within %v of being asked to", n.number, stopAtMost)
		n.proc.Kill()
	case how == syscall.SIGTERM && n.proc.State().ExitCode() != 0:
		n.complain("node %d was asked to stop and ended with %s: %s", n.number, n.proc.State(), n.lastWords())
	}
	over := n.over
	n.cancel = nil
	n.mu.Unlock()
	<-over
}

func (n *node) awaitListening() {
	ctx, cancel := context.WithTimeout(context.Background(), listenAtMost)
	defer cancel()
	for {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", n.address)
		if err == nil {
			_ = conn.Close()
			return
		}
		if wait(ctx, tryEvery) != nil {
			return
		}
	}
}

func (n *node) signal(s syscall.Signal) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc != nil {
		_ = n.proc.Signal(s)
	}
}

func (n *node) pid() int {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.proc == nil || !n.proc.Alive() {
		return 0
	}
	return n.proc.PID()
}

func (n *node) complain(format string, args ...any) {
	n.complaints.Lock()
	defer n.complaints.Unlock()
	n.complaints.list = append(n.complaints.list, fmt.Sprintf(format, args...))
}

// lastWords is the last line of the node's log.
func (n *node) lastWords() string {
	content, err := os.ReadFile(n.log)
	if err != nil {
		return err.Error()
	}
	lines := bytes.Split(bytes.TrimSpace(content[max(0, len(content)-4096):]), []byte("\n"))
	return string(lines[len(lines)-1])
}

// panics are the lines of the node's log that no sound program writes: of a panic that ended it, and of one that it caught
// and logged.
func (n *node) panics() (lines []string) {
	f, err := os.Open(n.log)
	if err != nil {
		return nil
	}
	defer f.Close()
	s := bufio.NewScanner(f)
	s.Buffer(nil, 16<<20)
	for s.Scan() {
		line := s.Text()
		if strings.Contains(line, "panic: ") || strings.HasPrefix(line, "fatal error:") || strings.Contains(line, "panicked") {
			lines = append(lines, fmt.Sprintf("node %d: %s", n.number, line))
		}
	}
	return lines
}
