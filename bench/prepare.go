package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"
)

// need is something that a benchmark can't do without.
type need string

const (
	theProgram need = "program" // ours, built from this repository
	psql       need = "psql"

	// Peers that are built …
	peerCentrifuge need = "centrifuge"
	peerGorilla    need = "gorilla"
	// … and those that are npm packages.
	peerEmmett    need = "emmett"
	peerMessageDB need = "messagedb"
	peerSocketIO  need = "socketio"
)

const oldestNode = 20 // that the peers run on

func (n need) isNode() bool { return n == peerEmmett || n == peerMessageDB || n == peerSocketIO }

// missing says what the machine lacks of what benchmarks need. found tells where a program is.
func missing(ctx context.Context, chosen []benchmark, found func(program string) (string, error)) error {
	var errs []error
	said := map[string]bool{}
	require := func(program, advice string) bool {
		_, err := found(program)
		if err != nil && !said[program] {
			said[program] = true
			errs = append(errs, fmt.Errorf("%s is missing: %s", program, advice))
		}
		return err == nil
	}
	const nodeAdvice = "the peers written in JavaScript need Node.js 20 or newer with npm: see https://nodejs.org"
	for _, b := range chosen {
		for _, n := range b.needs {
			switch {
			case n.isNode():
				require("npm", nodeAdvice)
				if require("node", nodeAdvice) && !said["old node"] {
					if version := nodeMajor(ctx); version < oldestNode {
						said["old node"] = true
						errs = append(errs, fmt.Errorf("the Node.js here is %d: %s", version, nodeAdvice))
					}
				}
			case n == psql:
				require("psql", "it comes with PostgreSQL: apt install postgresql-client, brew install libpq")
			default:
				require("go", "the servers that are measured are built with it: see https://go.dev/dl")
			}
		}
	}
	return errors.Join(errs...)
}

func nodeMajor(ctx context.Context) int {
	version, err := exec.CommandContext(ctx, "node", "--version").Output()
	if err != nil {
		return 0
	}
	major, _, _ := strings.Cut(strings.TrimPrefix(string(version), "v"), ".")
	n, _ := strconv.Atoi(major) // 0 when it says something else
	return n
}

// prepare builds and installs what benchmarks need, before anything is measured. What does not succeed is said by the
// benchmark that misses it.
func prepare(ctx context.Context, out io.Writer, chosen []benchmark) {
	done := map[need]bool{}
	for _, b := range chosen {
		for _, n := range b.needs {
			if done[n] || n == psql {
				continue
			}
			done[n] = true
			began := time.Now()
			var err error
			switch {
			case n.isNode():
				_, err = peerFolder(ctx, string(n))
			case n == theProgram:
				_, err = built(ctx, string(n), "..", "./cmd/app")
			default:
				_, err = built(ctx, string(n), ".", "./peers/"+string(n))
			}
			said := "is ready after " + time.Since(began).Round(time.Second/10).String()
			if err != nil {
				said = "is not there: " + err.Error()
			}
			fmt.Fprintf(out, "%s %s\n", n, said)
		}
	}
}

// workshop has what was built in this run.
var workshop struct {
	sync.Mutex
	dir      string
	programs map[string]string
}

// built builds a program, once in a run, and returns where it is.
func built(ctx context.Context, name, module, pkg string) (path string, err error) {
	w := &workshop
	w.Lock()
	defer w.Unlock()
	if path, ok := w.programs[name]; ok {
		return path, nil
	}
	if w.dir == "" {
		if w.dir, err = os.MkdirTemp("", "orderlog-bench-programs-"); err != nil {
			return "", err
		}
		w.programs = map[string]string{}
	}
	path = filepath.Join(w.dir, name)
	build := exec.CommandContext(ctx, "go", "build", "-o", path, pkg)
	build.Dir = module
	if text, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build %s: %w: %s", name, err, text)
	}
	w.programs[name] = path
	return path, nil
}

// closeWorkshop removes what was built.
func closeWorkshop() {
	workshop.Lock()
	defer workshop.Unlock()
	if workshop.dir != "" {
		_ = os.RemoveAll(workshop.dir)
		workshop.dir = ""
	}
}
