package ws

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
)

// Whatever is there before a turn is asked for is found, however the asking and the end of the work before meet.
func TestNothingIsLeftWhenATurnEnds(t *testing.T) {
	t.Parallel()
	const askers, each = 4, 20_000
	var turn turn
	var working, workers sync.WaitGroup
	var waiting, found, atWork atomic.Int64
	work := func() {
		if atWork.Add(1) != 1 {
			t.Error("two work at once")
		}
		found.Add(waiting.Swap(0))
		atWork.Add(-1)
	}
	for range askers {
		working.Go(func() {
			for i := range each {
				waiting.Add(1)
				if turn.ask() {
					workers.Go(func() { turn.do(work) })
				}
				if i%3 == 0 {
					runtime.Gosched() // so that turns end
				}
			}
		})
	}
	working.Wait()
	workers.Wait()
	if n := found.Load(); n != askers*each {
		t.Errorf("%d of %d were found", n, askers*each)
	}
}
