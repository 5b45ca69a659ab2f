package engine

import (
	"errors"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// lastMoment is how long an answer may take to be written when its session has had its time to close.
const lastMoment = 100 * time.Millisecond

// longAgo as a deadline interrupts what waits.
var longAgo = time.Unix(1, 0)

// reply is the answer to a request. A client may take timeout for each piece of it, until the reply is cut.
type reply struct {
	w       http.ResponseWriter
	control *http.ResponseController
	timeout time.Duration

	mu   sync.Mutex
	by   time.Time // all of it has to be written by then; zero: it was not cut
	over bool      // the connection is not the reply's any more
}

func newReply(w http.ResponseWriter, timeout time.Duration) *reply {
	return &reply{w: w, control: http.NewResponseController(w), timeout: timeout}
}

// cut bounds the time for all of the reply.
func (p *reply) cut(by time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.over {
		p.by = by
		_ = p.control.SetWriteDeadline(by)
	}
}

// goOn gives the client the time for another piece.
func (p *reply) goOn() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.by.IsZero() {
		_ = p.control.SetWriteDeadline(time.Now().Add(p.timeout))
	}
}

func (p *reply) finish() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over = true
	_ = p.control.SetWriteDeadline(time.Time{}) // the connection may serve other requests
}

// write answers with a payload, however slowly the client reads, as long as something gets through.
func (p *reply) write(payload []byte) error {
	const piece = 16 << 10
	header := p.w.Header()
	header.Set("Content-Type", "text/plain; charset=UTF-8")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Content-Length", strconv.Itoa(len(payload)))
	header.Set("Cache-Control", "no-store")
	for len(payload) > 0 {
		n := min(len(payload), piece)
		p.goOn()
		if _, err := p.w.Write(payload[:n]); err != nil { //nolint:gosec // it is plain text, and not to be taken for anything else
			return err
		}
		if err := p.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
			return err
		}
		payload = payload[n:]
	}
	p.finish()
	return nil
}

// answer answers at once. What it says is short, so only a client that reads nothing at all makes it wait.
func (s *Server) answer(w http.ResponseWriter, payload []byte) error {
	return newReply(w, s.cfg.CloseTimeout).write(payload)
}

// boundBody bounds the time for a body that nobody reads: the HTTP server drops it before the request is over.
func (s *Server) boundBody(w http.ResponseWriter, r *http.Request) {
	if r.ContentLength != 0 {
		_ = http.NewResponseController(w).SetReadDeadline(time.Now().Add(s.cfg.CloseTimeout))
	}
}

// readBody reads the body of a POST, or as much of it as comes before the session ends. tooMuch says that it is more
// than may be.
func (s *Session) readBody(p *post, r *http.Request) (body []byte, tooMuch bool, err error) {
	limit := s.server.cfg.MaxPayload
	if r.ContentLength > int64(limit) {
		return nil, true, nil
	}
	s.mu.Lock()
	p.reading = true
	_ = p.control.SetReadDeadline(time.Now().Add(s.server.cfg.ReadTimeout))
	if s.ended != "" {
		p.interrupt()
	}
	s.mu.Unlock()
	body, err = readAll(borrow(), io.LimitReader(r.Body, int64(limit)+1))
	s.mu.Lock()
	defer s.mu.Unlock()
	p.reading = false
	if p.interrupted {
		// It may have been whole by then. What net/http reads next, to notice that the client goes, fails at once in that case, and
		// all later requests over the connection would be taken for those of a client that has gone.
		p.header.Set("Connection", "close")
	}
	if tooMuch = len(body) > limit; tooMuch {
		_ = p.control.SetReadDeadline(time.Now().Add(s.server.cfg.CloseTimeout)) // for the rest
	}
	return body, tooMuch, err
}

// interrupt ends the reading of the body, if it is under way. It is called under the session's lock.
func (p *post) interrupt() {
	if p.reading {
		p.interrupted = true
		_ = p.control.SetReadDeadline(longAgo)
	}
}

// readAll reads to the end of r behind buf. What it returns has what was read before an error.
func readAll(buf []byte, r io.Reader) ([]byte, error) {
	for {
		if len(buf) == cap(buf) {
			buf = append(buf, 0)[:len(buf)]
		}
		n, err := r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		switch {
		case errors.Is(err, io.EOF):
			return buf, nil
		case err != nil:
			return buf, err
		}
	}
}
