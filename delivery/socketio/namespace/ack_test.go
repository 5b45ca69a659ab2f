package namespace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/internal/parttest"
)

// asked is what came of an EmitWithAck.
type asked struct {
	args []json.RawMessage
	err  error
}

// ask emits an event that is to be acknowledged, and returns when the client has it.
func ask(ctx context.Context, l *line, a *application, packet string) <-chan asked {
	l.t.Helper()
	answer := make(chan asked, 1)
	go func() {
		args, err := a.socket.EmitWithAck(ctx, "ask")
		answer <- asked{args, err}
	}()
	parttest.Eventually(l.t, packet, func() bool {
		got := l.got()
		return len(got) == 1 && got[0] == packet
	})
	return answer
}

func TestAClientAcknowledgesAnEvent(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	both := l.join(c, "/", "/a")
	first := ask(t.Context(), l, both[0], `20["ask"]`)
	second := ask(t.Context(), l, both[0], `21["ask"]`)
	other := ask(t.Context(), l, both[1], `2/a,0["ask"]`)
	l.send(`31["to the second",2]`, `3/a,0[]`, `30["to the first"]`)
	for want, answer := range map[string]<-chan asked{
		`["to the first"] <nil>`:    first,
		`["to the second" 2] <nil>`: second,
		`[] <nil>`:                  other,
	} {
		got := parttest.Await(t, "an acknowledgement", answer)
		if text := fmt.Sprintf("%s %v", got.args, got.err); text != want {
			t.Errorf("got %s, not %s", text, want)
		}
	}
}

func TestAnAcknowledgementMayHoldAttachments(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	answer := ask(t.Context(), l, l.join(c, "/")[0], `20["ask"]`)
	l.send(`61-0["x",{"_placeholder":true,"num":0}]`)
	if err := l.peer.Receive(t.Context(), engine.Message{Binary: true, Data: []byte{1}}); err != nil {
		t.Fatal(err)
	}
	if got := parttest.Await(t, "an acknowledgement", answer); got.err != nil || len(got.args) != 2 || string(got.args[0]) != `"x"` {
		t.Errorf("got %s, %v", got.args, got.err)
	}
}

func TestLateRepeatedAndUnknownAcknowledgementsAreIgnored(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/")[0]
	answer := ask(t.Context(), l, a, `20["ask"]`)
	l.send(`30["first"]`, `30["second"]`, `399["unknown"]`)
	if got := parttest.Await(t, "an acknowledgement", answer); got.err != nil || string(got.args[0]) != `"first"` {
		t.Errorf("got %s, %v", got.args, got.err)
	}
	l.send(`30["third"]`)

	ctx, giveUp := context.WithCancel(t.Context())
	answer = ask(ctx, l, a, `21["ask"]`)
	giveUp()
	if got := parttest.Await(t, "the end of the wait", answer); !errors.Is(got.err, context.Canceled) {
		t.Errorf("got %s, %v", got.args, got.err)
	}
	if n := a.socket.Unacknowledged(); n != 0 {
		t.Errorf("%d acknowledgements are still waited for", n)
	}
	l.send(`31["late"]`, `2["still here"]`)
}

func TestWaitingForAnAcknowledgementEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*line, *application){
		"left by the client":  func(l *line, _ *application) { l.send("1") },
		"ended by the server": func(_ *line, a *application) { a.socket.Disconnect() },
		"the session is over": func(l *line, _ *application) { l.ends() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConnector(nil)
			l := newLine(t, namespace.Config{Connect: c.connect})
			a := l.join(c, "/")[0]
			answer := ask(t.Context(), l, a, `20["ask"]`)
			end(l, a)
			if got := parttest.Await(t, "the end of the wait", answer); !errors.Is(got.err, namespace.ErrClosed) {
				t.Errorf("got %s, %v", got.args, got.err)
			}
			if _, err := a.socket.EmitWithAck(t.Context(), "ask"); !errors.Is(err, namespace.ErrClosed) {
				t.Errorf("afterwards: %v", err)
			}
		})
	}
}
