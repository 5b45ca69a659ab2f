package ws

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socket"
	"github.com/orderlog/orderlog/domain"
)

const (
	fullBuffer = 32 << 10 // a write goes out when this much is gathered
	pollFrames = 64
)

// writer writes all that a connection is told, and watches its times.
type writer struct {
	*conn
	wire    socket.Wire
	session *session.Session // nil before the client has registered
	wake    <-chan struct{}  // the session's Ready
	first   bool             // what the session begins with comes before all other answers
	closing *closing

	registerBy, pingAt time.Time // zero: never
}

func newWriter(c *conn) *writer {
	now := time.Now()
	return &writer{
		conn:       c,
		wire:       socket.NewWire(c.socket.Subprotocol() == V1Batch),
		registerBy: now.Add(c.cfg.RegisterTimeout),
		pingAt:     now.Add(c.cfg.PingInterval),
	}
}

// run gathers all there is, writes it at once, and waits when there is nothing more.
func (w *writer) run(ctx context.Context) {
	timer := time.NewTimer(w.cfg.RegisterTimeout)
	defer timer.Stop()
	for {
		w.gather() //nolint:contextcheck // what is read for a session outlives the asking
		if w.closing != nil {
			w.finish()
			return
		}
		if w.wire.Len() > 0 {
			if !w.flush() {
				return
			}
			continue
		}
		timer.Reset(time.Until(w.nextTime()))
		select {
		case o := <-w.control:
			w.take(o)
		case cl := <-w.ending:
			w.closing = &cl
		case payload := <-w.pong:
			w.wire.Pong(payload)
		case <-w.wake:
		case <-timer.C:
		case <-w.gone:
			return
		case <-ctx.Done():
			return
		}
	}
}

// gather puts what is to be told into the wire.
func (w *writer) gather() {
	for w.closing == nil && !w.first && w.wire.Len() < fullBuffer {
		select {
		case o := <-w.control:
			w.take(o)
			continue
		case cl := <-w.ending:
			w.closing = &cl
			continue
		case payload := <-w.pong:
			w.wire.Pong(payload)
			continue
		case <-w.gone:
			w.closing = &closing{}
			continue
		default:
		}
		break
	}
	now := time.Now()
	w.watchTimes(now)
	if w.closing == nil && w.session != nil {
		w.gatherEvents(now)
	}
}

func (w *writer) take(o outgoing) {
	if o.line != nil {
		w.wire.Text(o.line)
	}
	if o.session != nil {
		w.session, w.wake, w.first = o.session, o.session.Ready(), true
		w.registerBy = time.Time{}
	}
	if o.reply.Answered {
		w.session.Answered(o.reply)
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
	case now.Sub(time.Unix(0, w.heard.Load())) >= w.cfg.PongTimeout:
		w.closing = &closing{}
	}
	if w.closing != nil {
		return
	}
	if due(w.pingAt) {
		w.wire.Ping(nil)
		w.pingAt = now.Add(w.cfg.PingInterval)
	}
}

// nextTime is when something is due again.
func (w *writer) nextTime() time.Time {
	next := time.Unix(0, w.heard.Load()).Add(w.cfg.PongTimeout)
	for _, t := range []time.Time{w.registerBy, w.pingAt} {
		if !t.IsZero() && t.Before(next) {
			next = t
		}
	}
	if w.session != nil && w.session.Due().Before(next) {
		return w.session.Due()
	}
	return next
}

func (w *writer) closeFor(code domain.Code) {
	cl := closeFor(code)
	w.closing = &cl
}

// gatherEvents puts what the session is told next into the wire.
func (w *writer) gatherEvents(now time.Time) {
	for w.wire.Len() < fullBuffer || w.first {
		w.first = false
		t, err := w.session.Next(pollFrames, now)
		switch {
		case domain.CodeOf(err) == delivery.CodeTokenExpired:
			w.closeFor(delivery.CodeTokenExpired)
			return
		case err != nil: // closed, or the connection ends
			w.closing = &closing{}
			return
		case t.Empty():
			return
		}
		w.tell(t)
	}
}

// tell puts something that the client is told into the wire.
func (w *writer) tell(t session.Told) {
	for _, room := range t.Left {
		w.line("left", session.Left{Room: room})
	}
	prev := t.Prev
	for _, f := range t.Frames {
		w.wire.End(f.Append(w.wire.Begin(), prev))
		prev = f.Seq
	}
	switch {
	case t.Resync != nil:
		w.line("resync", *t.Resync)
	case t.CaughtUp != nil:
		w.line("caught_up", *t.CaughtUp)
	case t.Checkpoint != nil:
		w.line("checkpoint", *t.Checkpoint)
	}
}

func (w *writer) line(event string, data any) {
	w.wire.Text(encodeAnswer(answer{Event: event, Data: data}))
}

// flush writes all that the wire holds. It answers false when the connection has ended instead.
func (w *writer) flush() bool {
	written, err := w.write(w.cfg.WriteTimeout)
	switch {
	case err == nil:
		w.wire.Reset()
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		w.wire.Stuck(written) // the close frame can come only behind the frame that got stuck
		w.closeFor(delivery.CodeSlowConsumer)
		w.finish()
		return false
	}
	_ = w.socket.Close() // it is broken; the reader wakes up
	return false
}

// write writes the wire. A client that reads, however slowly, is not half open.
func (w *writer) write(timeout time.Duration) (int, error) {
	return w.socket.Write(w.wire.Bytes(), timeout, w.hear, w.gone)
}

// finish writes what is left, and the close frame behind it, and lets the reader wait for the client's own.
func (w *writer) finish() {
	defer w.wire.Reset()
	if w.closing.code == 0 {
		_ = w.socket.Close() // nobody is there; the reader wakes up
		return
	}
	w.code = w.closing.counted()
	if w.closing.last != nil {
		w.wire.Text(w.closing.last)
	}
	w.wire.Close(w.closing.code, w.closing.reason)
	w.closed.Store(true)
	if _, err := w.write(w.cfg.CloseTimeout); err != nil {
		_ = w.socket.Close()
		return
	}
	if err := w.socket.SetReadDeadline(time.Now().Add(w.cfg.CloseTimeout)); err != nil {
		_ = w.socket.Close()
	}
}
