package main

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// An EventSource comes back after a stream that ended, and after any status but 200 never. So a node that is being started
// ends none of those that come to it, nor hides from their page what it answers.
func TestAnEventSourceComesBackToANodeThatIsBeingStarted(t *testing.T) {
	t.Parallel()
	env := serverSettings(t, "postgres://app:hunter2@127.0.0.1:1/orders")
	env["CLIENT_URL"] = "https://shop.example"
	w := startWaiting(t, env)
	for name, tc := range map[string]struct {
		method, path, accept, origin string
		status                       int
		kind, allowed                string
	}{
		"an EventSource":                {"GET", "/api/v1/events?lastSeq=0", "text/event-stream", "https://shop.example", 200, "text/event-stream", "https://shop.example"},
		"an EventSource of another one": {"GET", "/api/v1/events", "text/event-stream", "https://other.example", 200, "text/event-stream", ""},
		"somebody else":                 {"GET", "/api/v1/events", "*/*", "https://shop.example", 503, "application/problem+json", "https://shop.example"},
		"a script":                      {"GET", "/api/v1/orders", "text/event-stream", "https://shop.example", 503, "application/problem+json", "https://shop.example"},
		"a browser that asks for one":   {"OPTIONS", "/api/v1/orders", "", "https://shop.example", 204, "", "https://shop.example"},
	} {
		request, err := http.NewRequestWithContext(t.Context(), tc.method, w.url+tc.path, http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		request.Header.Set("Accept", tc.accept)
		request.Header.Set("Origin", tc.origin)
		if tc.method == http.MethodOptions {
			request.Header.Set("Access-Control-Request-Method", "GET")
		}
		response, err := transport.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(response.Body)
		if err = errors.Join(err, response.Body.Close()); err != nil {
			t.Fatal(err)
		}
		header := response.Header
		if response.StatusCode != tc.status || header.Get("Content-Type") != tc.kind || header.Get("Access-Control-Allow-Origin") != tc.allowed {
			t.Errorf("%s is answered %d %v", name, response.StatusCode, header)
		}
		if tc.status == 200 && (!strings.HasPrefix(string(text), "retry: ") || !strings.Contains(string(text), "\nevent: error\ndata: {\"code\":\"unavailable\"")) {
			t.Errorf("%s is told %q", name, text)
		}
	}
}

// awaiting is a request's context that tells when it is waited for.
type awaiting struct {
	context.Context
	told chan struct{}
}

func (a awaiting) Done() <-chan struct{} {
	a.told <- struct{}{}
	return a.Context.Done()
}

// Who comes to a node that has just begun to start is answered by it, unless it will not be there in a moment.
func TestARequestWaitsForANodeThatIsBeingStarted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		then   func(*front)
		status int
	}{
		"it opens":             {func(f *front) { f.opens(http.NotFoundHandler()) }, http.StatusNotFound},
		"its database is away": {func(f *front) { f.settle() }, http.StatusServiceUnavailable},
		"it is stopped":        {func(f *front) { _ = f.close(context.Background(), 0) }, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := served(t)
			ctx := awaiting{t.Context(), make(chan struct{}, 1)}
			answer, answered := httptest.NewRecorder(), make(chan struct{})
			go func() {
				defer close(answered)
				f.ServeHTTP(answer, httptest.NewRequestWithContext(ctx, http.MethodGet, "/api/v1/orders", http.NoBody))
			}()
			select {
			case <-ctx.told:
			case <-answered:
				t.Fatalf("it is answered %d at once", answer.Code)
			}
			tc.then(f)
			<-answered
			if answer.Code != tc.status {
				t.Errorf("it is answered %d", answer.Code)
			}
		})
	}
}

// Probes hear at once that it is not ready.
func TestProbesDoNotWaitForANodeThatIsBeingStarted(t *testing.T) {
	t.Parallel()
	f := served(t)
	for path, status := range map[string]int{"/health": http.StatusOK, "/ready": http.StatusServiceUnavailable} {
		answer := httptest.NewRecorder()
		f.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, http.NoBody))
		if answer.Code != status || f.starting.Err() != nil {
			t.Errorf("%s is answered %d, %v", path, answer.Code, f.starting.Err())
		}
	}
}

