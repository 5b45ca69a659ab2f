package rest

import (
	"hash/maphash"
	"sync"
	"time"
)

// cells is how many places a row of counts has.
const cells = 1 << 16

// counts is how often each key came in the window of time that is now and in the one before, in 1 MiB however many
// keys there are: each key has one cell in each of two rows, chosen by a hash that outsiders cannot foresee, and its
// count is the smaller of the two. So a count is never too low, and too high only when others share both cells; with
// ten thousand busy keys two in a hundred do, and have the little that the others did added.
//
// It is what httprate keeps its numbers in, instead of a map that grows with every address that asks.
type counts struct {
	seeds [2]maphash.Seed

	mu             sync.Mutex
	length         time.Duration
	window         time.Time // when the window that is now began
	current, prior *[2][cells]uint32
}

func newCounts() *counts {
	return &counts{
		seeds:   [2]maphash.Seed{maphash.MakeSeed(), maphash.MakeSeed()},
		current: new([2][cells]uint32), prior: new([2][cells]uint32),
	}
}

// Config is called by httprate before anything else.
func (c *counts) Config(_ int, length time.Duration) { c.length = length }

// Increment counts one.
func (c *counts) Increment(key string, window time.Time) error { return c.IncrementBy(key, window, 1) }

// IncrementBy counts in the window that began at the time given. It never fails.
func (c *counts) IncrementBy(key string, window time.Time, amount int) error {
	at := c.places(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveTo(window)
	for row, cell := range at {
		c.current[row][cell] += uint32(amount) //nolint:gosec // httprate counts requests one by one
	}
	return nil
}

// Get answers the counts in both windows. It never fails.
func (c *counts) Get(key string, window, _ time.Time) (current, prior int, err error) {
	at := c.places(key)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.moveTo(window)
	return int(min(c.current[0][at[0]], c.current[1][at[1]])), int(min(c.prior[0][at[0]], c.prior[1][at[1]])), nil
}

func (c *counts) places(key string) (at [2]uint64) {
	for row, seed := range c.seeds {
		at[row] = maphash.String(seed, key) % cells
	}
	return at
}

// moveTo makes a window the one that is now. An earlier one, which a request asks for that was overtaken, changes
// nothing.
func (c *counts) moveTo(window time.Time) {
	switch since := window.Sub(c.window); {
	case since <= 0:
		return
	case since > c.length: // nobody came in between
		clear(c.prior[0][:])
		clear(c.prior[1][:])
	default:
		c.current, c.prior = c.prior, c.current
	}
	clear(c.current[0][:])
	clear(c.current[1][:])
	c.window = window
}
