package ws

import "time"

// window lets a number of messages pass in any span of time. It is for one goroutine.
type window struct {
	limit int
	span  time.Duration

	times []time.Time // circular once it is full, the oldest at next
	next  int
}

func (w *window) allow(now time.Time) bool {
	if len(w.times) < w.limit { // it grows with use: most clients send little
		w.times = append(w.times, now)
		return true
	}
	if now.Sub(w.times[w.next]) < w.span {
		return false
	}
	w.times[w.next] = now
	w.next = (w.next + 1) % w.limit
	return true
}
