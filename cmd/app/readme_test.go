package main

import (
	"bufio"
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/pgtest"
)

// TestTheReadmesWalkThrough pastes it into a shell, beside a server as `make run` starts it.
func TestTheReadmesWalkThrough(t *testing.T) {
	t.Parallel()
	readme, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, script, found := strings.Cut(string(readme), "<!-- walk-through -->\n```sh\n")
	script, _, closed := strings.Cut(script, "```")
	if !found || !closed {
		t.Fatal("the README has no walk-through")
	}
	env := serverSettings(pgtest.Database(t))
	s := startProcess(t, env)
	script = strings.ReplaceAll(script, "http://127.0.0.1:5000", s.url)
	script = strings.Replace(script, "./bin/app listen", "exec ./bin/app listen --url "+s.url, 1)

	dir := t.TempDir()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "bin"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(self, filepath.Join(dir, "bin", "app")); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	shell := exec.CommandContext(ctx, "sh", "-eu")
	shell.Dir = dir
	shell.Stdin = strings.NewReader(script)
	shell.Stderr = os.Stderr
	shell.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		shell.Env = append(shell.Env, name+"="+value)
	}
	out, err := shell.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = shell.Wait() }()
	defer func() { _ = shell.Process.Kill() }()

	var told []string
	for lines := bufio.NewScanner(out); len(told) < 7 && lines.Scan(); {
		var frame struct {
			Seq   int64  `json:"seq"`
			Event string `json:"event"`
			Data  struct {
				Status string `json:"status"`
			} `json:"data"`
		}
		if err := json.Unmarshal(lines.Bytes(), &frame); err == nil && frame.Seq > 0 {
			told = append(told, strings.TrimSpace(frame.Event+" "+frame.Data.Status))
		}
	}
	want := "business:status:update, order:new, order:status:update confirmed, order:status:update preparing, " +
		"order:status:update ready, order:status:update out_for_delivery, order:status:update delivered"
	if got := strings.Join(told, ", "); got != want {
		t.Errorf("the listener printed %s\nwant %s", got, want)
	}
}
