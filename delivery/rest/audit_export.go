package rest

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
)

const (
	// maxExports is how many exports a node makes at a time: each keeps the database at work for as long as it takes.
	maxExports = 4
	// exportPiece is how many bytes are written at a time. A client has answerTimeout for each.
	exportPiece = 64 << 10
	// exportPause is the longest that what was found waits to be sent.
	exportPause = time.Second
	// walkStep is how many events of the whole log are read at a time, and walkBytes what is kept of them at most.
	walkStep  = 2_000
	walkBytes = 4 << 20
)

// What ends an export before its end.
var (
	errDraining   = errors.New("the node stops")
	errClientLeft = errors.New("the client left")
)

// handOver gives lines away to be sent; they must not be touched any more. An error says that nothing is sent any more.
type handOver func(lines []byte) error

// export sends lines to a client.
type export struct {
	w       http.ResponseWriter
	control *http.ResponseController
	lines   chan []byte   // closed after the last ones
	over    chan struct{} // closed when nothing is sent any more; what follows belongs to who sends until then

	waiting []byte
	begun   bool
	err     error // of the write that failed: the client is gone, or does not read

	deadline sync.Mutex
	stopped  bool
}

// exportFaults says of a request that it can't have an export. By HTTP/1.0 an answer of unknown length ends with its
// connection, so that one that is cut short would look whole.
func exportFaults(r *http.Request) []error {
	if r.ProtoAtLeast(1, 1) {
		return nil
	}
	return []error{&huma.ErrorDetail{Location: "header.Accept", Message: "must be " + jsonType + " over " + r.Proto + ", where an export that is cut short " +
		"would look whole: ask for pages, or use HTTP/1.1 (behind nginx: proxy_http_version 1.1)"}}
}

// export sends what a walk finds. The request's time limit does not hold for it: it ends with the walk, when the client
// leaves or does not read, or when the node drains.
func (s *server) export(w http.ResponseWriter, r *http.Request, contentType string, walk func(context.Context, handOver) error) {
	if r.Method == http.MethodHead {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(http.StatusOK)
		return
	}
	if err := s.beginExport(); err != nil {
		w.Header().Del("X-Seq")
		s.refuse(w, r, err)
		return
	}
	defer func() { <-s.exports }()
	out := &export{w: w, control: http.NewResponseController(w), lines: make(chan []byte), over: make(chan struct{})}
	w.Header().Set("Content-Type", contentType)
	err := s.run(r.Context(), out, walk)
	if err == nil {
		return
	}
	if out.begun || errors.Is(err, errClientLeft) {
		s.tellBrokenOff(r.Context(), out, err)
		panic(http.ErrAbortHandler) // an export cut short must not look whole
	}
	if errors.Is(err, errDraining) {
		err = errStopping()
	}
	_ = out.control.SetWriteDeadline(time.Now().Add(answerTimeout)) // it may be over
	w.Header().Del("X-Seq")
	s.refuse(w, r, err)
}

func errStopping() error {
	return problem(domain.CodeUnavailable, "this node is stopping: ask again")
}

func (s *server) tellBrokenOff(ctx context.Context, out *export, err error) {
	ctx = context.WithoutCancel(ctx) // that the request's time is over says nothing here
	switch id := callOf(ctx).id; {
	case errors.Is(err, errDraining):
		s.cfg.Logger.InfoContext(ctx, "an export was broken off: the node stops", "request", id)
	case errors.Is(err, errClientLeft), out.err != nil:
		s.cfg.Logger.DebugContext(ctx, "an export was broken off by its client", "request", id, "error", err)
	default:
		_ = s.explain(ctx, err) // which logs it
	}
}

// beginExport takes a place for an export, or answers why there is none.
func (s *server) beginExport() error {
	select {
	case <-s.cfg.Draining:
		return errStopping()
	default:
	}
	select {
	case s.exports <- struct{}{}:
		return nil
	default:
		return problem(domain.CodeOverloaded, "this node is making as many exports as it does at a time: ask again when one of them is over").
			set("Retry-After", "5").with("limit", maxExports)
	}
}

