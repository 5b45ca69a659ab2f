package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/guard"
)

// runGuards takes the guards out, one after another, and says which tests fail for it. It fails when one does not that has to.
func (o options) runGuards(ctx context.Context, stdout, stderr io.Writer) int {
	guards := slices.DeleteFunc(guard.All(), func(g guard.Guard) bool { return !o.guards.MatchString(g.Threat) })
	if len(guards) == 0 {
		fmt.Fprintf(stderr, "faults: no threat in docs/security.md is like %q\n", o.guards)
		return misuse
	}
	unnoticed, err := takeOut(ctx, guards, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "faults: not all guards could be judged:", err)
		return broken
	}
	threats := map[string]bool{}
	for _, g := range guards {
		threats[g.Threat] = true
	}
	fmt.Fprintf(stdout, "GUARDS threats=%d guards=%d unnoticed=%d\n", len(threats), len(guards), unnoticed)
	if unnoticed > 0 {
		return broken
	}
	return sound
}

// takeOut returns how many of the guards may be missing without a test that fails. One that can't be judged does not
// keep it from the others.
func takeOut(ctx context.Context, guards []guard.Guard, stdout, stderr io.Writer) (unnoticed int, err error) {
	dir, err := os.MkdirTemp("", "orderlog-guards-")
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	program, err := guard.NewCopy(module, dir)
	if err != nil {
		return 0, err
	}
	fmt.Fprintln(stderr, "the tests, with all guards in place")
	if err := program.Sound(ctx, guards); err != nil {
		return 0, err
	}
	fmt.Fprintln(stdout, "| Threat | Without | Fails | Run |\n|---|---|---|---:|")
	for _, g := range guards {
		began := time.Now()
		passed, failed := program.Unnoticed(ctx, g)
		if failed != nil {
			err = errors.Join(err, fmt.Errorf("%s: without %s: %w", g.Threat, g.Without, failed))
			if ctx.Err() != nil {
				return unnoticed, err
			}
			continue
		}
		fails := "`" + strings.Join(g.Tests, "` `") + "`"
		if len(passed) > 0 {
			unnoticed++
			fails = "**not** `" + strings.Join(passed, "` `") + "`"
		}
		fmt.Fprintf(stdout, "| %s | %s | %s | %.0f s |\n", g.Threat, g.Without, fails, time.Since(began).Seconds())
	}
	return unnoticed, err
}
