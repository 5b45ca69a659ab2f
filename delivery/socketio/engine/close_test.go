package engine_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

const expelled engine.Reason = "expelled"

func TestCloseWritesWhatIsLeft(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{enginetest.Polling, enginetest.WebSocket, enginetest.Upgrade} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			c, p := w.dial(enginetest.Options{Transport: transport})
			const messages = 100
			for range messages {
				p.send(strings.Repeat("x", 1000))
			}
			p.session.Close(expelled)
			p.session.Close("not this")
			for i := range messages {
				if _, err := c.Next(t.Context()); err != nil {
					t.Fatalf("message %d: %v", i, err)
				}
			}
			if _, err := c.Next(t.Context()); !errors.Is(err, io.EOF) {
				t.Errorf("after the last message: %v, want the end", err)
			}
			w.ended(p, expelled)
			p.session.Close("not this either")
		})
	}
}

func TestCloseOfAnIdleSessionTellsTheWaitingPoll(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	_, p := w.open()
	waiting := w.waitingPoll(t.Context(), p)
	p.session.Close(expelled)
	if got := parttest.Await(t, "the poll", waiting); got != (answer{200, "1"}) {
		t.Errorf("the poll was answered %v", got)
	}
	w.ended(p, expelled)
}

func TestCloseWaitsForAPollButNotForLong(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newHandler(t, func(c *engine.Config) { c.CloseTimeout = 3 * time.Second }, nil)
		fetched, left, forgotten := w.begin(), w.begin(), w.begin()
		begun := time.Now()
		for _, p := range []*peer{fetched, left, forgotten} {
			p.send("last words")
			p.session.Close(expelled)
			if got := w.call("POST", p.session.ID(), "4ignored"); got != (answer{200, "ok"}) {
				t.Errorf("a payload was answered %v", got)
			}
		}
		time.Sleep(2 * time.Second) //nolint:forbidigo // it is played
		for _, p := range []*peer{fetched, left} {
			if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "4last words"}) {
				t.Errorf("the poll was answered %v, want the end in a payload of its own", got)
			}
		}
		if got := w.call("GET", fetched.session.ID(), ""); got != (answer{200, "1"}) {
			t.Errorf("the next poll was answered %v, want the end", got)
		}
		w.ended(fetched, expelled)
		for _, p := range []*peer{left, forgotten} {
			if reason := <-p.closed; reason != expelled || time.Since(begun) != 3*time.Second {
				t.Errorf("it ended because of %q after %s", reason, time.Since(begun))
			}
		}
		if got := slices.Concat(fetched.got(), left.got(), forgotten.got()); len(got) != 0 {
			t.Errorf("received %q after Close", got)
		}
		w.stop()
	})
}

func TestWhatAPollHasWhenItsSessionEndsIsTheClientsWithoutTheEnd(t *testing.T) {
	t.Parallel()
	w := newHandler(t, nil, nil)
	p := w.begin()
	p.fill = func(context.Context) {
		p.send("last words")
		w.call("POST", p.session.ID(), "nonsense")
	}
	if got := w.call("GET", p.session.ID(), ""); got != (answer{200, "4last words"}) {
		t.Errorf("the poll was answered %v", got)
	}
	w.ended(p, engine.ReasonProtocol)
}

func TestASessionMayBeClosedWhileItIsAccepted(t *testing.T) {
	t.Parallel()
	var p *peer
	w := newWorld(t, nil, func(made *peer) {
		p = made
		p.send("no")
		p.session.Close(expelled)
	})
	c, _ := w.dial(enginetest.Options{})
	if m, err := c.Next(t.Context()); err != nil || string(m.Data) != "no" {
		t.Errorf("got %q, %v", m.Data, err)
	}
	w.ended(p, expelled)
}

func TestCloseOfASlowWebSocketIsBounded(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.CloseTimeout = 100 * time.Millisecond }, nil)
	_ = w.socket("")
	p := w.peer()
	p.send(strings.Repeat("x", 32<<20)) // more than the kernel takes
	p.session.Close(expelled)
	w.ended(p, expelled)
}

func TestAWebSocketThatIsNotReadEndsItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) {
		c.WriteTimeout, c.CloseTimeout = 100*time.Millisecond, 30*time.Second
	}, nil)
	ws := w.socket("")
	p := w.peer()
	const size = 32 << 20 // more than the kernel takes
	p.send(strings.Repeat("x", size))
	w.ended(p, engine.ReasonSlow)
	// When it reads at last, the frame that was stuck is whole, and the end comes behind it.
	if _, open, err := ws.ReadMessage(); err != nil || open[0] != '0' {
		t.Fatalf("read %.20q, %v", open, err)
	}
	if _, text, err := ws.ReadMessage(); err != nil || len(text) != size+1 {
		t.Fatalf("read %d bytes, %v", len(text), err)
	}
	if code := w.hearClose(ws); code != websocket.ClosePolicyViolation {
		t.Errorf("closed with %d", code)
	}
}

