package sse

import (
	"context"
	"errors"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
)

const (
	fullBuffer  = 32 << 10 // what waits goes out when this much is gathered
	largeBuffer = 64 << 10 // a buffer that has grown larger is not kept
	writePiece  = 16 << 10 // a client has WriteTimeout for each
	pollFrames  = 64
)

var errGoingAway = errors.New("the server goes away")

// stream is one client's. It is run by the goroutine of its request; expel is for others.
type stream struct {
	h       *Handler
	w       http.ResponseWriter
	control *http.ResponseController
	cancel  context.CancelCauseFunc
	session *session.Session

	commentAt time.Time
	ended     string // why; empty: it has not begun

	mu      sync.Mutex
	closeBy time.Time // when all must be written; zero: it goes on
}

func setHeaders(h http.Header) {
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store, no-transform") // what is compressed is held back until there is enough of it
	h.Set("X-Accel-Buffering", "no")                 // nginx would hold it back, too
}

// begin makes an answer without an end of the request.
func (st *stream) begin(ctx context.Context) {
	st.h.begun()
	st.ended = endedClientLeft // unless it turns out otherwise
	bound(ctx, st.h.cfg.SocketBuffer, st.h.cfg.GoneTimeout)
	setHeaders(st.w.Header())
	st.w.WriteHeader(http.StatusOK)
}

// run tells all there is, in as few writes as it can be, and waits when there is nothing more.
func (st *stream) run(ctx context.Context, hadCursor bool) {
	timer := time.NewTimer(st.h.cfg.KeepAlive)
	defer timer.Stop()
	st.commentAt = time.Now().Add(st.h.cfg.KeepAlive)
	begin := appendRegistered(appendRetry(nil, st.h.wait()), st.session.Registered(), hadCursor)
	for {
		buffer, _ := st.h.buffers.Get().(*[]byte)
		out, over := st.gather(ctx, append((*buffer)[:0], begin...))
		begin = nil
		written := len(out) > 0
		err := st.write(out)
		if cap(out) <= largeBuffer {
			*buffer = out
		}
		st.h.buffers.Put(buffer)
		switch {
		case err != nil:
			st.failed(err)
			return
		case over:
			return
		case written:
			continue
		}
		timer.Reset(time.Until(st.next()))
		select {
		case <-st.session.Ready():
		case <-timer.C:
		case <-ctx.Done():
		}
	}
}

// next is when there is something to do again.
func (st *stream) next() time.Time {
	if due := st.session.Due(); !due.IsZero() && due.Before(st.commentAt) {
		return due
	}
	return st.commentAt
}

// gather appends what is to be told. over says that the stream ends behind it.
func (st *stream) gather(ctx context.Context, out []byte) (_ []byte, over bool) {
	for len(out) < fullBuffer {
		if ctx.Err() != nil {
			return st.goodbye(ctx, out), true
		}
		told, err := st.session.Next(pollFrames, time.Now()) //nolint:contextcheck // what is read for it outlives the asking
		if err != nil {
			return st.end(out, err), true
		}
		out = appendTold(out, told)
		if len(told.Frames) > 0 {
			st.commentAt = time.Now().Add(st.h.cfg.KeepAlive)
		}
		if told.Empty() || told.Checkpoint != nil { // which says that there is nothing more
			break
		}
	}
	if now := time.Now(); !now.Before(st.commentAt) {
		out = append(out, comment...)
		st.commentAt = now.Add(st.h.cfg.KeepAlive)
	}
	return out, false
}

// end tells why the stream cannot go on. The client comes back by itself, and is told there whether it may.
func (st *stream) end(out []byte, err error) []byte {
	if domain.CodeOf(err) == delivery.CodeTokenExpired {
		st.ended = endedTokenExpired
	} else {
		st.ended = endedUnavailable
		out = appendRetry(out, st.h.wait())
	}
	failure, _ := session.FailureOf(err)
	st.hasten(st.h.cfg.CloseTimeout)
	return appendMessage(out, noID, eventError, failure)
}

// goodbye asks the client to come back later, if it is still there.
func (st *stream) goodbye(ctx context.Context, out []byte) []byte {
	if !errors.Is(context.Cause(ctx), errGoingAway) {
		return out[:0]
	}
	st.ended = endedGoingAway
	after := st.h.wait()
	out = appendRetry(out, after)
	return appendMessage(out, noID, eventReconnect, session.Reconnect{AfterMs: after.Milliseconds()})
}

// failed finds out why a write came to nothing.
func (st *stream) failed(err error) {
	st.mu.Lock()
	closing := !st.closeBy.IsZero()
	st.mu.Unlock()
	switch {
	case st.ended != endedClientLeft: // it was the last one
	case errors.Is(err, os.ErrDeadlineExceeded) && closing:
		st.ended = endedGoingAway
	case errors.Is(err, os.ErrDeadlineExceeded):
		st.ended = endedSlowConsumer
	}
}

// write writes out and flushes it.
func (st *stream) write(out []byte) error {
	if len(out) == 0 {
		return nil
	}
	for len(out) > 0 {
		piece := out[:min(len(out), writePiece)]
		st.extend()
		if _, err := st.w.Write(piece); err != nil {
			return err
		}
		out = out[len(piece):]
	}
	if err := st.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// extend gives the client its time for the next piece. Not every writer has a deadline.
func (st *stream) extend() {
	st.mu.Lock()
	defer st.mu.Unlock()
	if st.closeBy.IsZero() {
		_ = st.control.SetWriteDeadline(time.Now().Add(st.h.cfg.WriteTimeout))
	}
}

// hasten has all that is still written be written within a time, also what is being written now.
func (st *stream) hasten(within time.Duration) {
	st.mu.Lock()
	defer st.mu.Unlock()
	if by := time.Now().Add(within); st.closeBy.IsZero() || by.Before(st.closeBy) {
		st.closeBy = by
		_ = st.control.SetWriteDeadline(by)
	}
}

// expel ends the stream from outside.
func (st *stream) expel(within time.Duration) {
	st.hasten(within)
	st.cancel(errGoingAway)
}
