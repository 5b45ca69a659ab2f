package engine_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMessagesGoBothWaysInOrder(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{enginetest.Polling, enginetest.WebSocket, enginetest.Upgrade} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, func(p *peer) { p.receive = p.echo })
			c, p := w.dial(enginetest.Options{Transport: transport})
			sent := []enginetest.Message{
				{Data: []byte("a")},
				{Binary: true, Data: []byte{0, 1, 0xff, 0x1e}},
				{Data: []byte("")},
				{Binary: true, Data: []byte{}},
				{Data: []byte("€")},
				{Data: bytes.Repeat([]byte("x"), 65_000)},
				{Binary: true, Data: bytes.Repeat([]byte{7}, 40_000)},
			}
			for _, m := range sent {
				send := func() error { return c.Send(t.Context(), string(m.Data)) }
				if m.Binary {
					send = func() error { return c.SendBinary(t.Context(), m.Data) }
				}
				if err := send(); err != nil {
					t.Fatal(err)
				}
			}
			for _, want := range sent {
				got, err := c.Next(t.Context())
				if err != nil || got.Binary != want.Binary || !bytes.Equal(got.Data, want.Data) {
					t.Fatalf("got %v %.20q %v, want %v %.20q", got.Binary, got.Data, err, want.Binary, want.Data)
				}
			}
			if err := c.Close(); err != nil {
				t.Error(err)
			}
			w.ended(p, engine.ReasonClient)
			count := int64(len(sent))
			parttest.Eventually(t, "what was sent to be counted", func() bool { return w.server.Stats().Sent == count })
			stats := w.server.Stats()
			if stats.Received != count || stats.Closed[engine.ReasonClient] != 1 {
				t.Errorf("the numbers are %+v", stats)
			}
			if stats.Open[engine.Polling] != 0 || stats.Open[engine.WebSocket] != 0 || stats.Opened != 1 {
				t.Errorf("the numbers are %+v", stats)
			}
		})
	}
}

func TestMuchGoesOutInSeveralPayloads(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	for range 100 {
		p.send(strings.Repeat("x", 1000))
	}
	total := 0
	for total < 100 {
		status, body := w.poll(sid)
		if status != http.StatusOK || len(body) > 40<<10 {
			t.Fatalf("a poll was answered %d with %d bytes", status, len(body))
		}
		total += len(strings.Split(body, "\x1e"))
	}
	if total != 100 {
		t.Errorf("%d messages came, want 100", total)
	}
}

func TestASecondPollEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	first := w.waitingPoll(t.Context(), p)
	if status, body := w.poll(sid); status != 400 || codeOf(t, body) != 3 {
		t.Errorf("the second poll was answered %d %s", status, body)
	}
	if got := parttest.Await(t, "the first poll", first); got != (answer{200, "1"}) {
		t.Errorf("the first poll was answered %v, want that the session is closed", got)
	}
	w.ended(p, engine.ReasonProtocol)
	if status, body := w.poll(sid); status != 400 || codeOf(t, body) != 1 {
		t.Errorf("a poll of the ended session was answered %d %s", status, body)
	}
}

// slowWriter is a client whose answer is held on the way.
type slowWriter struct {
	*httptest.ResponseRecorder
	writing chan struct{}
	goOn    chan struct{}
}

func (w *slowWriter) Write(p []byte) (int, error) {
	close(w.writing)
	<-w.goOn
	return w.ResponseRecorder.Write(p)
}

func TestAPollMayFollowWhileTheOneBeforeIsBeingAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p := w.begin()
		p.send("first")
		slow := &slowWriter{httptest.NewRecorder(), make(chan struct{}), make(chan struct{})}
		first, second := make(chan struct{}), make(chan answer, 1)
		go func() {
			defer close(first)
			w.server.ServeHTTP(slow, httptest.NewRequest("GET", "/?EIO=4&transport=polling&sid="+p.session.ID(), nil))
		}()
		<-slow.writing
		go func() { second <- w.call("GET", p.session.ID(), "") }()
		synctest.Wait()
		p.send("second")
		synctest.Wait()
		select {
		case got := <-second:
			t.Errorf("the second poll was answered %v before the first", got)
		default:
		}
		close(slow.goOn)
		<-first
		if got := <-second; got != (answer{200, "4second"}) || slow.Body.String() != "4first" {
			t.Errorf("the polls were answered %q and %v", slow.Body, got)
		}
		w.stop()
	})
}

