package eventstore

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
)

// TailEvents is how many events a [Tail] holds.
const TailEvents = tailEvents

// Keep has a tail hold events of a log on a server that was started at a time.
func (t *Tail) Keep(log uuid.UUID, started time.Time, events []Recorded) {
	t.keep(logLife{id: log, started: started}, events)
}

// KeepOf is Keep with the oids of the database and of the log's head.
func (t *Tail) KeepOf(log uuid.UUID, started time.Time, database, table uint32, events []Recorded) {
	t.keep(logLife{log, started, database, table}, events)
}

// After returns what a tail holds.
func (t *Tail) After(log uuid.UUID, started time.Time, after, upTo int64) []Recorded {
	return t.after(logLife{id: log, started: started}, after, upTo)
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

// Parameters are the values that sqlAppend is called with for a batch, and how they are encoded.
func Parameters(appends []Append) (values []any, encoded [][]byte, err error) {
	b, err := batchOf(appends)
	if err != nil {
		return nil, nil, err
	}
	e, k := &b.events, &b.keys
	st, c := b.streamRows()
	return []any{
		orEmpty(c.streamType), orEmpty(c.streamID), orEmpty(c.version),
		orEmpty(st.streamType), orEmpty(st.streamID), orEmpty(st.found), orEmpty(st.version), orEmpty(st.first), orEmpty(st.last),
		orEmpty(e.id), orEmpty(e.streamType), orEmpty(e.streamID), orEmpty(e.version), orEmpty(e.typ), orEmpty(e.data), orEmpty(e.meta),
		orEmpty(k.scope), orEmpty(k.key), orEmpty(k.fingerprint), orEmpty(k.first), orEmpty(k.last), orEmpty(k.answer), EventsChannel,
	}, b.parameters(), nil
}

// orEmpty is a slice that is not nil, which pgx would take for NULL.
func orEmpty[S ~[]T, T any](values S) S { return append(S{}, values...) }

// ParametersAgain encodes the parameters of one batch as often as it is called.
func ParametersAgain(appends []Append) (encode func() [][]byte, err error) {
	b, err := batchOf(appends)
	if err != nil {
		return nil, err
	}
	return b.parameters, nil
}

func batchOf(appends []Append) (*batch, error) {
	requests := make([]*request, len(appends))
	for i, a := range appends {
		var err error
		if requests[i], err = newRequest(a); err != nil {
			return nil, err
		}
	}
	b, ok := asExpected(requests)
	if !ok {
		return nil, errors.New("the appends do not fit together")
	}
	return b, nil
}
