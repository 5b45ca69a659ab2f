// Package gate bounds how much is worked on at a time, and how much waits for that: beyond what a machine can do, taking on
// more only makes everything late, and what is late was done in vain.
package gate

import (
	"context"
	"errors"
	"time"
)

// ErrFull refuses who can't be let in: as many wait as may, or the wait was too long.
var ErrFull = errors.New("gate: as much is worked on, and waits, as may be")

// Gate lets in so many at a time. Those who wait are let in in the order in which they came. It is safe for concurrent
// use. A nil Gate lets everybody in.
type Gate struct {
	places, line chan struct{}
	patience     time.Duration
}

// New returns a gate with so many places, at which so many may wait for at most a time.
func New(places, line int, patience time.Duration) *Gate {
	return &Gate{places: make(chan struct{}, places), line: make(chan struct{}, line), patience: patience}
}

// Full says that who came now would be refused: a cheap question before anything is done for it.
func (g *Gate) Full() bool {
	return g != nil && len(g.line) == cap(g.line) && len(g.places) == cap(g.places)
}

// Place is one within the gate. It belongs to one goroutine. The zero value is outside.
type Place struct{ gate *Gate }

// Enter waits for a place. Its error is ErrFull or ctx's.
func (g *Gate) Enter(ctx context.Context) (Place, error) {
	if g == nil {
		return Place{}, nil
	}
	select {
	case g.places <- struct{}{}: // it never overtakes: a place that is given back goes to who waits
		return Place{g}, nil
	default:
	}
	select {
	case g.line <- struct{}{}:
		defer func() { <-g.line }()
	default:
		return Place{}, ErrFull
	}
	late := time.NewTimer(g.patience)
	defer late.Stop()
	select {
	case g.places <- struct{}{}:
		return Place{g}, nil
	case <-late.C:
		return Place{}, ErrFull
	case <-ctx.Done():
		return Place{}, ctx.Err()
	}
}

// Leave gives the place back. Once is enough; more does no harm.
func (p *Place) Leave() {
	if p.gate != nil {
		<-p.gate.places
		p.gate = nil
	}
}

// Inside says whether there is a place to be given back.
func (p *Place) Inside() bool { return p.gate != nil }
