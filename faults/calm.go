package main

import (
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// Bounds that a program which works is far from, also on a machine with more to do than it can.
const (
	calmLeast  = 5 * time.Second // less says nothing
	leastDone  = 0.05            // of the commands that are tried while nothing is broken
	saysWithin = 22 * time.Second
	calmBefore = 30 * time.Second // before a connection counts as one that nothing happened to
)

// calm is the time in which nothing was broken, and how many commands were acknowledged then.
func (a *attempt) calm() (span time.Duration, done int) {
	at := func(now time.Duration) bool {
		for _, f := range a.history.Faults() {
			if now >= f.Began && now < f.Ended {
				return false
			}
		}
		return now >= a.result.began && now < a.result.ended
	}
	const step = 10 * time.Millisecond
	for now := a.result.began; now < a.result.ended; now += step {
		if at(now) {
			span += step
		}
	}
	for _, c := range a.history.Commands() {
		if ok := c.Acknowledged(); ok != nil && at(ok.Ended) {
			done++
		}
	}
	return span, done
}

// judgeProgress finds a program that keeps its promises by doing nothing.
func (a *attempt) judgeProgress() {
	if span, done := a.calm(); span >= calmLeast && float64(done) < leastDone*a.rate*span.Seconds() {
		a.result.violate("progress", "in %v with nothing broken %d commands were acknowledged, of %g a second that were tried", span, done, a.rate)
	}
}

// judgeSilence finds connections on which the program said nothing for longer than it promises: every transport says
// something at least every 15 s. Clients give them up after 22 s, which is no fault while something is, or was just, broken.
func (a *attempt) judgeSilence() {
	for _, c := range a.history.Clients() {
		opened := time.Duration(0)
		for _, e := range c.Log {
			switch {
			case e.Kind == history.Opened:
				opened = e.At
			case e.Kind == history.Closed && strings.HasPrefix(e.Name, "read tcp ") && strings.HasSuffix(e.Name, ": i/o timeout") &&
				e.At-opened >= saysWithin && !a.brokenWithin(e.At-calmBefore, e.At):
				a.result.violate("silence", "%s, over %s, heard nothing for %v until %v, with nothing broken", c.Name, c.Transport, saysWithin, e.At)
			}
		}
	}
}

// brokenWithin says whether anything was broken in a span of time.
func (a *attempt) brokenWithin(from, to time.Duration) bool {
	for _, f := range a.history.Faults() {
		if f.Began <= to && f.Ended >= from {
			return true
		}
	}
	return false
}
