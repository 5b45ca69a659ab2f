package namespace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestAClientLeavesANamespaceAndTheOthersGoOn(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	both := l.join(c, "/", "/a")
	both[0].event = func(ctx context.Context, _ namespace.Event) error { return both[0].socket.Emit(ctx, "here") }
	if err := both[1].socket.Emit(t.Context(), "waits"); err != nil {
		t.Fatal(err)
	}
	l.send("1/a,", `2["e"]`)
	l.expect("what waited for the one that was left is dropped", `2["here"]`)
	if reason := parttest.Await(t, "its end", both[1].closed); reason != namespace.Left {
		t.Errorf("closed: %s", reason)
	}
	if err := both[1].socket.Emit(t.Context(), "e"); !errors.Is(err, namespace.ErrClosed) {
		t.Errorf("emitting into it: %v", err)
	}
	if again := l.join(c, "/a"); again[0].socket.ID() == both[1].socket.ID() {
		t.Error("the new connection has the id of the old one")
	}
	l.ends()
	if reason := parttest.Await(t, "the end of the other", both[0].closed); reason != engine.ReasonLost {
		t.Errorf("closed: %s", reason)
	}
}

func TestTheServerEndsANamespaceAndWhatWasUnderWayIsDropped(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	both := l.join(c, "/", "/a")
	a := both[1]
	a.fill = once(`["never pulled"]`)
	a.event = func(context.Context, namespace.Event) error { t.Error("an event came behind the end"); return nil }
	if err := a.socket.Emit(t.Context(), "last"); err != nil {
		t.Fatal(err)
	}
	a.socket.Disconnect()
	a.socket.Disconnect()
	l.send(`2/a,["under way"]`, `3/a,7[]`, `1/a,`)
	l.expect("what waited, and the end", `2/a,["last"]`, `1/a,`)
	if reason := parttest.Await(t, "its end", a.closed); reason != namespace.Ended {
		t.Errorf("closed: %s", reason)
	}
	again := l.join(c, "/a")[0]
	l.send(`2/a,["e"]`, "1/a,")
	if reason := parttest.Await(t, "the end of the second", again.closed); reason != namespace.Left {
		t.Errorf("closed: %s", reason)
	}
	if err := l.try(`2/a,["e"]`); err == nil {
		t.Error("an event in a namespace that the client has left is taken")
	}
}

func TestAConnectionMayBeEndedWhileItIsBeingConnected(t *testing.T) {
	t.Parallel()
	c := newConnector(func(ctx context.Context, a *application, _ json.RawMessage) error {
		a.socket.Disconnect()
		return a.socket.Emit(ctx, "bye")
	})
	l := newLine(t, namespace.Config{Connect: c.connect})
	l.send("0")
	a := parttest.Await(t, "a connection", c.made)
	l.expect("its beginning and its end", fmt.Sprintf(`0{"sid":%q}`, a.socket.ID()), `2["bye"]`, `1`)
	if reason := parttest.Await(t, "its end", a.closed); reason != namespace.Ended {
		t.Errorf("closed: %s", reason)
	}
}

func TestAnApplicationIsClosedOnceAndAfterItsLastCall(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*line, *application){
		"left by the client":  func(l *line, _ *application) { l.send("1") },
		"ended by the server": func(_ *line, a *application) { a.socket.Disconnect() },
		"ended by both":       func(l *line, a *application) { a.socket.Disconnect(); l.send("1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := newConnector(nil)
			l := newLine(t, namespace.Config{Connect: c.connect})
			a := l.join(c, "/")[0]
			entered, goOn := make(chan struct{}), make(chan struct{})
			a.fill = func(*namespace.Out) bool {
				close(entered)
				<-goOn
				return false
			}
			filled := make(chan struct{})
			go func() {
				defer close(filled)
				_, _ = l.peer.Fill(context.Background(), new(engine.Batch))
			}()
			parttest.Await(t, "a pull", entered)
			end(l, a)
			select {
			case <-a.closed:
				t.Error("it is closed while it is pulled from")
			default:
			}
			close(goOn)
			parttest.Await(t, "its end", a.closed)
			parttest.Await(t, "the end of the pull", filled)
			l.ends()
			if len(a.closed) != 0 {
				t.Error("it is closed twice")
			}
		})
	}
}

func TestAnEventMayEndItsOwnConnection(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/")[0]
	a.event = func(ctx context.Context, _ namespace.Event) error {
		a.socket.Disconnect()
		if len(a.closed) != 0 {
			t.Error("it is closed within its own call")
		}
		if err := a.socket.Emit(ctx, "e"); !errors.Is(err, namespace.ErrClosed) {
			t.Errorf("emitting then: %v", err)
		}
		return nil
	}
	l.send(`2["e"]`)
	parttest.Await(t, "its end", a.closed)
	l.expect("only the end", "1")
}

func TestWhatIsConnectedIsClosedWhateverHappensAtOnce(t *testing.T) {
	t.Parallel()
	c := newConnector(func(_ context.Context, a *application, _ json.RawMessage) error {
		a.event = func(ctx context.Context, _ namespace.Event) error {
			err := a.socket.Emit(ctx, "e")
			if errors.Is(err, namespace.ErrClosed) {
				return nil
			}
			return err
		}
		a.fill = func(out *namespace.Out) bool { out.Event([]byte(`["e"]`)); return false }
		return nil
	})
	l := newLine(t, namespace.Config{Connect: c.connect, MaxWaiting: waiting})
	const rounds = 200
	var work sync.WaitGroup
	var finished atomic.Bool
	work.Go(func() { // the transport
		for !finished.Load() {
			_, _ = l.peer.Fill(context.Background(), new(engine.Batch))
		}
	})
	all := make(chan *application, rounds)
	work.Go(func() { // the application
		for a := range all {
			_, _ = a.socket.EmitWithAck(canceled(), "e")
			_ = a.socket.Emit(t.Context(), "e")
			a.socket.Disconnect()
		}
	})
	var made []*application
	for range rounds { // the client
		l.send("0")
		a := <-c.made
		made = append(made, a)
		all <- a
		for _, text := range []string{`2["e"]`, `30[]`, "1"} {
			_ = l.try(text) // it may be over already
		}
		<-a.closed
	}
	close(all)
	finished.Store(true)
	work.Wait()
	l.ends()
	for _, a := range made {
		if len(a.closed) != 0 {
			t.Fatal("one was closed twice")
		}
	}
}

func canceled() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
