package namespace_test

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
)

func TestAnEventComesWithItsNameItsArgumentsItsAttachmentsAndItsID(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		`2["n"]`:                                 `n [] [] -`,
		`27["n",1,{"a":[null]}]`:                 `n [1 {"a":[null]}] [] 7`,
		`20["\u006e", "x" ]`:                     `n ["x"] [] 0`,
		`2[12,"x"]`:                              `12 ["x"] [] -`,
		`2[""]`:                                  ` [] [] -`,
		`51-["n",{"_placeholder":true,"num":0}]`: `n [{"_placeholder":true,"num":0}] [[1 2]] -`,
	} {
		c := newConnector(nil)
		l := newLine(t, namespace.Config{Connect: c.connect})
		got := ""
		l.join(c, "/")[0].event = func(_ context.Context, e namespace.Event) error {
			id := "-"
			if e.ID != nil {
				id = fmt.Sprint(*e.ID)
			}
			got = fmt.Sprintf("%s %s %v %s", e.Name, e.Args, e.Attachments, id)
			return nil
		}
		l.send(text)
		if text[0] == '5' {
			if err := l.peer.Receive(t.Context(), engine.Message{Binary: true, Data: []byte{1, 2}}); err != nil {
				t.Fatal(err)
			}
		}
		if got != want {
			t.Errorf("%s: got %s, not %s", text, got, want)
		}
	}
}

func TestAnErrorOfAnEventEndsTheSession(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	enough := errors.New("enough")
	l.join(c, "/")[0].event = func(context.Context, namespace.Event) error { return enough }
	if err := l.try(`2["e"]`); !errors.Is(err, enough) {
		t.Errorf("got %v", err)
	}
}

func TestAnswersGoOutInTheirOrderBeforeWhatIsPulled(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	both := l.join(c, "/", "/a")
	for _, a := range both {
		a.event = func(ctx context.Context, e namespace.Event) error {
			a.fill = once(`["pulled"]`)
			return errors.Join(a.socket.Emit(ctx, "seen", e.Name), a.socket.Ack(ctx, *e.ID, "ok", 1))
		}
	}
	l.send(`2/a,5["one"]`, `26["two"]`)
	l.expect("first the answers", `2/a,["seen","one"]`, `3/a,5["ok",1]`, `2["seen","two"]`, `36["ok",1]`, `2["pulled"]`, `2/a,["pulled"]`)
}

func TestAttachmentsGoOutBehindTheirText(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/a")[0]
	err := errors.Join(
		a.socket.Ack(t.Context(), 3, namespace.Binary{1}, "x", namespace.Binary{2, 3}),
		a.socket.Emit(t.Context(), "e", namespace.Binary{}))
	if err != nil {
		t.Fatal(err)
	}
	l.expect("two packets",
		`62-/a,3[{"_placeholder":true,"num":0},"x",{"_placeholder":true,"num":1}]`, "bAQ==", "bAgM=",
		`51-/a,["e",{"_placeholder":true,"num":0}]`, "b")
}

func TestWhatCannotBeEncodedIsAnErrorAndNothingIsSent(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/")[0]
	if err := a.socket.Emit(t.Context(), "e", func() {}); err == nil {
		t.Error("Emit takes a function")
	}
	if err := a.socket.Ack(t.Context(), 1, make(chan int)); err == nil {
		t.Error("Ack takes a channel")
	}
	if _, err := a.socket.EmitWithAck(t.Context(), "e", func() {}); err == nil {
		t.Error("EmitWithAck takes a function")
	}
	l.expect("nothing")
}

func TestWhoeverWaitsForAPacketIsToldWhenItIsInABatch(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/")[0]
	var told []string
	tell := func(what string) func() { return func() { told = append(told, what) } }
	a.fill = func(*namespace.Out) bool { told = append(told, "pull"); return false }
	err := errors.Join(
		a.socket.EmitThen(t.Context(), tell("event"), "e"),
		a.socket.AckThen(t.Context(), tell("ack"), 1),
		a.socket.Emit(t.Context(), "e"))
	if err != nil {
		t.Fatal(err)
	}
	if told != nil {
		t.Errorf("told of %q before it was asked for anything", told)
	}
	l.expect("all", `2["e"]`, `31[]`, `2["e"]`)
	if !slices.Equal(told, []string{"event", "ack", "pull"}) {
		t.Errorf("told of %q", told)
	}
}
