package engine_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestPayloadsThatBreakTheProtocolEndTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	for name, test := range map[string]struct {
		body   string
		status int
		reason engine.Reason
	}{
		"empty":                       {"", 400, engine.ReasonProtocol},
		"an unknown packet":           {"abc", 400, engine.ReasonProtocol},
		"an empty packet":             {"4a\x1e", 400, engine.ReasonProtocol},
		"separators alone":            {strings.Repeat("\x1e", 60_000), 400, engine.ReasonProtocol},
		"not base64":                  {"b!!!", 400, engine.ReasonProtocol},
		"cut base64":                  {"bAAA", 400, engine.ReasonProtocol},
		"not UTF-8":                   {"4\xc3\x28", 400, engine.ReasonProtocol},
		"a client's ping":             {"2", 400, engine.ReasonProtocol},
		"a client's open":             {"0{}", 400, engine.ReasonProtocol},
		"an upgrade":                  {"5", 400, engine.ReasonProtocol},
		"more than may be, announced": {"4" + strings.Repeat("x", 65_536), 413, engine.ReasonTooLarge},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			sid, p := w.open()
			if status, body := w.post(sid, test.body); status != test.status {
				t.Errorf("answered %d %s, want %d", status, body, test.status)
			}
			w.ended(p, test.reason)
			if status, _ := w.poll(sid); status != 400 {
				t.Errorf("a poll was answered %d", status)
			}
		})
	}
	sid, p := w.open()
	if status, body := w.post(sid, "4"+strings.Repeat("x", 65_535)); status != 200 {
		t.Errorf("as much as may be was answered %d %s", status, body)
	}
	if status, body := w.post(sid, strings.Repeat("4\x1e", 30_000)+"6"); status != 200 {
		t.Errorf("many tiny packets were answered %d %s", status, body)
	}
	if got := len(p.got()); got != 30_001 {
		t.Errorf("%d messages were received", got)
	}
}

// raw opens a connection on which bytes are sent as they are.
func (w *world) raw() net.Conn {
	w.t.Helper()
	conn, err := new(net.Dialer).DialContext(w.t.Context(), "tcp", strings.TrimPrefix(w.url, "http://"))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return conn
}

func (w *world) answerOn(conn net.Conn) int {
	w.t.Helper()
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		w.t.Fatal(err)
	}
	_ = answer.Body.Close()
	return answer.StatusCode
}

func TestABodyThatDoesNotEndEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	conn := w.raw()
	_, _ = fmt.Fprintf(conn, "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", sid)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		chunk := fmt.Sprintf("%x\r\n4%s\r\n", 1000, strings.Repeat("x", 999))
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	if status := w.answerOn(conn); status != http.StatusRequestEntityTooLarge {
		t.Errorf("answered %d", status)
	}
	w.ended(p, engine.ReasonTooLarge)
	_ = conn.Close()
	<-sent
}

func TestABodyThatComesTooSlowlyEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.ReadTimeout = 50 * time.Millisecond }, nil)
	sid, p := w.open()
	conn := w.raw()
	_, _ = fmt.Fprintf(conn, "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4x", sid)
	if status := w.answerOn(conn); status != http.StatusRequestTimeout {
		t.Errorf("answered %d", status)
	}
	w.ended(p, engine.ReasonSlow)
	if got := p.got(); len(got) != 0 {
		t.Errorf("received %q of half a payload", got)
	}
}

func TestABodyThatBreaksOffEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	conn := w.raw()
	_, _ = fmt.Fprintf(conn, "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n4x", sid)
	_ = conn.Close()
	w.ended(p, engine.ReasonLost)
}

func TestAPollOutlivesTheServersTimeToRead(t *testing.T) {
	t.Parallel()
	w := newHandler(t, nil, nil)
	web := &http.Server{Handler: w.server, ReadTimeout: 100 * time.Millisecond}
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- web.Serve(listener) }()
	t.Cleanup(func() {
		w.stop()
		_ = web.Close()
		if err := <-served; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
	})
	w.url = "http://" + listener.Addr().String()
	sid, p := w.open()
	waiting := w.waitingPoll(t.Context(), p)
	later := time.NewTimer(300 * time.Millisecond)
	select {
	case got := <-waiting:
		t.Fatalf("the poll was answered %v", got)
	case <-later.C:
	}
	p.send("news")
	if got := parttest.Await(t, "the poll", waiting); got != (answer{200, "4news"}) {
		t.Errorf("the poll of %s was answered %v", sid, got)
	}
}

func TestThousandsOfUnknownSessionsCostNothing(t *testing.T) {
	t.Parallel()
	w := newHandler(t, nil, nil)
	for i := range 5000 {
		if got := w.call("GET", fmt.Sprintf("AAAAAAAAAAAAAAAAAA%04d", i), ""); got.status != 400 {
			t.Fatalf("answered %v", got)
		}
	}
	if stats := w.server.Stats(); stats.Refused[1] != 5000 || stats.Opened != 0 {
		t.Errorf("the numbers are %+v", stats)
	}
}
