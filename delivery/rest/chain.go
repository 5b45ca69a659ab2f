package rest

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

// ServeHTTP is what every request goes through before and after its operation: an id, headers, CORS, a time limit,
// who calls, and a body that is small enough. Whatever fails on the way is answered with a problem.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	c := newCall(r)
	ctx, cancel := context.WithTimeout(context.WithValue(r.Context(), callKey{}, c), s.cfg.RequestTimeout)
	defer cancel()
	out := &answer{ResponseWriter: w}
	r = r.WithContext(ctx)
	defer func() {
		s.cfg.Logger.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", out.status,
			"duration", time.Since(started), "request", c.id)
	}()
	defer s.recover(out, r, c)

	setHeaders(out.Header(), r, c)
	if s.cors(out, r) {
		return
	}
	if strings.HasPrefix(r.URL.Path, prefix+"/") {
		if err := s.prepare(out, r, c); err != nil {
			s.refuse(out, r, err)
			return
		}
	}
	s.route(out, r)
}

func (s *server) prepare(w http.ResponseWriter, r *http.Request, c *call) error {
	identity, err := s.authenticate(r.Context(), r.Header)
	if err != nil {
		return err
	}
	c.identity = identity
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	return c.readBody(w, r)
}

// route answers unknown paths and methods with problems of their own; the mux would send plain text.
func (s *server) route(w http.ResponseWriter, r *http.Request) {
	fallback, pattern := s.mux.Handler(r)
	if pattern != "" {
		s.mux.ServeHTTP(w, r)
		return
	}
	probe := &discard{header: http.Header{}}
	fallback.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allowed := probe.header.Get("Allow")
		s.refuse(w, r, problem(delivery.CodeMethodNotAllowed, r.Method+" is not possible here: use one of "+allowed).
			set("Allow", allowed).with("allowed", strings.Split(allowed, ", ")))
		return
	}
	s.refuse(w, r, problem(domain.CodeNotFound, "there is nothing at this path: see /docs"))
}

func (s *server) recover(w *answer, r *http.Request, c *call) {
	reason := recover()
	if reason == nil {
		return
	}
	if err, ok := reason.(error); ok && errors.Is(err, http.ErrAbortHandler) {
		panic(reason)
	}
	s.cfg.Logger.ErrorContext(r.Context(), "a request panicked", "method", r.Method, "path", r.URL.Path,
		"request", c.id, "panic", reason, "stack", string(debug.Stack()))
	if w.status != 0 {
		panic(http.ErrAbortHandler) // an answer cut short must not look whole
	}
	problem(domain.CodeInternal, internalDetail).write(w)
}

// refuse writes the problem that err is, and logs it when it is the program's own trouble.
func (s *server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	s.explain(r.Context(), err).write(w)
}

func (s *server) explain(ctx context.Context, err error) *Problem {
	c := callOf(ctx)
	p, unexpected := asProblem(err, c.method)
	if unexpected {
		level := slog.LevelError
		if errors.Is(ctx.Err(), context.Canceled) { // the client left; what failed then says nothing
			level = slog.LevelDebug
		}
		s.cfg.Logger.Log(ctx, level, "a request failed", "request", c.id, "method", c.method, "code", p.Code, "error", err)
	}
	return p
}

func setHeaders(h http.Header, r *http.Request, c *call) {
	h.Set("X-Request-Id", c.id.String())
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	if r.Header.Get("Authorization") != "" {
		h.Set("Cache-Control", "no-store")
	} else {
		h.Set("Cache-Control", "no-cache") // a public answer's X-Seq must be of now
	}
}

// cors lets the configured origins' scripts in. It answers true when the request was only the browser's question
// whether it may ask, and is answered.
func (s *server) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	origin := r.Header.Get("Origin")
	preflight := r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != ""
	h := w.Header()
	everyone := slices.Contains(s.cfg.Origins, "*")
	if !everyone {
		h.Add("Vary", "Origin")
	}
	if origin == "" {
		return false
	}
	allowed := everyone || slices.Contains(s.cfg.Origins, origin)
	if allowed {
		value := origin
		if everyone {
			value = "*"
		}
		h.Set("Access-Control-Allow-Origin", value)
		h.Set("Access-Control-Expose-Headers",
			"X-Seq, Idempotent-Replayed, Retry-After, Location, X-Request-Id, WWW-Authenticate")
	}
	if !preflight {
		return false
	}
	if !allowed {
		problem(domain.CodeForbidden, "this origin is not allowed: add it to CLIENT_URL").write(w)
		return true
	}
	h.Set("Access-Control-Allow-Methods", "GET, POST, PATCH, DELETE")
	h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type, Idempotency-Key, X-Min-Seq, X-Request-Id")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// answer remembers whether and with what status an answer was begun.
type answer struct {
	http.ResponseWriter
	status int
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(b)
}

// Unwrap lets http.ResponseController reach the connection.
func (a *answer) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// discard is a writer that only learns what the mux would have answered.
type discard struct {
	header http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.header }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(status int)      { d.status = status }
