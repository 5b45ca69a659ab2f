package eventstore

import (
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	// tailEvents is how many events a Tail keeps, tailEventBytes how large one may be: 64 MiB in all at the very most.
	tailEvents     = 4096
	tailEventBytes = 16 << 10
)

// Tail keeps the newest events that the groups of a process have read, so that each event is read from the database
// once and not once a group. A group still finds out in its own transaction which events there are for it: the Tail
// only spares it the reading of those whose rows another group has read. Rows of the log never change, so they are
// what the group would have read.
//
// It is bounded, in events and in their size. It is safe for concurrent use; nobody waits in it.
type Tail struct {
	slots [tailEvents]atomic.Pointer[kept] // an event is in slot seq % tailEvents, or not there
}

// kept is an event with the log that it is of.
type kept struct {
	of logLife
	Recorded
}

// logLife tells a log from one that was put into its place: a backup is restored into a server that was started since,
// or into a database and a table that are new. Where rows were deleted by force and others appended, nobody can tell.
type logLife struct {
	id              uuid.UUID
	started         time.Time // the server
	database, table uint32    // the oid, and that of log_head
}

// NewTail returns an empty Tail.
func NewTail() *Tail { return &Tail{} }

// after returns the events after a seq up to another, as far as all of them are there. They are shared: their Data and
// Meta are only to be read.
func (t *Tail) after(of logLife, after, upTo int64) []Recorded {
	if t == nil {
		return nil
	}
	var events []Recorded
	for seq := after + 1; seq <= upTo; seq++ {
		k := t.slots[seq%tailEvents].Load()
		if k == nil || k.Seq != seq || k.of != of {
			break
		}
		events = append(events, k.Recorded)
	}
	return events
}

// keep takes in events that were read in a transaction which saw them committed.
func (t *Tail) keep(of logLife, events []Recorded) {
	if t == nil {
		return
	}
	for _, e := range events[max(0, len(events)-tailEvents):] {
		slot := &t.slots[e.Seq%tailEvents]
		if old := slot.Load(); old != nil && old.of == of && old.Seq > e.Seq {
			continue // a group that is far behind does not push out what is newer
		}
		if len(e.Data)+len(e.Meta) <= tailEventBytes {
			slot.Store(&kept{of, e})
		}
	}
}
