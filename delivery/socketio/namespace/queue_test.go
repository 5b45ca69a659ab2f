package namespace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/internal/parttest"
)

// waiting is how many packets may wait in the tests of this file.
const waiting = 4

func TestWhenTooManyAnswersWaitTheClientIsNotReadAndNothingIsLost(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect, MaxWaiting: waiting})
	a := l.join(c, "/")[0]
	a.event = func(ctx context.Context, e namespace.Event) error { return a.socket.Ack(ctx, *e.ID) }

	const events = 10 * waiting
	var read atomic.Int64
	done := make(chan error, 1)
	go func() {
		var err error
		for i := 0; i < events && err == nil; i++ {
			err = l.try(fmt.Sprintf(`2%d["e"]`, i))
			read.Add(1)
		}
		done <- err
	}()
	parttest.Eventually(t, "as much to be read as may wait", func() bool { return read.Load() == waiting })
	for i := 0; i < events; {
		for _, text := range l.got() {
			if want := fmt.Sprintf("3%d[]", i); text != want {
				t.Fatalf("got %s, not %s", text, want)
			}
			i++
		}
	}
	if err := parttest.Await(t, "the reading to end", done); err != nil {
		t.Error(err)
	}
}

func TestWaitingForRoomEndsWithTheContext(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect, MaxWaiting: waiting})
	a := l.join(c, "/")[0]
	for range waiting {
		if err := a.socket.Emit(t.Context(), "e"); err != nil {
			t.Fatal(err)
		}
	}
	ctx, giveUp := context.WithCancel(t.Context())
	giveUp()
	if err := a.socket.Emit(ctx, "e"); !errors.Is(err, context.Canceled) {
		t.Errorf("with a context that has ended: %v", err)
	}
	if err := l.peer.Receive(ctx, engine.Message{Data: []byte("0/b,")}); !errors.Is(err, context.Canceled) {
		t.Errorf("a CONNECT whose answer has no room: %v", err)
	}
	l.ends()
	if reason := parttest.Await(t, "the last connection", parttest.Await(t, "its application", c.made).closed); reason != engine.ReasonLost {
		t.Errorf("the connection whose answer had no room was closed: %s", reason)
	}
}

func TestWaitingForRoomEndsWithTheConnection(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		c := newConnector(nil)
		l := newLine(t, namespace.Config{Connect: c.connect, MaxWaiting: waiting})
		both := l.join(c, "/", "/a")
		for range waiting {
			if err := both[0].socket.Emit(t.Context(), "e"); err != nil {
				t.Fatal(err)
			}
		}
		late := make(chan error, 1)
		go func() { late <- both[1].socket.Emit(t.Context(), "late") }()
		synctest.Wait() // it waits
		both[1].socket.Disconnect()
		if err := parttest.Await(t, "the end of the wait", late); !errors.Is(err, namespace.ErrClosed) {
			t.Errorf("got %v", err)
		}
		l.expect("what had room, and the end", `2["e"]`, `2["e"]`, `2["e"]`, `2["e"]`, `1/a,`)
		l.ends()
	})
}

func TestNamespacesOfASessionShareItsBatches(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	names := []string{"/", "/a", "/b", "/c", "/d"}
	event, _ := json.Marshal([]any{"e", make([]byte, 1<<10)})
	given := make([]int, len(names))
	for i, a := range l.join(c, names...) {
		a.fill = func(out *namespace.Out) bool {
			for !out.Full() { // there is no end of it
				out.Event(event)
				given[i]++
			}
			return true
		}
	}
	for range 100 {
		before := slices.Clone(given)
		if len(l.got()) < 16 {
			t.Fatal("a batch is not full")
		}
		for i := range given {
			if given[i] == before[i] {
				t.Fatalf("%s has no part of a batch", names[i])
			}
		}
	}
	least, most := given[0], given[0]
	for _, n := range given {
		least, most = min(least, n), max(most, n)
	}
	if least < most*9/10 {
		t.Errorf("some were given less than others: %d", given)
	}
}

func TestWhoWasLeftOutOfABatchComesFirstInTheNext(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	var turns []string
	for _, a := range l.join(c, "/", "/a", "/b") {
		a.fill = func(out *namespace.Out) bool {
			turns = append(turns, a.socket.Namespace())
			out.Event(make([]byte, 20<<10)) // more than its share
			return true
		}
	}
	for range 3 {
		l.got()
	}
	if want := []string{"/", "/a", "/b", "/", "/a", "/b"}; !slices.Equal(turns, want) {
		t.Errorf("the turns were %q", turns)
	}
}

func TestOneNamespaceAloneHasAllOfABatch(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/a")[0]
	calls, full := 0, 0
	a.fill = func(out *namespace.Out) bool {
		calls++
		for !out.Full() {
			out.End(append(out.Begin(), `["e"]`...))
			full++
		}
		return true
	}
	if got := l.got(); calls != 1 || len(got) != full || got[full-1] != `2/a,["e"]` {
		t.Errorf("%d events of %d in %d calls", len(got), full, calls)
	}
}

func TestNothingIsPulledIntoABatchThatAnswersHaveFilled(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	a := l.join(c, "/")[0]
	pulls := 0
	a.fill = func(*namespace.Out) bool { pulls++; return false }
	for range 3 {
		if err := a.socket.Emit(t.Context(), "e", make([]byte, 20<<10)); err != nil {
			t.Fatal(err)
		}
	}
	var b engine.Batch
	if _, again := l.peer.Fill(t.Context(), &b); !again || len(messages(&b)) != 2 || pulls != 0 {
		t.Errorf("%d answers, %d pulls, again: %v", len(messages(&b)), pulls, again)
	}
	if got := l.got(); len(got) != 1 || pulls != 1 {
		t.Errorf("then %d answers, %d pulls", len(got), pulls)
	}
}

func TestAnEventThatIsEncodedAlreadyIsSentWithoutAnAllocation(t *testing.T) { //nolint:paralleltest // allocations are counted for the whole process
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	event := []byte(`["order:new",{"seq":17},"17"]`)
	pulled := 0
	for _, a := range l.join(c, "/", "/admin") {
		a.fill = func(out *namespace.Out) bool {
			out.Event(event)
			pulled++
			return false
		}
	}
	ctx := t.Context()
	var b engine.Batch
	fill := func() { _, _ = l.peer.Fill(ctx, &b) }
	const runs = 400 // as many as one batch takes
	if n := testing.AllocsPerRun(runs, fill); n != 0 {
		t.Errorf("%v allocations for two events", n)
	}
	if pulled != 2*(runs+1) {
		t.Errorf("%d events were pulled", pulled)
	}
}
