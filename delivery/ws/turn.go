package ws

import "sync/atomic"

// turn has work done by one goroutine at a time, and only while there is some: no goroutine waits for it. The zero value
// is ready.
type turn struct {
	state atomic.Int32
}

const (
	idle    = iota
	working // and nobody has asked since the work began
	asked
)

// ask says that there may be work. It answers true when nobody works: then the caller has to see to it that do is called.
// Otherwise whoever works looks once more.
func (t *turn) ask() bool { return t.state.Swap(asked) == idle }

// do works until nobody has asked since it looked.
func (t *turn) do(work func()) {
	for {
		t.state.Swap(working)
		work()
		if t.state.CompareAndSwap(working, idle) {
			return
		}
	}
}
