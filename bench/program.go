package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"syscall"
	"time"
)

// program is the real one, built from this repository.
type program struct {
	path string
	dir  string // of its own, for what it keeps
}

func buildProgram(ctx context.Context) (p program, remove func(), err error) {
	dir, err := os.MkdirTemp("", "orderlog-bench-app-")
	if err != nil {
		return program{}, nil, err
	}
	remove = func() { _ = os.RemoveAll(dir) }
	p = program{path: filepath.Join(dir, "app"), dir: dir}
	build := exec.CommandContext(ctx, "go", "build", "-o", p.path, "./cmd/app")
	build.Dir = ".."
	if text, err := build.CombinedOutput(); err != nil {
		remove()
		return program{}, nil, fmt.Errorf("build the server: %w: %s", err, text)
	}
	return p, remove, nil
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
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
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
	return "", nil, errors.New("the server ended before it was ready")
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
	if err := cmd.Run(); err != nil {
		return finished{}, fmt.Errorf("%s %v: %w: %s", filepath.Base(name), args, err, complaint.text)
	}
	f := finished{took: time.Since(started)}
	if usage, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage); ok {
		f.memory = usage.Maxrss << 10
	}
	return f, nil
}

// tail keeps the end of what a command complains of.
type tail struct{ text []byte }

func (t *tail) Write(b []byte) (int, error) {
	t.text = append(t.text, b...)
	t.text = t.text[max(0, len(t.text)-1000):]
	return len(b), nil
}
