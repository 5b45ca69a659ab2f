package eventstore

import (
	"context"
	"time"

	"github.com/google/uuid"
)

// TailEvents is how many events a [Tail] holds.
const TailEvents = tailEvents

// Keep has a tail hold events of a log on a server that was started at a time.
func (t *Tail) Keep(log uuid.UUID, started time.Time, events []Recorded) {
	t.keep(logLife{log, started}, events)
}

// After returns what a tail holds.
func (t *Tail) After(log uuid.UUID, started time.Time, after, upTo int64) []Recorded {
	return t.after(logLife{log, started}, after, upTo)
}

// The parts of the canonical bytes.
var (
	AppendCompact = appendCompact
	AppendString  = appendString
)

// ScanPages is Scan with another size of page.
func (s *Store) ScanPages(ctx context.Context, after, upTo, page int64, each func(Recorded) error) error {
	return s.scan(ctx, after, upTo, page, each)
}

// TellFor sets how long a group may take to tell of a failure.
func (g *Group) TellFor(most time.Duration) { g.tellAtMost = most }

// FailAt is what happens when the segment behind a checkpoint has failed.
func (g *Group) FailAt(after int64, err error) {
	g.failed(&segment{group: g, after: after, upTo: after + 1, handled: true}, err)
	g.tell(false)
}

// LookUps are the statements that must go by an index whatever the planner believes.
func LookUps() map[string]string {
	return map[string]string{
		"the streams' versions": sqlLookupStreams,
		"the idempotency keys":  sqlLookupKeys,
		"the streams' bounds":   sqlStreamBounds,
	}
}

// Statements are all that take parameters and so can be prepared.
func Statements() map[string]string {
	return map[string]string{
		"sqlLockHead": sqlLockHead, "sqlLookupStreams": sqlLookupStreams, "sqlLookupKeys": sqlLookupKeys,
		"sqlInsertEvents": sqlInsertEvents, "sqlUpsertStreams": sqlUpsertStreams, "sqlInsertKeys": sqlInsertKeys,
		"sqlMoveHead": sqlMoveHead, "sqlAppend": sqlAppend, "sqlNotify": sqlNotify, "sqlAwaitHead": sqlAwaitHead, "sqlNewerThan": sqlNewerThan,
		"sqlEventExists": sqlEventExists, "sqlStreamBounds": sqlStreamBounds, "sqlReadStream": sqlReadStream,
		"sqlReadLog": sqlReadLog, "sqlReadLast": sqlReadLast, "sqlHead": sqlHead, "sqlAddPartitions": sqlAddPartitions,
		"sqlSeqAt":       sqlSeqAt,
		"sqlNextSegment": sqlNextSegment, "sqlMoveCheckpoint": sqlMoveCheckpoint,
		"sqlTellFailure": sqlTellFailure, "sqlClearFailures": sqlClearFailures,
	}
}
