package ws

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// What is there before a turn is asked for is found, although the work before is just about to end.
func TestNothingIsLeftWhenATurnEnds(t *testing.T) {
	t.Parallel()
	var turn turn
	var working sync.WaitGroup
	defer working.Wait()
	var waiting atomic.Int64
	found := make(chan int64, 1)
	work := func() {
		if n := waiting.Swap(0); n > 0 {
			found <- n
			runtime.Gosched() // and the next is asked for while this one ends
		}
	}
	limit := time.After(patience)
	for n := int64(1); n <= 50_000; n++ {
		waiting.Store(n)
		if turn.ask() {
			working.Go(func() { turn.do(work) })
		}
		select {
		case got := <-found:
			if got != n {
				t.Fatalf("%d was found, not %d", got, n)
			}
		case <-limit:
			t.Fatalf("%d is left", n)
		}
	}
}

func TestOneAtATimeHasTheTurn(t *testing.T) {
	t.Parallel()
	const askers, each = 4, 5_000
	var turn turn
	var asking, working sync.WaitGroup
	var waiting, found, atWork atomic.Int64
	work := func() {
		if atWork.Add(1) != 1 {
			t.Error("two work at once")
		}
		runtime.Gosched()
		found.Add(waiting.Swap(0))
		atWork.Add(-1)
	}
	for range askers {
		asking.Go(func() {
			for range each {
				waiting.Add(1)
				if turn.ask() {
					working.Go(func() { turn.do(work) })
				}
				runtime.Gosched() // so that turns end
			}
		})
	}
	asking.Wait()
	working.Wait()
	if n := found.Load(); n != askers*each {
		t.Errorf("%d of %d were found", n, askers*each)
	}
}
