package commands

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// tries is what a command knows of its attempts so far.
type tries struct {
	service   *Service
	leave     func()    // gives up the turn it has; nil: it has none
	conflicts int       // so far
	since     time.Time // the first conflict
}

// turnIfFree takes the turn at a stream if nobody has it.
func (t *tries) turnIfFree(stream eventstore.StreamID) {
	if stream != (eventstore.StreamID{}) {
		t.leave = t.service.turns.enterIfFree(stream)
	}
}

// turn waits for a turn at a stream and takes it, unless the command has one already, and tells whether it did. What is
// refused never comes here: that an offer is used up is told to all at once.
func (t *tries) turn(ctx context.Context, stream eventstore.StreamID) (taken bool, err error) {
	if t.leave != nil || stream == (eventstore.StreamID{}) {
		return false, nil
	}
	if t.turnIfFree(stream); t.leave != nil {
		return true, nil
	}
	defer Aside(ctx)()
	t.leave, err = t.service.turns.enter(ctx, stream)
	return err == nil, err
}

// again returns when the command may be decided anew after a conflict, or with the refusal if it may not. Time and not
// a number of attempts is what bounds it: where many want the same thing at once, how often one comes second says
// nothing about whether it can be had.
func (t *tries) again(ctx context.Context, conflict *eventstore.ConflictError) error {
	// Whoever collided waits in line with the others of this node that did, so that they do not collide once more.
	if _, err := t.turn(ctx, conflict.Stream); err != nil {
		return err
	}
	if t.conflicts == 0 {
		t.since = time.Now()
	}
	t.conflicts++
	if time.Since(t.since) >= t.service.opts.Patience {
		return domain.Errorf(domain.CodeVersionConflict,
			"others kept changing the same thing: nothing was done, try again").WithCause(conflict)
	}
	return t.pause(ctx)
}

// pause waits a random while, longer with each conflict, so that nodes which collided do not collide again. The bound
// stays low: who waits here has the turn of its node.
func (t *tries) pause(ctx context.Context) error {
	timer := time.NewTimer(rand.N(t.service.opts.Backoff << min(t.conflicts-1, 4)))
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return refusal(ctx.Err())
	}
}

// end gives up the turn.
func (t *tries) end() {
	if t.leave != nil {
		t.leave()
	}
}
