package rest

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/gate"
)

// ServeHTTP is what every request goes through before and after its operation: an id, headers, CORS, the limits of its
// address and its user, a time limit, who calls, and a body that is small enough. Whatever fails on the way is answered
// with a problem. For a stream of events the time limit ends where the stream may begin.
func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	started := time.Now()
	c := newCall(r, s.cfg.TrustedProxies)
	unlimited := commands.WithAside(context.WithValue(r.Context(), callKey{}, c), c.place.Aside)
	ctx, cancel := context.WithTimeout(unlimited, s.cfg.RequestTimeout)
	defer cancel()
	// A client that does not read its answer must not hold the server either. Not every writer has a deadline.
	_ = http.NewResponseController(w).SetWriteDeadline(started.Add(s.cfg.RequestTimeout + answerTimeout))
	defer s.forget(c)
	out := &answer{ResponseWriter: w, place: &c.place}
	r = r.WithContext(ctx)
	fallback, pattern := s.mux.Handler(r)
	defer func() {
		status, took := cmp.Or(c.refused, out.status), time.Since(started)
		s.cfg.Logger.DebugContext(ctx, "request", "method", r.Method, "path", r.URL.Path, "status", status,
			"duration", took, "request", c.id)
		if pattern == eventsPattern && out.status != 0 { // how long a client listens is no measure of how fast it is answered
			took = out.begun.Sub(started)
		}
		s.observe(r.Method, pattern, status, took)
	}()
	defer s.recover(out, r, c)

	setHeaders(out.Header(), r, c)
	if s.cors(out, r) {
		return
	}
	if err := s.prepare(out, r, c); err != nil {
		s.refuse(out, r, err)
		return
	}
	if pattern == "" {
		s.refuse(out, r, nowhere(fallback, r))
		return
	}
	if pattern == eventsPattern {
		r = r.WithContext(unlimited)
	}
	if err := s.enter(r, c, pattern); err != nil {
		s.refuse(out, r, err)
		return
	}
	s.mux.ServeHTTP(out, r)
}

// answerTimeout is how long a client may take to read its answer.
const answerTimeout = 30 * time.Second

// prepare settles who calls and takes the body in. The address is counted before a token is verified, so that a flood
// of forged tokens costs little.
func (s *server) prepare(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := s.checkAddress(w, r, c); err != nil {
		return err
	}
	if !strings.HasPrefix(r.URL.Path, prefix+"/") {
		return nil
	}
	if s.gate.Full() && !isStream(r) {
		return overloaded()
	}
	identity, err := s.authenticate(r.Context(), r.Header)
	if err != nil {
		return err
	}
	c.identity = identity
	if identity != nil {
		if err := s.checkUser(w, r, *identity); err != nil {
			return err
		}
	}
	if r.Method == http.MethodGet || r.Method == http.MethodHead {
		return nil
	}
	return s.readBody(w, r, c)
}

// nowhere answers unknown paths and methods with problems of their own; the mux would send plain text.
func nowhere(fallback http.Handler, r *http.Request) *Problem {
	probe := &discard{header: http.Header{}}
	fallback.ServeHTTP(probe, r)
	if probe.status == http.StatusMethodNotAllowed {
		allowed := probe.header.Get("Allow")
		return problem(delivery.CodeMethodNotAllowed, r.Method+" is not possible here: use one of "+allowed).
			set("Allow", allowed).with("allowed", strings.Split(allowed, ", "))
	}
	return problem(domain.CodeNotFound, "there is nothing at this path: see /docs")
}

// observe tells of an answered request. Names that a client makes up are not passed on.
func (s *server) observe(method, pattern string, status int, took time.Duration) {
	if s.cfg.Observe == nil {
		return
	}
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPatch, http.MethodDelete, http.MethodPut, http.MethodOptions:
	default:
		method = "other"
	}
	route := pattern[strings.IndexByte(pattern, ' ')+1:]
	if route == "" {
		route = "none"
	}
	if status == 0 {
		status = statusClientLeft
	}
	s.cfg.Observe(Observation{Method: method, Route: route, Status: status, Duration: took})
}

// statusClientLeft stands in observations for an answer that there was nobody to give to.
const statusClientLeft = 499

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
	p := s.explain(r.Context(), err)
	if comesBack(r, p) {
		callOf(r.Context()).refused = p.Status
		p.writeStream(w)
		return
	}
	p.write(w)
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
	if c.secure { // over an open way it would mean nothing; how far it reaches beyond this host is the operator's to say
		h.Set("Strict-Transport-Security", "max-age=31536000")
	}
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
		if !everyone && r.URL.Path == eventsPath {
			// There are no cookies, so this gives nothing away. Without it an EventSource that was made withCredentials,
			// as some are for every server, would hear nothing.
			h.Set("Access-Control-Allow-Credentials", "true")
		}
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
	h.Set("Access-Control-Allow-Headers",
		"Authorization, Content-Type, Idempotency-Key, X-Min-Seq, X-Request-Id, Last-Event-ID, Cache-Control")
	h.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
	return true
}

// answer remembers when and with what status an answer was begun.
type answer struct {
	http.ResponseWriter
	place  *gate.Place // is given back when the answer is there: a client may take its time to read it
	status int         // 0: it was not
	begun  time.Time
}

func (a *answer) begin(status int) {
	if a.status == 0 {
		a.status, a.begun = status, time.Now()
	}
}

func (a *answer) WriteHeader(status int) {
	a.begin(status)
	a.ResponseWriter.WriteHeader(status)
}

func (a *answer) Write(b []byte) (int, error) {
	a.begin(http.StatusOK)
	a.place.Leave()
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
