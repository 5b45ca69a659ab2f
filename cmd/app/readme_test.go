package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/pgtest"
)

// TestTheReadmesWalkThrough pastes it into a shell, beside a server as `make run` starts it.
func TestTheReadmesWalkThrough(t *testing.T) {
	t.Parallel()
	script := fenced(t, readme(t), "walk-through", "sh")
	shell := beside(t, func(url string) string {
		return strings.Replace(script, "./bin/app listen", "exec ./bin/app listen --url "+url, 1)
	})
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

// TestTheReadmesAudit goes on with the order that goes wrong, and requires what the README prints: that of the timelines
// and of the moments line by line, but for times, ids and seqs, and for when the customer is told.
func TestTheReadmesAudit(t *testing.T) {
	t.Parallel()
	page := readme(t)
	script, _, _ := strings.Cut(fenced(t, page, "walk-through", "sh"), "# Everything that happened")
	script += "echo; echo ==\n" + fenced(t, page, "audit", "sh")
	out, err := beside(t, func(string) string { return script }).Output()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, printed, _ := strings.Cut(string(out), "\n==\n")
	for _, block := range []string{"audit-history", "audit-diff", "audit-moments", "audit-verify"} {
		want := lasting(fenced(t, page, block, "text"))
		if !strings.Contains(lasting(printed), want) {
			t.Errorf("%s: the README shows\n%s\nand this was printed:\n%s", block, want, lasting(printed))
		}
	}
}

// lasting is what is the same of the output each time.
func lasting(text string) string {
	var lines []string
	for line := range strings.Lines(text) {
		if strings.Contains(line, "  system  ") { // comes when the reaction comes to it
			continue
		}
		for _, r := range changing {
			line = r.ReplaceAllString(line, "*")
		}
		lines = append(lines, strings.TrimSpace(line))
	}
	return strings.TrimSpace(strings.Join(lines, "\n"))
}

// changing is what is not, the longer before what may be a part of it.
var changing = []*regexp.Regexp{
	regexp.MustCompile(`root \S+,`), regexp.MustCompile(`[0-9a-f]{8}(-[0-9a-f]{1,4}){1,3}(-[0-9a-f]{1,12})?…?`), regexp.MustCompile(`ORD-\d+`),
	regexp.MustCompile(`\d{4}-\d\d-\d\d( \(UTC\))?`), regexp.MustCompile(`\d\d:\d\d:\d\d\.\d+`),
	regexp.MustCompile(`^ *\d+  `), regexp.MustCompile(`seq \d+( to \d+)?`), regexp.MustCompile(`tree of \d+`),
	regexp.MustCompile(`\d+ (events|checkpoints?)`), regexp.MustCompile(`[\d.]+ m?s\b`),
}

func readme(t *testing.T) string {
	t.Helper()
	page, err := os.ReadFile("../../README.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(page)
}

// fenced returns the block of a page that stands behind a mark.
func fenced(t *testing.T, page, mark, language string) string {
	t.Helper()
	_, block, found := strings.Cut(page, fmt.Sprintf("<!-- %s -->\n```%s\n", mark, language))
	block, _, closed := strings.Cut(block, "```")
	if !found || !closed {
		t.Fatalf("the README has no block %s", mark)
	}
	return block
}

// beside is a shell that is given a script, in a folder with the program, beside a server of its own.
func beside(t *testing.T, script func(url string) string) *exec.Cmd {
	t.Helper()
	env := serverSettings(t, pgtest.Database(t))
	s := startProcess(t, env)
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
	t.Cleanup(cancel)
	shell := exec.CommandContext(ctx, "sh", "-eu")
	shell.Dir = dir
	shell.Stdin = strings.NewReader(strings.ReplaceAll(script(s.url), "http://127.0.0.1:5000", s.url))
	shell.Stderr = os.Stderr
	shell.Env = []string{asProgram + "=1", "PATH=" + os.Getenv("PATH")}
	for name, value := range env {
		shell.Env = append(shell.Env, name+"="+value)
	}
	return shell
}
