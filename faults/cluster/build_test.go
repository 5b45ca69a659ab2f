package cluster

import (
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/orderlog/orderlog/faults/patch"
)

func TestTheClocksPatchFitsThisGo(t *testing.T) {
	t.Parallel()
	if err := patch.Fits(t.Context(), "../..", settableClock); err != nil {
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
