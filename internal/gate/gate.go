// Package gate bounds how much is worked on at a time, and how much waits for that: beyond what a machine can do, taking on
// more only makes everything late, and what is late was done in vain.
package gate

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"
)

// ErrFull refuses who can't be let in: as many wait as may, or the wait was too long.
var ErrFull = errors.New("gate: as much is worked on, and waits, as may be")

// Gate lets in so many at a time. Those who wait are let in in the order in which they came, as long as the line is short.
// One that stays long is one that most are refused at: there the newest is let in first, who is answered as if there were
// no line, and who has waited for long will be refused; in order all would be late. It is safe for concurrent use. A nil Gate lets everybody in.
type Gate struct {
	line     int
	patience time.Duration

	mu      sync.Mutex
	free    int       // fewer than none while more are inside than may be: those who came back
	aside   int       // have stepped aside
	waiting list.List // of chan struct{}, each closed when its owner has a place
}

// New returns a gate with so many places, at which so many may wait for at most a time.
func New(places, line int, patience time.Duration) *Gate {
	return &Gate{free: places, line: line, patience: patience}
}

// Full says that who came now would be refused: a cheap question before anything is done for it.
func (g *Gate) Full() bool {
	if g == nil {
		return false
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.free <= 0 && g.waiting.Len() >= g.line
}

// Place is one within the gate. It belongs to one goroutine. The zero value is outside.
type Place struct{ gate *Gate }

// Enter waits for a place. Its error is ErrFull or ctx's.
func (g *Gate) Enter(ctx context.Context) (Place, error) {
	if g == nil {
		return Place{}, nil
	}
	g.mu.Lock()
	switch {
	case g.free > 0:
		g.free--
		g.mu.Unlock()
		return Place{g}, nil
	case g.waiting.Len() >= g.line:
		g.mu.Unlock()
		return Place{}, ErrFull
	}
	turn := make(chan struct{})
	mine := g.waiting.PushBack(turn)
	g.mu.Unlock()
	late := time.NewTimer(g.patience)
	defer late.Stop()
	err := ErrFull
	select {
	case <-turn:
		return Place{g}, nil
	case <-late.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	select {
	case <-turn: // it came just now
		return Place{g}, nil
	default:
	}
	g.waiting.Remove(mine)
	return Place{}, err
}

// Leave gives the place back. Once is enough; more does no harm.
func (p *Place) Leave() {
	g := p.gate
	if g == nil {
		return
	}
	p.gate = nil
	g.mu.Lock()
	defer g.mu.Unlock()
	g.giveBack()
}

// giveBack gives a place to the next who waits. g.mu is held.
func (g *Gate) giveBack() {
	if g.free < 0 {
		g.free++
		return
	}
	next := g.waiting.Front()
	if g.waiting.Len() > g.line*3/4 {
		next = g.waiting.Back()
	}
	if next == nil {
		g.free++
		return
	}
	close(g.waiting.Remove(next).(chan struct{})) //nolint:forcetypeassert // nothing else is in there
}

// maxAside bounds how many step aside at a time. Who comes beyond that keeps its place, so that what they wait for is not
// waited for by ever more.
const maxAside = 1024

// Aside gives the place up for as long as its owner waits for something other than its own work, and returns what takes
// it again and must be called. That neither waits nor fails, because half of the work is done, and others may wait for
// what its owner has got meanwhile: for a moment more are inside than may be, and nobody else is let in.
func (p *Place) Aside() (back func()) {
	g := p.gate
	if g == nil {
		return func() {}
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.aside >= maxAside {
		return func() {}
	}
	g.aside++
	g.giveBack()
	p.gate = nil
	return func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		g.aside--
		g.free--
		p.gate = g
	}
}

// Inside says whether there is a place to be given back.
func (p *Place) Inside() bool { return p.gate != nil }
