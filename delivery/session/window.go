package session

import "time"

// Window lets a number of messages pass in any span of time. It is for one goroutine.
type Window struct {
	Limit int
	Span  time.Duration

	times []time.Time // circular once it is full, the oldest at next
	next  int
}

// Wait is how long it takes until Allow lets a message pass, if none passes before; 0: it does now.
func (w *Window) Wait(now time.Time) time.Duration {
	if len(w.times) < w.Limit {
		return 0
	}
	return max(0, w.Span-now.Sub(w.times[w.next]))
}

// Allow says whether a message that comes now may pass, and counts it if it does.
func (w *Window) Allow(now time.Time) bool {
	if len(w.times) < w.Limit { // it grows with use: most clients send little
		w.times = append(w.times, now)
		return true
	}
	if now.Sub(w.times[w.next]) < w.Span {
		return false
	}
	w.times[w.next] = now
	w.next = (w.next + 1) % w.Limit
	return true
}
