// Package parttest is for tests of long-lived parts: whatever has a blocking Run(ctx) error.
package parttest

import (
	"context"
	"sync"
	"testing"
	"time"
)

// patience is how long a condition may take on a machine that is busy with other tests.
const patience = 30 * time.Second

// Run runs a part until stop is called or the test ends, and joins it. An error of the part fails the test.
func Run(t testing.TB, part func(context.Context) error) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- part(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("a part ended with: %v", err)
		}
	})
	t.Cleanup(stop)
	return stop
}

// Eventually returns when a condition holds, and fails the test when it does not for too long. what completes
// "waited for".
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	late := time.After(patience)
	for !holds() {
		select {
		case <-late:
			t.Fatalf("waited %s for %s", patience, what)
		case <-tick.C:
		}
	}
}

// Await receives from a channel, and fails the test when nothing comes for too long.
func Await[T any](t testing.TB, what string, c <-chan T) T {
	t.Helper()
	select {
	case v := <-c:
		return v
	case <-time.After(patience):
		t.Fatalf("waited %s for %s", patience, what)
		panic("unreachable")
	}
}
