package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"time"
)

// fact is something that the figures of a run depend on.
type fact struct{ what, is string }

const unknown = "unknown"

// facts are the machine and the versions that a run is of. postgres is the version of the database, empty when there was none.
func facts(ctx context.Context, postgres string) []fact {
	all := []fact{
		{"when", time.Now().UTC().Format("2006-01-02 15:04 MST")},
		{"commit", commit(ctx)},
		{"processor", fmt.Sprintf("%d cores, %s", runtime.NumCPU(), field("/proc/cpuinfo", "model name"))},
		{"memory", field("/proc/meminfo", "MemTotal")},
		{"system", runtime.GOOS + "/" + runtime.GOARCH + " " + strings.TrimSpace(contents("/proc/sys/kernel/osrelease"))},
		{"Go", runtime.Version()},
	}
	if postgres != "" {
		all = append(all, fact{"PostgreSQL", postgres + ", its default settings, fsync on"})
	}
	if version, err := exec.CommandContext(ctx, "node", "--version").Output(); err == nil {
		all = append(all, fact{"Node.js", strings.TrimSpace(string(version))})
	}
	for _, module := range []string{"centrifugal/centrifuge", "gorilla/websocket"} {
		all = append(all, fact{module, required("github.com/" + module)})
	}
	for _, of := range [][2]string{
		{"emmett", "@event-driven-io/emmett-postgresql"}, {"messagedb", "@eventide/message-db"}, {"socketio", "socket.io"},
	} {
		all = append(all, fact{of[1], installed(of[0], of[1])})
	}
	return all
}

func commit(ctx context.Context) string {
	hash, err := exec.CommandContext(ctx, "git", "rev-parse", "--short=12", "HEAD").Output()
	if err != nil {
		return unknown
	}
	said := strings.TrimSpace(string(hash))
	if changed, err := exec.CommandContext(ctx, "git", "status", "--porcelain", "--untracked-files=no").Output(); err != nil || len(changed) > 0 {
		said += ", with changes"
	}
	return said
}

func contents(file string) string {
	text, err := os.ReadFile(file)
	if err != nil {
		return unknown
	}
	return string(text)
}

// field is what a file says behind a name and a colon, first.
func field(file, name string) string {
	_, rest, found := strings.Cut(contents(file), name)
	value, _, _ := strings.Cut(rest, "\n")
	if _, value, _ = strings.Cut(value, ":"); !found {
		return unknown
	}
	return strings.TrimSpace(value)
}

// required is the version of a module that go.mod asks for.
func required(module string) string {
	_, rest, found := strings.Cut(contents("go.mod"), module+" ")
	version, _, _ := strings.Cut(rest, "\n")
	if !found {
		return unknown
	}
	return strings.TrimSpace(version)
}

// installed is the version of a package that a peer has.
func installed(peer, name string) string {
	var p struct{ Version string }
	if err := json.Unmarshal([]byte(contents(filepath.Join("peers", peer, "node_modules", name, "package.json"))), &p); err != nil {
		return "not installed"
	}
	return p.Version
}
