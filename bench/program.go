package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"
)

// program is the real one, built from this repository.
type program struct {
	path string
	dir  string // of its own, for what it keeps
}

func buildProgram(ctx context.Context) (p program, remove func(), err error) {
	path, err := built(ctx, string(theProgram), "..", "./cmd/app")
	if err != nil {
		return program{}, nil, err
	}
	dir, err := os.MkdirTemp("", "orderlog-bench-app-")
	if err != nil {
		return program{}, nil, err
	}
	return program{path, dir}, func() { _ = os.RemoveAll(dir) }, nil
}

func (p program) environ(url string) []string {
	return append(os.Environ(), "DATABASE_URL="+url, "JWT_SECRET="+benchSecret, "DATA_DIR="+filepath.Join(p.dir, "data"),
		"PORT=0", "HOST=127.0.0.1", "LOG_LEVEL=error", "RATE_LIMIT_USER=0", "RATE_LIMIT_ADDRESS=0")
}

var readyLine = regexp.MustCompile(`ready on (http://\S+)`)

// serve runs a server on a database; stop ends it.
func (p program) serve(url string) (address string, stop func(), err error) {
	cmd := exec.Command(p.path, "serve") //nolint:noctx // it is interrupted, not killed
	cmd.Env = p.environ(url)
	said, err := cmd.StderrPipe()
	if err != nil {
		return "", nil, err
	}
	return startListening(cmd, said)
}

// startListening starts a server and waits until it says where it listens; stop ends it.
func startListening(cmd *exec.Cmd, said io.Reader) (address string, stop func(), err error) {
	if err := cmd.Start(); err != nil {
		return "", nil, err
	}
	stop = func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		_ = cmd.Wait()
	}
	lines := bufio.NewScanner(said)
	for lines.Scan() {
		if m := readyLine.FindStringSubmatch(lines.Text()); m != nil {
			go func() { _, _ = io.Copy(io.Discard, said) }()
			return m[1], stop, nil
		}
	}
	stop()
	return "", nil, fmt.Errorf("%s ended before it was ready", filepath.Base(cmd.Path))
}

// finished is what became of a command that ran to its end.
type finished struct {
	took   time.Duration
	memory int64 // bytes, the most it had in memory
}

// run carries out a command, from its start to its end, with its output into out.
func runCommand(ctx context.Context, env []string, out io.Writer, name string, args ...string) (finished, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Env = env
	cmd.Stdout = out
	complaint := &tail{}
	cmd.Stderr = complaint
	started := time.Now()
	if err := cmd.Start(); err != nil {
		return finished{}, err
	}
	ended, peak := make(chan struct{}), make(chan int64, 1)
	go func() { peak <- watchMemory(cmd.Process.Pid, ended) }()
	err := cmd.Wait()
	took := time.Since(started)
	close(ended)
	f := finished{took: took, memory: <-peak}
	if err != nil {
		return f, fmt.Errorf("%s %v: %w: %s", filepath.Base(name), args, err, complaint.text)
	}
	return f, nil
}

// watchMemory returns the most that a process had in memory, by the last look at it before it ended. What the system
// tells of a process that has ended counts what its parent had when it was made.
func watchMemory(pid int, ended <-chan struct{}) (peak int64) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ended:
			return peak
		case <-tick.C:
		}
		status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
		if err != nil {
			continue
		}
		var kilobytes int64
		if _, line, found := strings.Cut(string(status), "VmHWM:"); found {
			if _, err := fmt.Sscan(line, &kilobytes); err == nil {
				peak = max(peak, kilobytes<<10)
			}
		}
	}
}

// tail keeps the end of what a command complains of.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-1000):]
	return len(b), nil
}
