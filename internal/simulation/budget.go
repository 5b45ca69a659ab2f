package simulation

import "time"

// A connection may send 100 messages in 10 s; the budget keeps well below, because both clocks start at another time.
const (
	budgetMessages = 80
	budgetSpan     = 10 * time.Second
)

// budget holds a client to what the server takes of one connection. The zero value is unspent. It is for one
// goroutine at a time.
type budget struct {
	times [budgetMessages]time.Time // circular
	next  int
}

// spend says whether one more message may be sent at a time, and counts it.
func (b *budget) spend(now time.Time) bool {
	if now.Sub(b.times[b.next]) < budgetSpan {
		return false
	}
	b.times[b.next] = now
	b.next = (b.next + 1) % budgetMessages
	return true
}
