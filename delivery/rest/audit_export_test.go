package rest

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// exporting is an export that is under way.
type exporting struct {
	status int
	header http.Header
	body   io.Reader
	client net.Conn
	end    func() // ends the server, which must have nothing left to do
}

// exported asks for an export over a connection without any buffer, inside synctest.
func exported(t *testing.T, h http.Handler, query string) exporting {
	t.Helper()
	server := &http.Server{Handler: h}
	client, far := net.Pipe()
	line := &oneConnection{conn: make(chan net.Conn, 1), closed: make(chan struct{})}
	line.conn <- far
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(line) }()
	if _, err := fmt.Fprintf(client, "GET %s/audit/events%s HTTP/1.1\r\nHost: shop\r\nAuthorization: Bearer admin\r\n%s\r\n\r\n", prefix, query, asLines); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(client), nil) //nolint:bodyclose // end closes it
	if err != nil {
		t.Fatal(err)
	}
	return exporting{answer.StatusCode, answer.Header, answer.Body, client, func() {
		_ = client.Close()
		_ = answer.Body.Close()
		if err := server.Shutdown(context.WithoutCancel(t.Context())); err != nil {
			t.Error(err)
		}
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	}}
}

// pause is a meet that takes some time before each event, or until there is no need.
func pause(d time.Duration) func(context.Context, int64) error {
	return func(ctx context.Context, _ int64) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func TestAnExportMayTakeLongerThanARequest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.meet = pause(20 * time.Second)
		got := exported(t, w.handler(t), "?type=order.placed")
		defer got.end()
		started := time.Now()
		if got.status != 200 || got.header.Get("X-Seq") != "42" {
			t.Fatalf("got %d %v", got.status, got.header)
		}
		// What is found is sent within a second, though the next is far away.
		lines := bufio.NewReader(got.body)
		for seq := int64(3); seq <= 42; seq += 3 {
			line, err := lines.ReadString('\n')
			if err != nil || line != linesOf(seq) {
				t.Fatalf("at %d: %q, %v", seq, line, err)
			}
			if late := time.Since(started) - time.Duration(seq)*20*time.Second; late > time.Second {
				t.Errorf("%d comes %s late", seq, late)
			}
		}
		if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
			t.Errorf("got %q, %v", rest, err)
		}
	})
}

// The beginning of the answer does not wait for what is found.
func TestAnExportBeginsAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.meet = pause(time.Minute)
		started := time.Now()
		got := exported(t, w.handler(t), "?limit=1")
		defer got.end()
		if took := time.Since(started); took > time.Second || got.status != 200 {
			t.Errorf("%d after %s", got.status, took)
		}
		if text, err := io.ReadAll(got.body); err != nil || string(text) != linesOf(1) {
			t.Errorf("got %q, %v", text, err)
		}
	})
}

// brokenOff holds that an answer was cut short in a way that its client sees.
func brokenOff(t *testing.T, e exporting) string {
	t.Helper()
	text, err := io.ReadAll(e.body)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("it looks whole: %v after %d bytes", err, len(text))
	}
	return string(text)
}

func TestAnExportThatFailsIsBrokenOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.meet = func(ctx context.Context, seq int64) error {
			if seq == 30 {
				return errSecret
			}
			return pause(100*time.Millisecond)(ctx, seq)
		}
		got := exported(t, w.handler(t), "?type=order.placed")
		defer got.end()
		if text := brokenOff(t, got); text == "" || !strings.HasPrefix(linesOf(3, 6, 9, 12, 15, 18, 21, 24, 27), text) {
			t.Errorf("got %q", text)
		}
		if !strings.Contains(w.log.String(), "a request failed") {
			t.Errorf("the operator does not learn of it: %s", w.log.String())
		}
	})
}

func TestAnExportThatFailsBeforeItBeginsIsRefused(t *testing.T) {
	t.Parallel()
	for _, query := range []string{"", "?type=order.placed"} {
		w := newWorld()
		w.meet = func(context.Context, int64) error { return errSecret }
		got := audited(t, w.handler(t), "/events"+query, asLines)
		refused(t, got, 500, "internal")
		if got.header.Get("X-Seq") != "" || strings.Count(w.log.String(), "a request failed") != 1 {
			t.Errorf("got %v, logged %s", got.header, w.log.String())
		}
	}
}

func TestSoManyExportsAreMadeAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		free := make(chan struct{})
		w.meet = func(context.Context, int64) error { <-free; return nil }
		h := w.handler(t)
		answers := make(chan reply, maxExports)
		for range maxExports {
			go func() { answers <- audited(t, h, "/events", asLines) }()
		}
		synctest.Wait()
		got := audited(t, h, "/events", asLines)
		refused(t, got, 503, "overloaded")
		if got.header.Get("Retry-After") == "" || got.header.Get("X-Seq") != "" || got.body["limit"] != 4.0 {
			t.Errorf("got %v %s", got.header, got.text)
		}
		for _, other := range []reply{audited(t, h, "/events"), ask(t, h, "HEAD", prefix+"/audit/events", "admin", asLines)} {
			if other.status != 200 {
				t.Errorf("what is no export is refused: %d %s", other.status, other.text)
			}
		}
		close(free)
		for range maxExports {
			if got := <-answers; got.status != 200 || got.text != linesOf(upTo(1, 42)...) {
				t.Errorf("got %d: %s", got.status, got.text)
			}
		}
		if got := audited(t, h, "/events", asLines); got.status != 200 {
			t.Errorf("a place is not free again: %d", got.status)
		}
	})
}

