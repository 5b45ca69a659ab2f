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
		allow bool
	}{{0, true}, {4, true}, {8, true}, {9, false}, {10, true}, {13, false}, {14, true}, {15, false}, {40, true}} {
		if got := w.Allow(start.Add(step.at * time.Second)); got != step.allow {
			t.Errorf("at %d s: %v", step.at, got)
		}
	}
}
