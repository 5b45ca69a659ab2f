package cluster

import (
	_ "embed"
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/orderlog/orderlog/faults/patch"
)

// clockVariable names the file that a node's clock is set by.
const clockVariable = "ORDERLOG_FAULTS_CLOCK"

//go:embed clock.go.txt
var clockSource string

// settableClock makes of time.Now a clock that can be set for one process: what it shows is moved by as many nanoseconds as
// a file says, and its monotonic reading is not, as with a real clock that an operator or NTP sets. The machine's clock is
// left alone.
var settableClock = []patch.Patch{
	{File: "$GOROOT/src/time/orderlog_clock.go", New: clockSource},
	{
		File: "$GOROOT/src/time/time.go",
		Old: `	sec, nsec, mono := runtimeNow()
	if mono == 0 {
		return Time{uint64(nsec), sec + unixToInternal, Local}`,
		New: `	sec, nsec, mono := runtimeNow()
	sec, nsec = orderlogClock(sec, nsec)
	if mono == 0 {
		return Time{uint64(nsec), sec + unixToInternal, Local}`,
	},
}

// clock is the file that says how far a node's clock is off.
type clock struct {
	mu   sync.Mutex
	file *os.File
}

func newClock(path string) (*clock, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("make a clock: %w", err)
	}
	c := &clock{file: f}
	return c, c.set(0)
}

func (c *clock) set(offset time.Duration) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	_, err := c.file.WriteAt(binary.NativeEndian.AppendUint64(nil, uint64(offset)), 0) //nolint:gosec // its bits
	return err
}

func (c *clock) close() error { return c.file.Close() }