// run walks and sends, and returns when both are over. The error is nil when all of it was handed to the client.
func (s *server) run(ctx context.Context, out *export, walk func(context.Context, handOver) error) error {
	free, cancel := context.WithCancelCause(context.WithoutCancel(ctx))
	var beside sync.WaitGroup
	defer beside.Wait()
	defer cancel(nil)
	beside.Go(func() { s.watch(free, cancel, callOf(ctx).left, out) })
	beside.Go(func() { out.send(free, cancel) })
	err := walk(free, func(lines []byte) error {
		select {
		case out.lines <- lines:
			return nil
		case <-free.Done():
			return context.Cause(free)
		}
	})
	if err == nil {
		close(out.lines)
	} else {
		cancel(err)
	}
	<-out.over
	return context.Cause(free) // what came first: of an error of the walk perhaps only the consequence is seen here
}

// watch ends an export for which nobody waits any more, or no longer may.
func (s *server) watch(ctx context.Context, cancel context.CancelCauseFunc, left <-chan struct{}, out *export) {
	select {
	case <-ctx.Done():
	case <-left:
		cancel(errClientLeft)
	case <-s.cfg.Draining:
		cancel(errDraining)
		out.stop()
	}
}

// send sends what is handed over: when it is enough, or has waited long enough, as it may where events are far apart.
func (e *export) send(ctx context.Context, cancel context.CancelCauseFunc) {
	defer close(e.over)
	tick := time.NewTicker(exportPause)
	defer tick.Stop()
	for more := true; more && e.err == nil; {
		var lines []byte
		select {
		case lines, more = <-e.lines:
			if e.waiting = append(e.waiting, lines...); more && len(e.waiting) < exportPiece {
				continue
			}
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if e.err = e.write(); e.err != nil {
			cancel(e.err)
		}
	}
}

// write writes what waits, and at first that there is an answer.
func (e *export) write() error {
	if e.begun && len(e.waiting) == 0 {
		return nil
	}
	e.begun = true
	for rest := e.waiting; ; {
		piece := rest[:min(len(rest), exportPiece)]
		e.extend()
		if _, err := e.w.Write(piece); err != nil {
			return err
		}
		if rest = rest[len(piece):]; len(rest) == 0 {
			break
		}
	}
	e.waiting = e.waiting[:0]
	if err := e.control.Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// extend gives the client its time for the next piece. Not every writer has a deadline.
func (e *export) extend() {
	e.deadline.Lock()
	defer e.deadline.Unlock()
	if !e.stopped {
		_ = e.control.SetWriteDeadline(time.Now().Add(answerTimeout))
	}
}

// stop ends a write that waits for the client, and lets none wait any more.
func (e *export) stop() {
	e.deadline.Lock()
	defer e.deadline.Unlock()
	e.stopped = true
	_ = e.control.SetWriteDeadline(time.Now())
}

// walk hands over the events of a query without times, a line each, up to a limit unless that is 0.
func (s *server) walk(ctx context.Context, q replay.Query, limit int64, out handOver) error {
	if len(q.Types) > 0 || q.Stream != "" || q.Actor != "" {
		return s.walkFiltered(ctx, q, limit, out)
	}
	if limit > 0 && limit < q.To-q.After {
		q.To = q.After + limit // there is an event of each seq
	}
	return s.walkAll(ctx, q, out)
}

func (s *server) walkFiltered(ctx context.Context, q replay.Query, limit int64, out handOver) error {
	enough := errors.New("enough")
	var n int64
	err := s.cfg.Audit.Each(ctx, q, func(e eventstore.Recorded) error {
		if err := out(append(e.AppendCanonical(nil), '\n')); err != nil {
			return err
		}
		if n++; n == limit {
			return enough
		}
		return nil
	})
	if errors.Is(err, enough) {
		return nil
	}
	return err
}

// walkAll reads in steps, each of which is over before it is handed over: a connection to the database would be held, and
// a statement kept open, for as long as a slow client takes.
func (s *server) walkAll(ctx context.Context, q replay.Query, out handOver) error {
	for to := q.To; q.After < to; q.After = q.To {
		q.To = min(q.After+walkStep, to)
		var lines []byte
		err := s.cfg.Audit.Each(ctx, q, func(e eventstore.Recorded) error {
			lines = append(e.AppendCanonical(lines), '\n')
			if len(lines) < walkBytes {
				return nil
			}
			full := lines
			lines = nil
			return out(full)
		})
		if err == nil {
			err = out(lines)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
