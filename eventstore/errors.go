package eventstore

import (
	"errors"
	"fmt"
)

var (
	// ErrIdempotencyMismatch: the key was used before for something else.
	ErrIdempotencyMismatch = errors.New("eventstore: this idempotency key was used for another request")
	// ErrInvalid: the append could never be stored as it is; the wrapping error says why.
	ErrInvalid = errors.New("eventstore: invalid append")
	// ErrOverloaded: the queue of waiting appends stayed full for as long as the caller was ready to wait.
	// Nothing was stored.
	ErrOverloaded = errors.New("eventstore: too many appends are waiting")
	// ErrUnavailable: the database could not be reached. Nothing was stored.
	ErrUnavailable = errors.New("eventstore: the database is not available")
	// ErrOutcomeUnknown: the connection was lost at the commit and the caller stopped waiting before the
	// outcome was found. Repeating the command with the same idempotency key is safe.
	ErrOutcomeUnknown = errors.New("eventstore: it is not known yet whether the append was stored")
	// ErrClosed: the store has stopped. Nothing was stored.
	ErrClosed = errors.New("eventstore: the store is closed")
)

// ConflictError says that a stream was not at the expected version. Nothing was stored.
type ConflictError struct {
	Stream           StreamID
	Expected, Actual int64
}

func (e *ConflictError) Error() string {
	return fmt.Sprintf("eventstore: stream %s is at version %d, expected %d", e.Stream, e.Actual, e.Expected)
}

// GapError says that the log is damaged: a reader of the whole log must halt, never skip.
type GapError struct {
	// Want is the seq that had to come next, Got the one that came, 0 if the log ended there.
	Want, Got int64
}

func (e *GapError) Error() string {
	return fmt.Sprintf("eventstore: the log is damaged: expected seq %d, found %d", e.Want, e.Got)
}

// RowError says that a row of the log is no event: a reader of the whole log must halt, never skip.
type RowError struct{ Seq int64 }

func (e *RowError) Error() string {
	return fmt.Sprintf("eventstore: the log is damaged: the row of seq %d is no event", e.Seq)
}
