package engine

import (
	"context"
	"errors"
	"os"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socket"
)

// writer writes all that a session sends over its WebSocket.
type writer struct {
	*conn
	wire socket.Wire
}

// run asks for what is to be sent, writes it at once, and waits when there is nothing more.
func (w *writer) run(ctx context.Context, sent <-chan struct{}, first []byte) {
	s := w.session
	select {
	case <-sent:
	case <-ctx.Done():
	}
	if first != nil {
		w.wire.Text(first)
	}
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		select {
		case payload := <-w.pong:
			w.wire.Pong(payload)
		default:
		}
		b := &Batch{wire: &w.wire}
		f := s.fill(ctx, WebSocket, b)
		more := f.again || b.Full()
		if w.wire.Len() > 0 {
			if !w.flush(ctx) {
				w.finish(ctx)
				return
			}
			s.server.sent.Add(b.messages)
			more = true
		}
		switch {
		case f.ended != "":
			w.finish(ctx)
			return
		case f.closing != "" && !f.again && b.messages == 0:
			s.end(f.closing)
			w.finish(ctx)
			return
		case more:
			continue
		}
		wait := time.Hour
		if !f.next.IsZero() {
			wait = time.Until(f.next)
		}
		timer.Reset(wait)
		select {
		case payload := <-w.pong:
			w.wire.Pong(payload)
		case <-s.wake:
		case <-w.kick:
		case <-timer.C:
		}
	}
}

// flush writes all that was gathered. It answers false when the session has ended instead.
func (w *writer) flush(ctx context.Context) bool {
	written, err := w.ws.Write(w.wire.Bytes(), w.session.server.cfg.WriteTimeout, w.session.reads, ctx.Done())
	switch {
	case err == nil:
		w.wire.Reset()
		return true
	case errors.Is(err, os.ErrDeadlineExceeded): // or the session has ended otherwise
		w.wire.Stuck(written) // the close frame can come only behind the frame that got stuck
		w.session.end(ReasonSlow)
	default:
		w.session.end(ReasonLost)
		_ = w.ws.Close() // wakes the reader
	}
	return false
}

// finish tells the client that the session has ended, unless nobody is there.
func (w *writer) finish(ctx context.Context) {
	reason := w.session.reason()
	if reason == ReasonLost || reason == ReasonPingTimeout {
		w.wire.Reset()
		_ = w.ws.Close()
		return
	}
	w.say(ctx, &w.wire, closeCode(reason), string(reason))
}

// closeCode is the code of RFC 6455 for the end of a session.
func closeCode(reason Reason) int {
	switch reason {
	case ReasonProtocol:
		return websocket.CloseProtocolError
	case ReasonTooLarge:
		return websocket.CloseMessageTooBig
	case ReasonSlow:
		return websocket.ClosePolicyViolation
	case ReasonShutdown:
		return websocket.CloseGoingAway
	}
	return websocket.CloseNormalClosure
}

func (s *Session) reason() Reason {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.ended
}
