package socket

import (
	"errors"
	"time"
)

// Meter bounds how often something may happen in a span of time. It begins anew with what comes after a span, so at the
// worst twice as much passes in one: enough for what must only not be without end, for less memory than an exact bound
// takes. The zero value is ready. It is for one goroutine.
type Meter struct {
	from time.Time
	n    int
}

// Allow counts one, and says whether it is among the most that may be in a span.
func (m *Meter) Allow(now time.Time, most int, span time.Duration) bool {
	if now.Sub(m.from) >= span {
		m.from, m.n = now, 0
	}
	m.n++
	return m.n <= most
}

const (
	// No client needs so many pings, pongs and parts of messages. Messages themselves are counted by who serves them.
	maxFrames, frameSpan = 1000, 10 * time.Second
	// messageTime is how long a message may take from its first byte to its last: one of 64 KiB gets there by 2 KB/s.
	messageTime = 30 * time.Second
)

var (
	// ErrTooManyFrames ends the reading of a client that sends frames without end and hardly a message.
	ErrTooManyFrames = errors.New("websocket: too many frames")
	// errSlowMessage ends the reading of a message whose bytes drip.
	errSlowMessage = errors.New("websocket: a message took too long")
)