// stuckPayload is a payload of two messages, of which the first is worked on until the session ends.
func stuckPayload(t *testing.T) (w *world, sid string, p *peer, payload <-chan answer) {
	t.Helper()
	inside := make(chan struct{})
	w = newWorld(t, nil, func(p *peer) {
		p.receive = func(ctx context.Context, _ engine.Message) error {
			close(inside)
			<-ctx.Done()
			return nil
		}
	})
	sid, p = w.open()
	answered := make(chan answer, 1)
	go func() {
		status, body := w.post(sid, "4a\x1e4b")
		answered <- answer{status, body}
	}()
	parttest.Await(t, "the payload", inside)
	return w, sid, p, answered
}

func TestASecondPayloadEndsTheSession(t *testing.T) {
	t.Parallel()
	w, sid, p, first := stuckPayload(t)
	if status, body := w.post(sid, "4c"); status != 400 || codeOf(t, body) != 3 {
		t.Errorf("the second payload was answered %d %s", status, body)
	}
	if got := parttest.Await(t, "the first payload", first); got.status != 400 {
		t.Errorf("the first payload was answered %v", got)
	}
	w.ended(p, engine.ReasonProtocol)
	if got := p.got(); !slices.Equal(got, []string{"a"}) {
		t.Errorf("received %q, want nothing after the end", got)
	}
}

// What is left of a payload when the session ends for another reason is no fault of the client's.
func TestAPayloadOfASessionThatHasEndedIsToldSo(t *testing.T) {
	t.Parallel()
	w, _, p, payload := stuckPayload(t)
	ctx, cancel := context.WithCancel(t.Context())
	poll := w.waitingPoll(ctx, p)
	cancel()
	parttest.Await(t, "the poll", poll)
	if got := parttest.Await(t, "the payload", payload); got.status != 400 || codeOf(t, got.body) != 1 {
		t.Errorf("the payload was answered %v", got)
	}
	w.ended(p, engine.ReasonLost)
}

func TestACancelledPollEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	_, p := w.open()
	ctx, cancel := context.WithCancel(t.Context())
	first := w.waitingPoll(ctx, p)
	cancel()
	w.ended(p, engine.ReasonLost)
	parttest.Await(t, "the poll", first)
}

// A client that will send nothing more has gone, as far as anybody can tell. It may still read, and what was gathered for it
// is lost: an answer that is empty would say that there was nothing.
func TestAPollWhoseClientHasGoneIsNotAnsweredWithNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	conn := w.raw()
	if _, err := fmt.Fprintf(conn, "GET /?EIO=4&transport=polling&sid=%s HTTP/1.1\r\nHost: x\r\n\r\n", sid); err != nil {
		t.Fatal(err)
	}
	if err := conn.(*net.TCPConn).CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(conn); err != nil || len(got) > 0 {
		t.Errorf("the poll was answered %q, %v", got, err)
	}
	w.ended(p, engine.ReasonLost)
}

// A browser sends a GET again by itself when its connection was lost before an answer came, and tells nobody. The answer
// may have been on its way: the session cannot go on as if it had arrived.
func TestAPollThatIsSentAgainEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	p.send("lost on the way")
	if status, body := w.poll(sid + "&t=one"); status != 200 || body != "4lost on the way" {
		t.Fatalf("the poll was answered %d %s", status, body)
	}
	p.send("the next")
	if status, body := w.poll(sid + "&t=one"); status != 400 || codeOf(t, body) != 1 {
		t.Errorf("the same poll again was answered %d %s", status, body)
	}
	w.ended(p, engine.ReasonLost)

	sid, p = w.open()
	for _, stamp := range []string{"&t=one", "&t=two", "", "", "&t=one"} {
		p.send("hello")
		if status, body := w.poll(sid + stamp); status != 200 || body != "4hello" {
			t.Errorf("poll %q was answered %d %s", stamp, status, body)
		}
	}
}

