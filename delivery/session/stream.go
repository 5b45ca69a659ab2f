package session

import (
	"context"
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

// Ready gets a value when Next may have something to tell, or Due has changed. It is Start.Wake, if that was given.
func (x *Session) Ready() <-chan struct{} { return x.sub.Ready() }

// Due is when Next has something to do again although Ready got no value: a checkpoint, or the token's end.
func (x *Session) Due() time.Time {
	if at := x.Expires(); !at.IsZero() && at.Before(x.checkpointAt) {
		return at
	}
	return x.checkpointAt
}

// Next returns what is to be told next, with at most limit frames; something empty when there is nothing now, until Ready
// gets a value or Due comes. What it returns counts as told. It waits only while it catches up from the database, and
// neither beyond ctx nor beyond Due. Errors: a *domain.Error token_expired, delivery.ErrClosed, and the context's, after
// which it may be called again.
func (x *Session) Next(ctx context.Context, limit int, now time.Time) (Told, error) {
	for {
		if at := x.Expires(); !at.IsZero() && !now.Before(at) {
			return Told{}, errTokenExpired
		}
		if r := x.resync; r != nil {
			x.resync = nil
			x.told(r.Seq, now)
			return Told{Resync: r}, nil
		}
		b, err := x.poll(ctx, limit)
		switch {
		case errors.Is(err, delivery.ErrExpired):
			if err := x.startOver(ctx); err != nil {
				return Told{}, err
			}
			continue
		case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
			now = time.Now() // something has become due while it was read
		case err != nil:
			return Told{}, err
		}
		switch {
		case len(b.Left) > 0:
			return Told{Left: b.Left}, nil
		case len(b.Frames) > 0:
			prev := x.prev
			x.told(b.Frames[len(b.Frames)-1].Seq, now)
			return Told{Frames: b.Frames, Prev: prev}, nil
		case b.CaughtUp:
			if x.announce {
				x.announce = false // once: falling back later is our own affair
				x.told(b.Position, now)
				return Told{CaughtUp: &Position{b.Position}}, nil
			}
		case !now.Before(x.checkpointAt):
			seq := max(x.prev, x.sub.Position())
			x.told(seq, now)
			return Told{Checkpoint: &Position{seq}}, nil
		case err == nil:
			return Told{}, nil
		}
	}
}

// poll asks the subscription, and lets it read from the database until something else is due.
func (x *Session) poll(ctx context.Context, limit int) (delivery.Batch, error) {
	b, done, err := x.sub.Take(limit)
	if done || err != nil {
		return b, err
	}
	ctx, cancel := context.WithDeadline(ctx, x.Due())
	defer cancel()
	return x.sub.Poll(ctx, limit)
}

// startOver goes on after retention has dropped what was still to come.
func (x *Session) startOver(ctx context.Context) error {
	hub := x.service.cfg.Hub
	if x.oldest && x.prev == 0 { // it asked for what is held, and that has just become less
		b, err := hub.Bounds(ctx)
		switch {
		case err == nil:
			x.sub.Reset(b.Floor)
		case ctx.Err() != nil:
			return ctx.Err()
		default: // it finds again that it must start over
			x.sub.RetryLater()
		}
		return nil
	}
	position := max(x.prev, hub.Position())
	x.sub.Reset(position)
	x.announce, x.resync = false, &Resync{position, ReasonExpired}
	return nil
}

// told moves what the client knows.
func (x *Session) told(seq int64, now time.Time) {
	x.prev = seq
	x.checkpointAt = now.Add(x.service.cfg.CheckpointInterval)
}
