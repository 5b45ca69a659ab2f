package ws

import (
	"errors"
	"os"
	"time"

	"github.com/orderlog/orderlog/delivery"
)

// flush writes all that the wire holds. It answers false when the connection has ended instead.
func (w *writer) flush() bool {
	w.wire.closeText()
	written, err := w.write(w.wire.buf, w.cfg.WriteTimeout)
	switch {
	case err == nil:
		w.wire.reset()
		return true
	case errors.Is(err, os.ErrDeadlineExceeded):
		// The close frame can come only behind the frame that got stuck.
		rest := w.wire.buf[written:frameEnd(w.wire.buf, written)]
		w.wire.buf = append(w.wire.buf[:0], rest...)
		w.closeFor(delivery.CodeSlowConsumer)
		w.finish()
		return false
	}
	_ = w.net.Close() // it is broken; the reader wakes up
	return false
}

// write writes p, however slowly, as long as something gets through within the timeout. It says how much did.
func (w *writer) write(p []byte, timeout time.Duration) (int, error) {
	written, progress := 0, time.Now()
	for {
		// A write says only at its deadline how much it did, so it is asked more often than that.
		if err := w.net.SetWriteDeadline(time.Now().Add(max(timeout/16, time.Millisecond))); err != nil {
			return written, err
		}
		n, err := w.net.Write(p[written:])
		written += n
		if err == nil || !errors.Is(err, os.ErrDeadlineExceeded) {
			return written, err
		}
		if n > 0 {
			progress = time.Now()
			w.hear() // it reads, however slowly: it is not half open
		} else if time.Since(progress) >= timeout {
			return written, err
		}
		if w.stopped() {
			return written, err
		}
	}
}

// stopped says that it is of no use to go on writing.
func (w *writer) stopped() bool {
	select {
	case <-w.gone:
		return true
	default:
		return false
	}
}

// finish writes what is left, and the close frame behind it, and lets the reader wait for the client's own.
func (w *writer) finish() {
	defer w.wire.reset()
	if w.closing.code == 0 {
		_ = w.net.Close() // nobody is there; the reader wakes up
		return
	}
	w.code = w.closing.counted()
	if w.closing.last != nil {
		w.wire.line(w.closing.last)
	}
	w.wire.close(w.closing.code, w.closing.reason)
	w.closed.Store(true)
	if _, err := w.write(w.wire.buf, w.cfg.CloseTimeout); err != nil {
		_ = w.net.Close()
		return
	}
	if err := w.net.SetReadDeadline(time.Now().Add(w.cfg.CloseTimeout)); err != nil {
		_ = w.net.Close()
	}
}