// A client that wants its connection closed is not cut off from the answer while it still sends. Otherwise the library sees
// to that, and who waits to be asked for the body is not asked for one that nobody wants.
func TestWhoStillSendsHearsWhyItIsRefused(t *testing.T) {
	t.Parallel()
	f := served(t)
	f.opens(http.NotFoundHandler())
	for name, tc := range map[string]struct {
		change func(*http.Request)
		sends  int
		left   int
	}{
		"a client that closes":       {func(*http.Request) {}, 200 << 10, 0},
		"one without end":            {func(*http.Request) {}, 1 << 20, 768 << 10},
		"one that goes on":           {func(r *http.Request) { r.Close = false }, 1000, 1000},
		"one that waits to be asked": {func(r *http.Request) { r.Header.Set("Expect", "100-continue") }, 1000, 1000},
		"what may become a socket":   {func(r *http.Request) { r.Method = http.MethodGet }, 1000, 1000},
	} {
		body := strings.NewReader(strings.Repeat("x", tc.sends))
		r := httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/nowhere", body)
		r.Close = true
		tc.change(r)
		answer := httptest.NewRecorder()
		f.ServeHTTP(answer, r)
		if answer.Code != http.StatusNotFound || body.Len() != tc.left {
			t.Errorf("%s is answered %d, and %d bytes are not read", name, answer.Code, body.Len())
		}
	}
}

// served is a front that takes connections until the test ends, with little patience.
func served(t *testing.T) *front {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := newFront(listener.(*net.TCPListener), slog.New(slog.DiscardHandler))
	f.patience = 100 * time.Millisecond
	ended := make(chan error, 1)
	go func() { ended <- f.serve() }()
	t.Cleanup(func() {
		_ = f.close(context.WithoutCancel(t.Context()), 0)
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return f
}

// unanswered sends half a request, and returns when the front has it.
func unanswered(t *testing.T, f *front) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", f.listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if _, err := io.WriteString(conn, "POST /api/v1/orders HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{"); err != nil {
		t.Fatal(err)
	}
	parttest.Eventually(t, "the connection to be let in", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		return len(f.open) == 1
	})
}

func TestWhatAStopHasCutIsSaid(t *testing.T) {
	t.Parallel()
	t.Run("requests", func(t *testing.T) {
		t.Parallel()
		f := served(t)
		unanswered(t, f)
		ctx, cancel := context.WithTimeout(t.Context(), f.patience)
		defer cancel()
		if err := f.close(ctx, 0); err == nil || !strings.HasPrefix(err.Error(), "1 connections were cut before") || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("it ended with %v", err)
		}
	})
	t.Run("those who listen", func(t *testing.T) {
		t.Parallel()
		databaseURL := pgtest.Database(t)
		cfg, err := config.Load(serverSettings(t, databaseURL).getenv)
		if err != nil {
			t.Fatal(err)
		}
		n, err := newNode(t.Context(), cfg, pgtest.Pool(t, databaseURL), slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		server := httptest.NewServer(n.handler)
		defer server.Close()
		conn, response, err := websocket.DefaultDialer.DialContext(t.Context(), "ws"+strings.TrimPrefix(server.URL, "http")+"/ws", nil)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _, _ = conn.Close(), response.Body.Close() }()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		// It does not answer that it has heard of it.
		if err := n.Shutdown(ctx); err == nil || !strings.HasPrefix(err.Error(), "WebSockets were cut") || strings.Contains(err.Error(), "\n") {
			t.Errorf("it ended with %v", err)
		}
	})
}

// A start that is broken off is no failure; that somebody's request was cut by it is one, and whatever else goes wrong on
// the way out.
func TestWhatGoesWrongWhenAStartIsBrokenOffIsSaid(t *testing.T) {
	t.Parallel()
	f := served(t)
	unanswered(t, f)
	env := serverSettings(t, "postgres://app:hunter2@127.0.0.1:1/orders")
	cfg, err := config.Load(env.getenv)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err = serveNode(ctx, environment{getenv: env.getenv, stdout: io.Discard, stderr: io.Discard}, cfg, f, slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "1 connections were cut") || errors.Is(err, context.Canceled) {
		t.Errorf("it ended with %v", err)
	}
}

// Whoever asks a second time does not want to wait for the drain.
func TestASecondSignalEndsTheProgramAtOnce(t *testing.T) {
	t.Parallel()
	for _, signal := range []os.Signal{syscall.SIGTERM, os.Interrupt} {
		env := serverSettings(t, pgtest.Database(t))
		env["DRAIN_DELAY"], env["LOG_LEVEL"] = "1m", "info"
		s := startProcess(t, env)
		process, err := os.FindProcess(s.pid)
		if err != nil {
			t.Fatal(err)
		}
		if err := process.Signal(signal); err != nil {
			t.Fatal(err)
		}
		parttest.Eventually(t, "the node to drain", func() bool { return strings.Contains(s.said(), "stopping: ") })
		parttest.Eventually(t, "the node to end", func() bool {
			_ = process.Signal(signal)
			return s.over()
		})
		if code := s.exit(); code != -1 {
			t.Errorf("it ended with %d and not by the signal", code)
		}
	}
}