func TestANodeThatStopsEndsItsExports(t *testing.T) {
	t.Parallel()
	for name, reads := range map[string]bool{"of a client that reads": true, "of a client that does not": false} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				draining := make(chan struct{})
				w.reached = 100_000
				if reads {
					w.meet = pause(20 * time.Second)
				}
				over := make(chan Observation, 2)
				h := w.handler(t, func(c *Config) { c.Draining, c.Observe = draining, func(o Observation) { over <- o } })
				got := exported(t, h, "?type=order.placed")
				pass(t, 5*time.Second)
				synctest.Wait()
				started := time.Now()
				close(draining)
				if reads {
					brokenOff(t, got)
				}
				<-over
				if took := time.Since(started); took > time.Second {
					t.Errorf("it took %s", took)
				}
				refused(t, audited(t, h, "/events", asLines), 503, "unavailable")
				got.end()
				if !strings.Contains(w.log.String(), "the node stops") || strings.Contains(w.log.String(), "a request failed") {
					t.Errorf("log: %s", w.log.String())
				}
			})
		})
	}
}

func TestAnExportThatHasNotBegunWhenTheNodeStopsIsRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		draining := make(chan struct{})
		w.meet = pause(time.Minute)
		got := make(chan reply)
		h := w.handler(t, func(c *Config) { c.Draining = draining })
		go func() { got <- audited(t, h, "/events", asLines) }()
		synctest.Wait() // before its first second is over
		close(draining)
		r := <-got
		refused(t, r, 503, "unavailable")
		if strings.Contains(w.log.String(), "a request failed") {
			t.Errorf("log: %s", w.log.String())
		}
	})
}

func TestAnExportThatNobodyReadsIsBrokenOff(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.reached = 100_000
		over := make(chan Observation, 1)
		h := w.handler(t, func(c *Config) { c.Observe = func(o Observation) { over <- o } })
		started := time.Now()
		got := exported(t, h, "")
		<-over
		if took := time.Since(started); took != 30*time.Second {
			t.Errorf("the server waited %s", took)
		}
		got.end()
		if strings.Contains(w.log.String(), "a request failed") {
			t.Errorf("log: %s", w.log.String())
		}
	})
}

func TestAnExportEndsWhenItsClientLeaves(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		left := make(chan struct{})
		w.meet = func(ctx context.Context, _ int64) error {
			<-ctx.Done()
			close(left)
			return ctx.Err()
		}
		got := exported(t, w.handler(t), "")
		if err := got.client.Close(); err != nil {
			t.Fatal(err)
		}
		<-left
		got.end()
		if strings.Contains(w.log.String(), "a request failed") {
			t.Errorf("log: %s", w.log.String())
		}
	})
}

// By HTTP/1.0 the end of the connection is the end of the answer, whatever ended it.
func TestAnExportIsRefusedWhereItsEndCannotBeTold(t *testing.T) {
	t.Parallel()
	w := newWorld()
	server := httptest.NewServer(w.handler(t))
	defer server.Close()
	for _, c := range []struct {
		method, proto, accept string
		status                int
	}{
		{"GET", "HTTP/1.0", ndjsonType, 400},
		{"GET", "HTTP/1.0", "application/ndjson", 400},
		{"HEAD", "HTTP/1.0", ndjsonType, 400},
		{"GET", "HTTP/1.0", jsonType, 200},
		{"GET", "HTTP/1.1", ndjsonType, 200},
	} {
		status, text := overTheWire(t, server.Listener.Addr().String(),
			fmt.Sprintf("%s %s/audit/events %s\r\nHost: shop\r\nConnection: close\r\nAuthorization: Bearer admin\r\nAccept: %s\r\n\r\n", c.method, prefix, c.proto, c.accept))
		if status != c.status {
			t.Errorf("%+v: got %d: %s", c, status, text)
		}
		if c.method == "GET" && c.status == 400 {
			for _, must := range []string{`"invalid_request"`, "header.Accept", "pages", "use HTTP/1.1", "proxy_http_version 1.1"} {
				if !strings.Contains(text, must) {
					t.Errorf("%+v: %q is not in %s", c, must, text)
				}
			}
		}
	}
	if len(w.walks) != 1 {
		t.Errorf("walked over %v", w.walks)
	}
}

// overTheWire sends a request as it is, which http.Client would not.
func overTheWire(t *testing.T, address, request string) (status int, text string) {
	t.Helper()
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, request); err != nil {
		t.Fatal(err)
	}
	method, _, _ := strings.Cut(request, " ")
	answer, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

// Over a real connection, through a client that knows nothing of this server.
func TestAnExportOverTheNetwork(t *testing.T) {
	t.Parallel()
	w := newWorld()
	w.reached = 10_000
	server := httptest.NewServer(w.handler(t))
	defer server.Close()
	for _, method := range []string{http.MethodGet, http.MethodHead} {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+prefix+"/audit/events", http.NoBody)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Authorization", "Bearer admin")
		req.Header.Set("Accept", ndjsonType)
		answer, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		want := linesOf(upTo(1, 10_000)...)
		if method == http.MethodHead {
			want = ""
		}
		if err != nil || answer.StatusCode != 200 || answer.Header.Get("X-Seq") != "10000" || string(text) != want {
			t.Errorf("%s: got %s, %d bytes, %v", method, answer.Status, len(text), err)
		}
	}
}
