package ws

import (
	"errors"
	"os"
	"strconv"
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

// writer writes all that a connection is told, and watches its times. It is for one goroutine at a time.
type writer struct {
	*conn
	wire    socket.Wire
	session *session.Session // nil before the client has registered
	first   bool             // what the session begins with comes before all other answers
	closing *closing

	registerBy, pingAt time.Time   // zero: never
	timer              *time.Timer // wakes; nil: not yet
	wakesAt            time.Time   // when it does
}

func newWriter(c *conn) writer {
	now := time.Now()
	return writer{
		conn:       c,
		wire:       socket.NewWire(c.socket.Subprotocol() == V1Batch),
		registerBy: now.Add(c.cfg.RegisterTimeout),
		pingAt:     now.Add(c.cfg.PingInterval),
	}
}

// run gathers all there is and writes it at once, until there is nothing more, and has the connection woken when
// something is due.
func (w *writer) run() {
	if w.ended() {
		return
	}
	for {
		w.gather()
		if w.closing != nil {
			w.finish()
			break
		}
		if w.wire.Len() == 0 {
			w.setTimer()
			return
		}
		if !w.flush() {
			break
		}
	}
	if w.timer != nil {
		w.timer.Stop()
	}
	w.writerEnded()
}

func (w *writer) ended() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.over
}

// setTimer has the connection woken when the next thing is due, or before: things are put off more often than they are
// done, and a timer that is too early costs less than one that is set each time.
func (w *writer) setTimer() {
	at, now := w.nextTime(), time.Now()
	switch {
	case w.timer == nil:
		w.timer = time.AfterFunc(at.Sub(now), w.wakeHere)
	case now.Before(w.wakesAt) && !at.Before(w.wakesAt):
		return
	default:
		w.timer.Reset(at.Sub(now))
	}
	w.wakesAt = now.Add(at.Sub(now)) // by the clock of the timer, which nobody puts back
}

// gather puts what is to be told into the wire.
func (w *writer) gather() {
	for w.closing == nil && !w.first && w.wire.Len() < fullBuffer && w.takeNext() {
	}
	now := time.Now()
	w.watchTimes(now)
	if w.closing == nil && w.session != nil {
		w.gatherEvents(now)
	}
}

// takeNext takes what others have given. It answers false when there was nothing.
func (w *writer) takeNext() bool {
	w.mu.Lock()
	ending, ping, gone := w.ending, w.ping, w.gone
	w.ping = nil
	var o outgoing
	given := len(w.control) > 0
	if given {
		o = w.control[0]
		w.control[0] = outgoing{}
		if w.control = w.control[1:]; len(w.control) == 0 {
			w.control = nil // an idle connection has none
		}
		if w.room != nil {
			close(w.room)
			w.room = nil
		}
	}
	w.mu.Unlock()
	if ping != nil {
		w.wire.Pong([]byte(*ping))
	}
	if given {
		w.take(o)
	}
	switch {
	case w.closing != nil:
	case ending != nil:
		w.closing = ending
	case gone:
		w.closing = &closing{}
	}
	return given
}

func (w *writer) take(o outgoing) {
	if o.line != nil {
		w.wire.Text(o.line)
	}
	if o.session != nil {
		w.session, w.first = o.session, true
		w.registerBy = time.Time{}
	}
	if o.reply != nil {
		w.session.Answered(*o.reply)
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
		w.position("caught_up", t.CaughtUp.Seq)
	case t.Checkpoint != nil:
		w.position("checkpoint", t.Checkpoint.Seq)
	}
}

// position is line for a session.Position, of which there are the most: each connection is told of one every 10 s.
func (w *writer) position(event string, seq int64) {
	line := append(append(w.wire.Begin(), `{"event":"`...), event...)
	line = strconv.AppendInt(append(line, `","data":{"seq":`...), seq, 10)
	w.wire.End(append(line, "}}"...))
}

func (w *writer) line(event string, data any) {
	w.wire.Text(encodeAnswer(answer{Event: event, Data: data}))
}

// flush writes all that the wire holds. It answers false when the connection has ended instead.
func (w *writer) flush() bool {
	written, err := w.writeOut(w.cfg.WriteTimeout)
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

// writeOut writes the wire. A client that reads, however slowly, is not half open.
func (w *writer) writeOut(timeout time.Duration) (int, error) {
	return w.socket.Write(w.wire.Bytes(), timeout, w.hear, nil)
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
	if _, err := w.writeOut(w.cfg.CloseTimeout); err != nil {
		_ = w.socket.Close()
		return
	}
	if err := w.socket.SetReadDeadline(time.Now().Add(w.cfg.CloseTimeout)); err != nil {
		_ = w.socket.Close()
	}
}
