package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/orderlog/orderlog/internal/localpg"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// A node that is started before its database listens at once, says what it waits for, and goes on by itself.
func TestAServerWaitsForItsDatabase(t *testing.T) {
	t.Parallel()
	place := localpg.Config{Dir: filepath.Join(dataFolder(t), "postgres"), NoSync: true, Settings: map[string]string{"fsync": "off"}}
	pg, err := localpg.Start(t.Context(), place) // its address is known and its schema is not there yet
	if err != nil {
		t.Fatal(err)
	}
	stopDatabase(t, pg)
	w := startWaiting(t, serverSettings(t, pg.URL("")))

	w.looks(t, "waiting for the database")
	w.says(t, "/health", http.StatusOK, "application/json", `{"status":"ok"}`)
	w.says(t, "/ready", http.StatusServiceUnavailable, "application/json",
		`{"status":"not_ready","components":[{"name":"database","ready":false,"detail":"it is awaited: it does not answer yet"}]}`)
	for _, path := range []string{
		"/api/v1/orders", "/api/v1/events?lastSeq=0", "/ws", "/socket.io/?EIO=4&transport=polling", "/socket.io/?EIO=4&transport=websocket", "/metrics", "/pizza",
	} {
		header := w.says(t, path, http.StatusServiceUnavailable, "application/problem+json", `{"type":"about:blank","status":503,"code":"unavailable"}`)
		if header.Get("Retry-After") == "" {
			t.Errorf("%s does not say when to come back", path)
		}
	}

	pg, err = localpg.Start(t.Context(), place)
	if err != nil {
		t.Fatal(err)
	}
	defer stopDatabase(t, pg)
	defer w.stop()
	if url := w.await(t, w.done); url != w.url {
		t.Errorf("it is ready on %s, and was asked at %s", url, w.url)
	}
	s := &server{url: w.url, documents: describe(t, w.url)}
	s.openShop(t)
	s.must(t, http.StatusOK, "GET", "/ready", "", nil)
	if n := strings.Count(w.said(), "waiting for the database"); n != 1 {
		t.Errorf("it said %d times that it waits:\n%s", n, w.said())
	}
}

func TestAServerThatWaitsIsToldToStop(t *testing.T) {
	t.Parallel()
	w := startWaiting(t, serverSettings(t, "postgres://app:hunter2@127.0.0.1:1/orders"))
	w.looks(t, "waiting for the database")
	w.stop() // and it ends without an error
	if strings.Contains(w.said(), "hunter2") {
		t.Errorf("it said the password:\n%s", w.said())
	}
}

// What a server says when it takes no connections now may be over soon. What somebody has to do something about is said
// at once, also after a while of waiting.
func TestWhatIsWaitedFor(t *testing.T) {
	t.Parallel()
	for code, waits := range map[string]bool{
		"57P03": true, "57P01": true, "53300": true, "08006": true,
		"28P01": false, "28000": false, "3D000": false, "42501": false,
	} {
		t.Run(code, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Int64
			address := refusing(t, func() string {
				if asked.Add(1) > 2 {
					return "28P01"
				}
				return code
			})
			env := serverSettings(t, "postgres://app:hunter2@"+address+"/orders?sslmode=disable")
			err := run(t.Context(), []string{"serve"}, env.getenv, io.Discard, io.Discard)
			if exitCode(err) != 1 || !strings.Contains(err.Error(), "DATABASE_URL") || strings.Contains(err.Error(), "\n") {
				t.Errorf("ended with %v", err)
			}
			if n := asked.Load(); n > 1 != waits {
				t.Errorf("the server was asked %d times", n)
			}
			err = run(t.Context(), []string{"migrate", "status"}, env.getenv, io.Discard, io.Discard)
			if exitCode(err) != 1 || !strings.Contains(err.Error(), "DATABASE_URL") {
				t.Errorf("a command that is no server ended with %v", err)
			}
		})
	}
}

func TestASchemaThatTheProgramCannotUseIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct{ sql, says string }{
		"newer":  {`UPDATE schema_migrations SET version = 9999`, "the newer program"},
		"broken": {`UPDATE schema_migrations SET dirty = true`, "repair"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			url := pgtest.Database(t)
			if _, err := pgtest.Pool(t, url).Exec(t.Context(), tc.sql); err != nil {
				t.Fatal(err)
			}
			err := run(t.Context(), []string{"serve"}, serverSettings(t, url).getenv, io.Discard, io.Discard)
			if exitCode(err) != 1 || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("ended with %v, want %q", err, tc.says)
			}
		})
	}
}

// A private PostgreSQL that has ended is started by nobody, and be it that the node still prepares it.
func TestAPrivateDatabaseThatEndsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	pg, err := localpg.Start(t.Context(), localpg.Config{Dir: filepath.Join(dataFolder(t), "postgres"), NoSync: true, Settings: map[string]string{"fsync": "off"}})
	if err != nil {
		t.Fatal(err)
	}
	defer stopDatabase(t, pg)
	if err := syscall.Kill(pg.PID(), syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	ended := make(chan error, 1)
	go func() {
		d := &database{url: pg.URL(""), local: pg}
		ended <- d.prepare(ctx, newFront(nil, slog.New(slog.DiscardHandler)), slog.New(slog.DiscardHandler))
	}()
	if err := parttest.Await(t, "it to be given up", ended); err == nil || !strings.Contains(err.Error(), "ended by itself") {
		t.Errorf("it ended with %v", err)
	}
}

// refusing is an address where each connection is refused as a PostgreSQL refuses it, with a code.
func refusing(t *testing.T, code func() string) (address string) {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			backend := pgproto3.NewBackend(conn, conn)
			if _, err := backend.ReceiveStartupMessage(); err == nil {
				backend.Send(&pgproto3.ErrorResponse{Severity: "FATAL", Code: code(), Message: "not now, or never"})
				_ = backend.Flush()
			}
			_ = conn.Close()
		}
	}()
	t.Cleanup(func() {
		_ = listener.Close()
		<-done
	})
	return listener.Addr().String()
}

// waiting is a program that is started and not ready.
type waiting struct {
	*watch
	url  string
	done chan error
	stop func()
}

// startWaiting runs the server in this process until the test ends, and returns when it answers.
func startWaiting(t *testing.T, s settings) *waiting {
	t.Helper()
	s["PORT"] = freePort(t)
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	w := &waiting{watch: newWatch(t), url: "http://127.0.0.1:" + s["PORT"], done: make(chan error, 1)}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		if err := run(ctx, []string{"serve"}, s.getenv, io.Discard, w.watch); err != nil {
			w.done <- err
			t.Errorf("the server ended with %v", err)
		}
	}()
	w.stop = func() {
		cancel()
		<-ended
	}
	t.Cleanup(w.stop)
	parttest.Eventually(t, "the server to listen", func() bool {
		_, _, _, err := ask(t.Context(), w.url+"/health")
		return err == nil
	})
	return w
}

// looks waits until it has said something.
func (w *waiting) looks(t *testing.T, what string) {
	t.Helper()
	parttest.Eventually(t, fmt.Sprintf("the server to say %q", what), func() bool { return strings.Contains(w.said(), what) })
}

// says asks for a path, and holds the answer to what is wanted.
func (w *waiting) says(t *testing.T, path string, status int, kind, body string) http.Header {
	t.Helper()
	got, header, text, err := ask(t.Context(), w.url+path)
	if err != nil || got != status || header.Get("Content-Type") != kind || !includes(t, text, body) {
		t.Errorf("%s is answered %d %s %s, %v; want %d %s %s", path, got, header.Get("Content-Type"), text, err, status, kind, body)
	}
	return header
}

func ask(ctx context.Context, url string) (status int, header http.Header, text string, err error) {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, "", err
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		return 0, nil, "", err
	}
	b, err := io.ReadAll(response.Body)
	return response.StatusCode, response.Header, string(b), errors.Join(err, response.Body.Close())
}

// freePort is one that nobody listens on now.
func freePort(t *testing.T) string {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}
