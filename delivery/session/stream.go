package session

import (
	"errors"
	"time"

	"github.com/orderlog/orderlog/delivery"
)

// Told is something that the client is told: one of the kinds, or nothing.
type Told struct {
	Left   []string // rooms
	Frames []*delivery.Frame
	// Prev is the seq that the client was told of before the first of the Frames; each other frame follows the one before.
	Prev       int64
	Resync     *Resync
	CaughtUp   *Position
	Checkpoint *Position
}

// Empty says that there is nothing to tell now.
func (t Told) Empty() bool {
	return len(t.Frames) == 0 && len(t.Left) == 0 && t.Resync == nil && t.CaughtUp == nil && t.Checkpoint == nil
}

// Ready gets a value when Next may have something to tell, or Due has changed. It is Start.Wake, if that was given, and
// nil with Start.Notify.
func (x *Session) Ready() <-chan struct{} { return x.sub.Ready() }

// Due is when Next has something to do again although Ready got no value: a checkpoint, or the token's end.
func (x *Session) Due() time.Time {
	if at := x.Expires(); !at.IsZero() && at.Before(x.checkpointAt) {
		return at
	}
	return x.checkpointAt
}

// Next returns what is to be told next, with at most limit frames; something empty when there is nothing now, until Ready
// gets a value or Due comes. What it returns counts as told. It never waits: where the session catches up from the
// database, that is read meanwhile. Errors: a *domain.Error token_expired, and delivery.ErrClosed.
func (x *Session) Next(limit int, now time.Time) (Told, error) {
	if at := x.Expires(); !at.IsZero() && !now.Before(at) {
		return Told{}, errTokenExpired
	}
	for {
		if r := x.resync; r != nil {
			x.resync = nil
			x.told(r.Seq, now)
			return Told{Resync: r}, nil
		}
		b, err := x.sub.Take(limit)
		switch {
		case errors.Is(err, delivery.ErrExpired):
			x.startOver()
			continue
		case err != nil:
			return Told{}, err
		}
		if t, ok := x.tell(b, now); ok {
			return t, nil
		}
	}
}

// tell says what a batch is to the client. It answers false for one that is nothing to it, behind which there may be more.
func (x *Session) tell(b delivery.Batch, now time.Time) (t Told, ok bool) {
	switch {
	case len(b.Left) > 0:
		t.Left = b.Left
	case len(b.Frames) > 0:
		t.Prev, t.Frames = x.prev, b.Frames
		x.told(b.Frames[len(b.Frames)-1].Seq, now)
	case b.CaughtUp && !x.announce:
		return t, false
	case b.CaughtUp:
		x.announce = false // once: falling back later is our own affair
		x.told(b.Position, now)
		t.CaughtUp = &Position{b.Position}
	case !now.Before(x.checkpointAt):
		seq := max(x.prev, x.sub.Position())
		x.told(seq, now)
		t.Checkpoint = &Position{seq}
	}
	return t, true
}

// startOver goes on after retention has dropped what was still to come.
func (x *Session) startOver() {
	if x.oldest && x.prev == 0 { // it asked for what is held, and that has just become less
		x.sub.ResetToFloor()
		return
	}
	position := max(x.prev, x.service.cfg.Hub.Position())
	x.sub.Reset(position)
	x.announce, x.resync = false, &Resync{position, ReasonExpired}
}

// told moves what the client knows.
func (x *Session) told(seq int64, now time.Time) {
	x.prev = seq
	x.checkpointAt = now.Add(x.service.cfg.CheckpointInterval)
}
