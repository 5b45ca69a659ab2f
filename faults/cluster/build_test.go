package cluster

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"
)

func TestTheSourcesThatAreBuiltAreThePatchedOnes(t *testing.T) {
	t.Parallel()
	module := t.TempDir()
	file := filepath.Join(module, "main.go")
	if err := os.WriteFile(file, []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	patched, err := apply(t.Context(), module, []Patch{{File: "main.go", Old: "one", New: "1"}, {File: "main.go", Old: "1 two", New: "12"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := patched[file]; got != "12 two" {
		t.Errorf("built is %q", got)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "one two two" {
		t.Errorf("the source itself was changed: %q, %v", content, err)
	}
	for _, misfit := range []string{"two", "three"} {
		if err := Fits(t.Context(), module, []Patch{{File: "main.go", Old: misfit}}); err == nil {
			t.Errorf("a patch of %q fits", misfit)
		}
	}
}

func TestTheClocksPatchFitsThisGo(t *testing.T) {
	t.Parallel()
	if err := Fits(t.Context(), "../..", settableClock); err != nil {
		t.Error(err)
	}
}

func TestAClockKeepsHowFarItIsOff(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "clock")
	c, err := newClock(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, offset := range []time.Duration{0, time.Hour, -90 * time.Second} {
		if err := c.set(offset); err != nil {
			t.Fatal(err)
		}
		content, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if got := time.Duration(binary.NativeEndian.Uint64(content)); got != offset {
			t.Errorf("it is off by %v, want %v", got, offset)
		}
	}
	if err := c.close(); err != nil {
		t.Error(err)
	}
}
