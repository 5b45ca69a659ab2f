package engine_test

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestAnUpgradeLosesNothingWhileMessagesFlow(t *testing.T) {
	t.Parallel()
	const sessions, messages = 20, 300
	w := newWorld(t, nil, nil)
	group, ctx := errgroup.WithContext(t.Context())
	for range sessions {
		c, p := w.dial(enginetest.Options{})
		upgraded := make(chan struct{})
		group.Go(func() error { // the server speaks
			for i := range messages {
				p.send(fmt.Sprint(i))
			}
			return nil
		})
		group.Go(func() error { // the client hears
			for i := range messages {
				m, err := c.Next(ctx)
				if err != nil {
					return fmt.Errorf("message %d: %w", i, err)
				}
				if string(m.Data) != fmt.Sprint(i) {
					return fmt.Errorf("message %d is %q", i, m.Data)
				}
			}
			return nil
		})
		group.Go(func() error { // the client speaks, before and after
			for i := range messages {
				if i == messages/2 {
					<-upgraded
				}
				if err := c.Send(ctx, fmt.Sprint(i)); err != nil {
					return err
				}
			}
			return nil
		})
		group.Go(func() error {
			defer close(upgraded)
			return c.Upgrade(ctx)
		})
		group.Go(func() error {
			want := make([]string, messages)
			for i := range want {
				want[i] = fmt.Sprint(i)
			}
			parttest.Eventually(t, "all messages to be received", func() bool { return len(p.got()) >= messages })
			if got := p.got(); !slices.Equal(got, want) {
				return fmt.Errorf("the server received %q", got)
			}
			return nil
		})
	}
	if err := group.Wait(); err != nil {
		t.Fatal(err)
	}
	if stats := w.server.Stats(); stats.Upgraded != sessions || stats.Open[engine.WebSocket] != sessions || stats.Open[engine.Polling] != 0 {
		t.Errorf("the numbers are %+v", stats)
	}
}

func TestAProbeAnswersTheWaitingPollAtOnceAndThoseThatComeSoon(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(p *peer) { p.receive = p.echo })
	sid, p := w.open()
	waiting := w.waitingPoll(t.Context(), p)
	ws := w.socket(sid)
	w.say(ws, "2probe")
	if got := parttest.Await(t, "the poll", waiting); got != (answer{200, "6"}) {
		t.Errorf("the poll was answered %v, want a noop", got)
	}
	w.hear(ws, "3probe")
	begun := time.Now()
	if status, body := w.poll(sid); status != 200 || body != "6" || time.Since(begun) < 100*time.Millisecond {
		t.Errorf("a poll during the upgrade was answered %d %s after %s", status, body, time.Since(begun))
	}
	p.send("news")
	if status, body := w.poll(sid); status != 200 || body != "4news" {
		t.Errorf("a poll during the upgrade was answered %d %s", status, body)
	}
	w.say(ws, "5")
	w.say(ws, "4hello")
	w.hear(ws, "4hello")
	for method, body := range map[string]string{"GET": "", "POST": "4x"} {
		if status, body := w.do(t.Context(), method, "&transport=polling&sid="+sid, body); status != 400 || codeOf(t, body) != 3 {
			t.Errorf("%s after the upgrade was answered %d %s", method, status, body)
		}
	}
	w.say(ws, "4still here")
	w.hear(ws, "4still here")
	if p.session.Transport() != engine.WebSocket {
		t.Errorf("the transport is %q", p.session.Transport())
	}
}

func TestAWaitingPollIsRefusedWhenTheUpgradeCompletes(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(p *peer) { p.receive = p.echo })
	sid, p := w.open()
	ws := w.socket(sid)
	w.say(ws, "2probe")
	w.hear(ws, "3probe")
	waiting := w.waitingPoll(t.Context(), p)
	w.say(ws, "5")
	if got := parttest.Await(t, "the poll", waiting); got.status != 400 || codeOf(t, got.body) != 3 {
		t.Errorf("the poll was answered %v", got)
	}
	w.say(ws, "4hello")
	w.hear(ws, "4hello")
}

func TestWhatAPollHasTakenIsWrittenBeforeTheWebSocketWrites(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	ws := w.socket(sid)
	w.say(ws, "2probe")
	w.hear(ws, "3probe")
	inside, goOn := make(chan struct{}, 8), make(chan struct{})
	p.fill = func(context.Context) {
		inside <- struct{}{}
		<-goOn
	}
	polled := make(chan answer, 1)
	go func() {
		status, body := w.poll(sid)
		polled <- answer{status, body}
	}()
	parttest.Await(t, "the poll to ask", inside)
	w.say(ws, "5") // a client should not, with a poll under way
	parttest.Eventually(t, "the upgrade", func() bool { return p.session.Transport() == engine.WebSocket })
	p.send("first")
	close(goOn)
	if got := parttest.Await(t, "the poll", polled); got != (answer{200, "4first"}) {
		t.Errorf("the poll was answered %v", got)
	}
	p.send("second")
	w.hear(ws, "4second")
}