// Other clients than socket.io-client put a clock there, of seconds or of less, that says nothing about which poll it is.
func TestPollsOfOneMomentAreNotTakenForOneThatIsSentAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	for _, moment := range []string{"1700000000", "1700000000.125"} {
		for range 2 {
			p.send("hello")
			if status, body := w.poll(sid + "&t=" + moment); status != 200 || body != "4hello" {
				t.Fatalf("a poll at %s was answered %d %s", moment, status, body)
			}
		}
	}
}

// brokenWriter is a client that goes while its payload is written.
type brokenWriter struct {
	*httptest.ResponseRecorder
	left int
}

func (w *brokenWriter) Write(p []byte) (int, error) {
	if w.left -= len(p); w.left < 0 {
		return 0, errors.New("broken pipe")
	}
	return w.ResponseRecorder.Write(p)
}

func TestAPayloadThatDoesNotGetThroughEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, left := range map[string]int{"at once": 0, "half of it": 20_000} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newHandler(t, nil, nil)
			w.server.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil))
			p := w.peer()
			p.send(strings.Repeat("x", 40_000))
			answer := &brokenWriter{httptest.NewRecorder(), left}
			w.server.ServeHTTP(answer, httptest.NewRequest("GET", "/?EIO=4&transport=polling&sid="+p.session.ID(), nil))
			w.ended(p, engine.ReasonLost)
		})
	}
}

func TestAHandshakeWhoseAnswerDoesNotGetThroughLeavesNoSession(t *testing.T) {
	t.Parallel()
	w := newHandler(t, nil, nil)
	w.server.ServeHTTP(&brokenWriter{httptest.NewRecorder(), 0}, httptest.NewRequest("GET", "/?EIO=4&transport=polling", nil))
	w.ended(w.peer(), engine.ReasonLost)
}

func TestAPollThatDoesNotReadEndsTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.WriteTimeout = 50 * time.Millisecond }, nil)
	sid, p := w.open()
	p.send(strings.Repeat("x", 32<<20)) // more than the kernel takes
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, "GET", w.url+"/?EIO=4&transport=polling&sid="+sid, nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	got, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	w.ended(p, engine.ReasonSlow)
}

func TestAGoodbyeAnswersTheWaitingPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	first := w.waitingPoll(t.Context(), p)
	if status, body := w.post(sid, "1"); status != 200 || body != "ok" {
		t.Errorf("the goodbye was answered %d %s", status, body)
	}
	if got := parttest.Await(t, "the poll", first); got != (answer{200, "6"}) {
		t.Errorf("the poll was answered %v, want a noop", got)
	}
	w.ended(p, engine.ReasonClient)
	if status, _ := w.poll(sid); status != 400 {
		t.Errorf("a poll after the goodbye was answered %d", status)
	}
}

func TestAGoodbyeAnswersThePollThatCrossesIt(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, nil, nil)
		p := w.begin()
		sid := p.session.ID()
		if got := w.call("POST", sid, "1\x1e4not this"); got != (answer{200, "ok"}) {
			t.Errorf("the goodbye was answered %v", got)
		}
		if reason := <-p.closed; reason != engine.ReasonClient {
			t.Errorf("the session ended because of %q", reason)
		}
		if got := p.got(); len(got) != 0 {
			t.Errorf("received %q after the goodbye", got)
		}
		if got := w.call("GET", sid, ""); got != (answer{200, "6"}) {
			t.Errorf("the poll was answered %v, want a noop", got)
		}
		for what, got := range map[string]answer{"a poll": w.call("GET", sid, ""), "a payload": w.call("POST", sid, "4x")} {
			if got.status != 400 || codeOf(t, got.body) != 1 {
				t.Errorf("%s after the goodbye was answered %v", what, got)
			}
		}
		w.stop()
	})
}

func TestAnErrorOfThePeerEndsTheSession(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{enginetest.Polling, enginetest.WebSocket} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, func(p *peer) {
				p.receive = func(context.Context, engine.Message) error { return errors.New("nonsense") }
			})
			c, p := w.dial(enginetest.Options{Transport: transport})
			_ = c.Send(t.Context(), "x")
			w.ended(p, engine.ReasonProtocol)
			if _, err := c.Next(t.Context()); err == nil {
				t.Error("the client heard nothing of it")
			}
		})
	}
}
