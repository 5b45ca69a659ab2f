package engine_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
)

// patient gives clients an hour for each piece of what they send and read, and a moment when it is over.
func patient(c *engine.Config) {
	c.ReadTimeout, c.WriteTimeout, c.CloseTimeout = time.Hour, time.Hour, time.Second
}

// halfPost begins a payload, and returns when the server reads it.
func (w *world) halfPost(sid string) net.Conn {
	w.t.Helper()
	conn := w.raw()
	_, _ = fmt.Fprintf(conn, "POST /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1000\r\n\r\n", sid)
	goOn := make([]byte, len("HTTP/1.1 100 Continue\r\n\r\n"))
	if _, err := io.ReadFull(conn, goOn); err != nil || !strings.Contains(string(goOn), " 100 ") {
		w.t.Fatalf("read %q, %v", goOn, err)
	}
	_, _ = io.WriteString(conn, "4x")
	return conn
}

// stops fails the test unless the server and the HTTP server around it come to an end.
func (w *world) stops() {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if err := w.server.Shutdown(ctx); err != nil {
		w.t.Errorf("Shutdown: %v", err)
	}
	if err := w.web.Shutdown(ctx); err != nil {
		w.t.Errorf("Shutdown of the HTTP server: %v, want that no request is left", err)
	}
}

func TestAnUnfinishedPayloadDoesNotHoldUpShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient, nil)
	sid, p := w.open()
	_ = w.halfPost(sid)
	w.stops()
	w.ended(p, engine.ReasonShutdown)
	if got := p.got(); len(got) != 0 {
		t.Errorf("received %q of half a payload", got)
	}
}

func TestTheEndOfASessionInterruptsAnUnfinishedPayload(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient, nil)
	sid, p := w.open()
	conn := w.halfPost(sid)
	if status, _ := w.post(sid, "4a second one"); status != 400 {
		t.Errorf("a second payload at the same time was answered %d", status)
	}
	w.ended(p, engine.ReasonProtocol)
	if status := w.answerOn(conn); status != 408 {
		t.Errorf("the first one was answered %d", status)
	}
}

// What interrupts the reading of a payload may come when all of it is there already. Over that connection net/http would then
// take every later request for one whose client has gone, and behind a proxy these are anybody's.
func TestAConnectionWhoseReadingWasInterruptedIsNotUsedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	payload := io.MultiReader(strings.NewReader("4x"), atTheEnd(func() {
		if status, _ := w.post(sid, "4a second one"); status != 400 {
			t.Errorf("a second payload at the same time was answered %d", status)
		}
	}))
	got := httptest.NewRecorder()
	w.server.ServeHTTP(got, httptest.NewRequest(http.MethodPost, "/?EIO=4&transport=polling&sid="+sid, payload))
	w.ended(p, engine.ReasonProtocol)
	if got.Code != 400 || got.Header().Get("Connection") != "close" {
		t.Errorf("answered %d %v, want 400 and the end of the connection", got.Code, got.Header())
	}
}

// atTheEnd is called when everything was read before it.
type atTheEnd func()

func (f atTheEnd) Read([]byte) (int, error) {
	f()
	return 0, io.EOF
}

func TestAnUnfinishedPayloadThatIsRefusedIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient, nil)
	sid, _ := w.open()
	for query, want := range map[string]int{
		"transport=polling&sid=unknown":      400,
		"transport=carrierpigeon&sid=" + sid: 400,
		"transport=polling":                  400,
	} {
		conn, begun := w.raw(), time.Now()
		_, _ = fmt.Fprintf(conn, "POST /?EIO=4&%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\n4x", query)
		if status := w.answerOn(conn); status != want || time.Since(begun) > 20*time.Second {
			t.Errorf("%s: answered %d after %s", query, status, time.Since(begun))
		}
	}
	other, _ := w.open()
	for _, tooMuch := range []string{
		sid + " HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n4x",
		other + " HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n11000\r\n4" + strings.Repeat("x", 0x10fff),
	} {
		conn := w.raw()
		_, _ = io.WriteString(conn, "POST /?EIO=4&transport=polling&sid="+tooMuch)
		if status := w.answerOn(conn); status != 413 {
			t.Errorf("answered %d", status)
		}
	}
	w.stops()
}

func TestAnAnswerThatIsNotReadDoesNotHoldUpShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient, nil)
	sid, p := w.open()
	p.send(strings.Repeat("x", 32<<20)) // more than the kernel takes
	conn := w.raw()
	_, _ = fmt.Fprintf(conn, "GET /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n\r\n", sid)
	if line, err := bufio.NewReader(conn).ReadString('\n'); err != nil || !strings.Contains(line, " 200 ") {
		t.Fatalf("the poll was answered %q, %v", line, err)
	}
	w.stops()
	w.ended(p, engine.ReasonShutdown)
}

func TestTheEndOfASessionDoesNotCutAnAnswerThatIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.CloseTimeout = 30 * time.Second }, nil)
	sid, p := w.open()
	const size = 32 << 20
	p.send(strings.Repeat("x", size))
	conn := w.raw()
	_, _ = fmt.Fprintf(conn, "GET /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", sid)
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		t.Fatal(err)
	}
	if status, _ := w.post(sid, "nonsense"); status != 400 {
		t.Errorf("nonsense was answered %d", status)
	}
	w.ended(p, engine.ReasonProtocol)
	rest, err := io.Copy(io.Discard, conn)
	if err != nil || rest < size {
		t.Errorf("read %d bytes, %v", rest, err)
	}
}

func TestAnswersThatNobodyReadsDoNotHoldUpShutdown(t *testing.T) {
	t.Parallel()
	w := newWorld(t, patient, nil)
	conn := w.raw()
	refused := strings.Repeat("GET /?EIO=4&transport=polling&sid=unknown HTTP/1.1\r\nHost: x\r\n\r\n", 1000)
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second)) // it is stuck, because the server is
	for {
		if _, err := io.WriteString(conn, refused); err != nil {
			break
		}
	}
	w.stops()
}
