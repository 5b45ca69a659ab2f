package session

import (
	"testing"
	"time"
)

func TestWindowSlides(t *testing.T) {
	t.Parallel()
	w := Window{Limit: 3, Span: 10 * time.Second}
	start := time.Now()
	for _, step := range []struct {
		at    time.Duration
		wait  time.Duration
		allow bool
	}{
		{0, 0, true}, {4, 0, true}, {8, 0, true}, {9, 1, false}, {10, 0, true}, {13, 1, false}, {14, 0, true}, {15, 3, false}, {40, 0, true},
	} {
		if got := w.Wait(start.Add(step.at * time.Second)); got != step.wait*time.Second {
			t.Errorf("at %d s: a wait of %v", step.at, got)
		}
		if got := w.Allow(start.Add(step.at * time.Second)); got != step.allow {
			t.Errorf("at %d s: %v", step.at, got)
		}
	}
}