func TestAPayloadIsReceivedBeforeTheWebSocketIsRead(t *testing.T) {
	t.Parallel()
	inside, goOn := make(chan struct{}, 8), make(chan struct{})
	w := newWorld(t, nil, func(p *peer) {
		p.receive = func(context.Context, engine.Message) error {
			inside <- struct{}{}
			<-goOn
			return nil
		}
	})
	sid, p := w.open()
	ws := w.socket(sid)
	w.say(ws, "2probe")
	w.hear(ws, "3probe")
	posted := make(chan answer, 1)
	go func() {
		status, body := w.post(sid, "4a\x1e4b\x1e4c")
		posted <- answer{status, body}
	}()
	parttest.Await(t, "the payload", inside)
	w.say(ws, "5") // a client should not, with a payload under way
	w.say(ws, "4d")
	parttest.Eventually(t, "the upgrade", func() bool { return p.session.Transport() == engine.WebSocket })
	close(goOn)
	if got := parttest.Await(t, "the payload's answer", posted); got != (answer{200, "ok"}) {
		t.Errorf("the payload was answered %v", got)
	}
	parttest.Eventually(t, "all messages", func() bool { return len(p.got()) == 4 })
	if got := p.got(); !slices.Equal(got, []string{"a", "b", "c", "d"}) {
		t.Errorf("received %q", got)
	}
}

func TestAnUpgradeThatFailsLeavesTheSessionPolling(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		timeout time.Duration
		goWrong func(w *world, ws *websocket.Conn)
		code    int
	}{
		"nothing is said": {50 * time.Millisecond, func(*world, *websocket.Conn) {}, websocket.ClosePolicyViolation},
		"the last word does not come": {500 * time.Millisecond, func(w *world, ws *websocket.Conn) {
			w.say(ws, "2probe")
			w.hear(ws, "3probe")
		}, websocket.ClosePolicyViolation},
		"the last word comes first": {0, func(w *world, ws *websocket.Conn) { w.say(ws, "5") }, websocket.CloseProtocolError},
		"a message comes first":     {0, func(w *world, ws *websocket.Conn) { w.say(ws, "4hello") }, websocket.CloseProtocolError},
		"an empty packet":           {0, func(w *world, ws *websocket.Conn) { w.say(ws, "") }, websocket.CloseProtocolError},
		"a binary message": {0, func(w *world, ws *websocket.Conn) {
			if err := ws.WriteMessage(websocket.BinaryMessage, []byte("2probe")); err != nil {
				w.t.Fatal(err)
			}
		}, websocket.CloseProtocolError},
		"more than may be": {0, func(w *world, ws *websocket.Conn) { w.say(ws, "2"+string(make([]byte, 70_000))) }, websocket.CloseProtocolError},
		"a frame that breaks RFC 6455": {0, func(w *world, ws *websocket.Conn) {
			if _, err := ws.NetConn().Write([]byte{0x81, 0x05, 'h', 'e', 'l', 'l', 'o'}); err != nil { // not masked
				w.t.Fatal(err)
			}
		}, websocket.CloseProtocolError},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t, func(c *engine.Config) { c.UpgradeTimeout = test.timeout }, nil)
			sid, p := w.open()
			ws := w.socket(sid)
			test.goWrong(w, ws)
			if code := w.hearClose(ws); code != test.code {
				t.Errorf("closed with %d, want %d", code, test.code)
			}
			w.goesOn(p)
			p.send("news")
			if status, body := w.poll(sid); status != 200 || body != "4news" {
				t.Errorf("a poll was answered %d %s", status, body)
			}
		})
	}
}

func TestAnUpgradeThatIsCutMayBeTriedAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(p *peer) { p.receive = p.echo })
	sid, _ := w.open()
	for i := range 3 {
		var ws *websocket.Conn
		// Until the server has seen that the one before is gone, the next one is the second.
		parttest.Eventually(t, "a probe to be answered", func() bool {
			ws = w.socket(sid)
			w.say(ws, "2probe")
			_, text, err := ws.ReadMessage()
			return err == nil && string(text) == "3probe"
		})
		if i < 2 {
			_ = ws.Close()
			continue
		}
		w.say(ws, "5")
		w.say(ws, "4hello")
		w.hear(ws, "4hello")
	}
}

func TestASecondWebSocketIsClosedAndTheSessionGoesOn(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(p *peer) { p.receive = p.echo })
	sid, _ := w.open()
	ws := w.socket(sid)
	w.say(ws, "2probe")
	w.hear(ws, "3probe")
	if code := w.hearClose(w.socket(sid)); code != websocket.ClosePolicyViolation {
		t.Errorf("during the upgrade the second was closed with %d", code)
	}
	w.say(ws, "5")
	w.say(ws, "4one")
	w.hear(ws, "4one")
	if code := w.hearClose(w.socket(sid)); code != websocket.ClosePolicyViolation {
		t.Errorf("after the upgrade the second was closed with %d", code)
	}
	w.say(ws, "4two")
	w.hear(ws, "4two")
}

func TestASessionThatEndsTakesItsUpgradeWithIt(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, nil)
	sid, p := w.open()
	ws := w.socket(sid)
	w.say(ws, "2probe")
	w.hear(ws, "3probe")
	w.post(sid, "1")
	w.ended(p, engine.ReasonClient)
	if code := w.hearClose(ws); code != websocket.CloseNormalClosure {
		t.Errorf("closed with %d", code)
	}
}

func TestAPingThatIsDueDuringTheUpgradeIsSentOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(c *engine.Config) { c.PingInterval = 50 * time.Millisecond }, nil)
	sid, p := w.open()
	ws := w.socket(sid)
	w.say(ws, "2probe")
	w.hear(ws, "3probe")
	if status, body := w.poll(sid); status != 200 || body != "2" {
		t.Errorf("a poll was answered %d %s, want the ping", status, body)
	}
	w.say(ws, "5")
	p.send("news")
	w.hear(ws, "4news") // and no second ping before the pong
	w.say(ws, "3")
	w.hear(ws, "2")
}