func TestAnEndlessPeerCannotKeepASessionOpen(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) {
		c.CloseTimeout = 100 * time.Millisecond
		c.Accept = func(_ *http.Request, s *engine.Session) (engine.Peer, error) {
			s.Close(expelled)
			return endless{}, nil
		}
	}, nil)
	for _, transport := range []string{enginetest.Polling, enginetest.WebSocket} {
		c, err := enginetest.Dial(t.Context(), w.url, enginetest.Options{Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		for err == nil {
			_, err = c.Next(t.Context())
		}
		c.Cut()
	}
	parttest.Eventually(t, "both to end", func() bool { return w.server.Stats().Closed[expelled] == 2 })
}

// endless always has more.
type endless struct{}

func (endless) Receive(context.Context, engine.Message) error { return nil }
func (endless) Close(engine.Reason)                           {}

func (endless) Fill(_ context.Context, b *engine.Batch) (time.Time, bool) {
	for !b.Full() {
		b.Text([]byte("more"))
	}
	return time.Time{}, false
}

func TestAWebSocketIsClosedWithTheCodeOfTheReason(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		reason engine.Reason
		end    func(w *world, ws *websocket.Conn, p *peer)
		code   int
	}{
		"the server closes":  {expelled, func(_ *world, _ *websocket.Conn, p *peer) { p.session.Close(expelled) }, 1000},
		"the client says so": {engine.ReasonClient, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "1") }, 1000},
		"the client closes": {engine.ReasonClient, func(_ *world, ws *websocket.Conn, _ *peer) {
			_ = ws.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1001, ""), time.Now().Add(time.Minute))
		}, 1000},
		"an unknown packet":      {engine.ReasonProtocol, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "abc") }, 1002},
		"an empty packet":        {engine.ReasonProtocol, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "") }, 1002},
		"a ping of the client":   {engine.ReasonProtocol, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "2") }, 1002},
		"an upgrade":             {engine.ReasonProtocol, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "5") }, 1002},
		"a text that is no text": {engine.ReasonProtocol, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "4\xff") }, 1002},
		"too much at once":       {engine.ReasonTooLarge, func(w *world, ws *websocket.Conn, _ *peer) { w.say(ws, "4"+strings.Repeat("x", 65536)) }, 1009},
		"frames that are not masked": {engine.ReasonProtocol, func(_ *world, ws *websocket.Conn, _ *peer) {
			_, _ = ws.NetConn().Write([]byte{0x81, 0x02, '4', 'x'})
		}, 1002},
		"a reserved opcode": {engine.ReasonProtocol, func(_ *world, ws *websocket.Conn, _ *peer) {
			_, _ = ws.NetConn().Write([]byte{0x83, 0x80, 0, 0, 0, 0})
		}, 1002},
		"a continuation of nothing": {engine.ReasonProtocol, func(_ *world, ws *websocket.Conn, _ *peer) {
			_, _ = ws.NetConn().Write([]byte{0x80, 0x80, 0, 0, 0, 0})
		}, 1002},
		"the server stops": {engine.ReasonShutdown, func(w *world, _ *websocket.Conn, _ *peer) {
			if err := w.server.Shutdown(context.Background()); err != nil {
				w.t.Error(err)
			}
		}, 1001},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, nil, nil)
			ws := w.socket("")
			p := w.peer()
			if _, text, err := ws.ReadMessage(); err != nil || text[0] != '0' || !strings.Contains(string(text), `"upgrades":[]`) {
				t.Fatalf("the first packet is %q, %v", text, err)
			}
			w.say(ws, "6") // means nothing
			test.end(w, ws, p)
			if code := w.hearClose(ws); code != test.code {
				t.Errorf("closed with %d, want %d", code, test.code)
			}
			w.ended(p, test.reason)
		})
	}
}

func TestAConnectionThatBreaksEndsItsSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	ws := w.socket("")
	p := w.peer()
	_ = ws.NetConn().Close()
	w.ended(p, engine.ReasonLost)
}

func TestPingsOfTheWebSocketAreAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	ws := w.socket("")
	pong := make(chan string, 1)
	ws.SetPongHandler(func(payload string) error { pong <- payload; return nil })
	if err := ws.WriteControl(websocket.PingMessage, []byte("there?"), time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	go func() {
		for {
			if _, _, err := ws.ReadMessage(); err != nil {
				return
			}
		}
	}()
	if got := parttest.Await(t, "the pong", pong); got != "there?" {
		t.Errorf("the pong is %q", got)
	}
}
