package commands_test

import (
	"sync"
	"time"

	"github.com/orderlog/orderlog/commands/commandstest"
)

// clock is a clock that stands still until it is told that time passes. Safe for concurrent use.
type clock struct {
	mu sync.Mutex
	at time.Time
}

func newClock() *clock { return &clock{at: commandstest.Start} }

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.at
}

// pass takes a duration as [time.ParseDuration] does.
func (c *clock) pass(d string) {
	while, err := time.ParseDuration(d)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.at = c.at.Add(while)
}
