package ws

import "sync/atomic"

// turn has work done by one goroutine at a time, and only while there is some: no goroutine waits for it. The zero value
// is ready.
type turn struct {
	asked atomic.Int32 // since the work began; 0: nobody works
}

// ask says that there may be work. It answers true when nobody works: then the caller has to see to it that do is called.
// Otherwise whoever works looks once more.
func (t *turn) ask() bool { return t.asked.Add(1) == 1 }

// do works until nobody has asked since it looked.
func (t *turn) do(work func()) {
	for {
		seen := t.asked.Load()
		work()
		if t.asked.CompareAndSwap(seen, 0) {
			return
		}
	}
}
