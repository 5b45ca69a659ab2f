package ws

import (
	"context"
	"errors"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

const (
	fullBuffer = 32 << 10 // a write goes out when this much is gathered
	pollFrames = 64
)

// writer writes all that a connection is told, and watches its times.
type writer struct {
	*conn
	wire    wire
	session *session
	sub     <-chan struct{} // the subscription's Ready; nil before there is one
	closing *closing

	registerBy, expires, pingAt, checkpointAt time.Time // zero: never
}

func newWriter(c *conn) *writer {
	now := time.Now()
	return &writer{
		conn:       c,
		wire:       wire{batch: c.socket.Subprotocol() == V1Batch, text: -1},
		registerBy: now.Add(c.cfg.RegisterTimeout),
		pingAt:     now.Add(c.cfg.PingInterval),
	}
}

// run gathers all there is, writes it at once, and waits when there is nothing more.
func (w *writer) run(ctx context.Context) {
	timer := time.NewTimer(w.cfg.RegisterTimeout)
	defer timer.Stop()
	for {
		again := w.gather(ctx)
		if w.closing != nil {
			w.finish()
			return
		}
		if len(w.wire.buf) > 0 {
			if !w.flush() {
				return
			}
			continue
		}
		if again {
			continue
		}
		timer.Reset(time.Until(w.nextTime()))
		select {
		case o := <-w.control:
			w.take(o)
		case cl := <-w.ending:
			w.closing = &cl
		case payload := <-w.pong:
			w.wire.control(finalPong, payload)
		case <-w.sub:
		case <-timer.C:
		case <-w.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// gather puts what is to be told into the wire. It answers true when there may be more although nothing was put in.
func (w *writer) gather(ctx context.Context) (again bool) {
	for w.closing == nil && len(w.wire.buf) < fullBuffer {
		select {
		case o := <-w.control:
			w.take(o)
			continue
		case cl := <-w.ending:
			w.closing = &cl
			continue
		case payload := <-w.pong:
			w.wire.control(finalPong, payload)
			continue
		case <-w.gone:
			w.closing = &closing{}
			continue
		default:
		}
		break
	}
	w.watchTimes(time.Now())
	if w.closing != nil || w.session == nil {
		return false
	}
	return w.gatherEvents(ctx)
}

func (w *writer) take(o outgoing) {
	if o.line != nil {
		w.wire.line(o.line)
	}
	if !o.expires.IsZero() {
		w.expires = o.expires
	}
	if o.session != nil {
		w.session, w.sub = o.session, o.session.sub.Ready()
		w.registerBy, w.checkpointAt = time.Time{}, time.Now().Add(w.cfg.CheckpointInterval)
	}
	if o.answered != "" {
		w.session.sub.Answered(o.answered, o.joined)
	}
	if o.close != nil {
		w.closing = o.close
	}
}

// watchTimes does what is due.
func (w *writer) watchTimes(now time.Time) {
	due := func(at time.Time) bool { return !at.IsZero() && !now.Before(at) }
	switch {
	case w.closing != nil:
	case due(w.registerBy):
		w.closeFor(delivery.CodeRegisterTimeout)
	case due(w.expires):
		w.closeFor(delivery.CodeTokenExpired)
	case now.Sub(time.Unix(0, w.heard.Load())) >= w.cfg.PongTimeout:
		w.closing = &closing{}
	}
	if w.closing != nil {
		return
	}
	if due(w.pingAt) {
		w.wire.control(finalPing, nil)
		w.pingAt = now.Add(w.cfg.PingInterval)
	}
	if due(w.checkpointAt) {
		seq := max(w.session.prev, w.session.sub.Position())
		w.tell("checkpoint", seq, Position{seq})
	}
}

// nextTime is when watchTimes has something to do again.
func (w *writer) nextTime() time.Time {
	next := time.Unix(0, w.heard.Load()).Add(w.cfg.PongTimeout)
	for _, t := range []time.Time{w.registerBy, w.expires, w.pingAt, w.checkpointAt} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	return next
}

func (w *writer) closeFor(code domain.Code) {
	cl := closeFor(code)
	w.closing = &cl
}

// gatherEvents puts the stream's next events into the wire. It answers true when the stream has to be asked again.
func (w *writer) gatherEvents(ctx context.Context) (again bool) {
	// Catching up may wait for the database, but not beyond the time that something else is due.
	ctx, cancel := context.WithDeadline(ctx, w.nextTime())
	defer cancel()
	for len(w.wire.buf) < fullBuffer {
		b, err := w.session.sub.Poll(ctx, pollFrames)
		switch {
		case errors.Is(err, delivery.ErrExpired):
			w.startOver(ctx)
			return true
		case errors.Is(err, context.DeadlineExceeded):
			return true
		case err != nil: // closed, or the connection ends
			w.closing = &closing{}
			return false
		case b.Empty():
			return false
		}
		for _, room := range b.Left {
			w.wire.line(encodeAnswer(answer{Event: "left", Data: Left{room}}))
		}
		for _, f := range b.Frames {
			w.wire.end(f.Append(w.wire.begin(), w.session.prev))
			w.told(f.Seq)
		}
		if b.CaughtUp && w.session.announce {
			w.session.announce = false // once: falling back later is our own affair
			w.tell("caught_up", b.Position, Position{b.Position})
		}
	}
	return true
}

// startOver goes on after retention has dropped what was still to come.
func (w *writer) startOver(ctx context.Context) {
	s := w.session
	if s.oldest && s.prev == 0 { // it asked for what is held, and that has just become less
		if b, err := w.h.cfg.Hub.Bounds(ctx); err == nil {
			s.sub.Reset(b.Floor)
		}
		return // after a fault the subscription finds again that it must start over
	}
	position := max(s.prev, w.h.cfg.Hub.Position())
	s.sub.Reset(position)
	s.announce = false
	w.tell("resync", position, Resync{position, ReasonExpired})
}

// tell writes an object that names a seq, which is the one the client was told of last from then on.
func (w *writer) tell(event string, seq int64, data any) {
	w.wire.line(encodeAnswer(answer{Event: event, Data: data}))
	w.told(seq)
}

func (w *writer) told(seq int64) {
	w.session.prev = seq
	w.checkpointAt = time.Now().Add(w.cfg.CheckpointInterval)
}
