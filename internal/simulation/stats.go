package simulation

import (
	"fmt"
	"sync"
	"sync/atomic"
)

// stats counts what happens while the evening goes on. It is safe for concurrent use.
type stats struct {
	placed, delivered, cancelled atomic.Int64 // orders

	events    atomic.Int64 // over sockets
	online    atomic.Int64 // connections now
	cut       atomic.Int64 // by the simulation itself
	resumed   atomic.Int64 // registrations after a client's first, with its lastSeq
	refreshed atomic.Int64 // tokens

	points, kept                      atomic.Int64 // of couriers
	offers, usedUp                    atomic.Int64 // orders with an offer, and those that were refused it
	captured, capturedSum             atomic.Int64
	refunds, refundedSum              atomic.Int64
	webhooks, repeats, failedPayments atomic.Int64
	read, moved, unheard              atomic.Int64

	mu         sync.Mutex
	complaints []string
	more       int
}

const maxComplaints = 20

// complain notes something that went wrong, for people. Only the first ones are kept in words.
func (s *stats) complain(what string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.complaints) < maxComplaints {
		s.complaints = append(s.complaints, what)
	} else {
		s.more++
	}
}

// faults are the complaints, and how many there were.
func (s *stats) faults() (first []string, all int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]string(nil), s.complaints...), len(s.complaints) + s.more
}

// line is the progress in one line. perSecond is events.
func (s *stats) line(orders int, perSecond float64) string {
	return fmt.Sprintf("orders %d/%d · %d delivered · %d cancelled · %.0f events/s · %d connections · %d reconnects",
		s.placed.Load(), orders, s.delivered.Load(), s.cancelled.Load(), perSecond, s.online.Load(), s.resumed.Load())
}
