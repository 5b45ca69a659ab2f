package session

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/orderlog/orderlog/delivery"
)

// Session is one client's stream, and what it may do. Do is for one goroutine, the reader; Next, Due, Cursor and Answered
// for one goroutine, the writer; everything else is safe for concurrent use.
type Session struct{}

// Registered is what the client is answered first.
func (x *Session) Registered() Registered { return Registered{} }

// Cursor is the seq after which the stream began: what the first thing that is told comes after.
func (x *Session) Cursor() int64 { return 0 }

// Expires is when the client's token expires; zero for an anonymous client. Refreshing moves it.
func (x *Session) Expires() time.Time { return time.Time{} }

// Close ends the session. It is safe to call it again.
func (x *Session) Close() {}

// Reply is what serving an event of the client came to.
type Reply struct {
	Data    any       // of the acknowledgement
	Expires time.Time // of the new token; zero if there is none
	// Room is what was joined or left. When Answered is set, the writer calls Session.Answered behind the answer, also when
	// the answer is an error.
	Room             string
	Answered, Joined bool
}

// Do serves an event of the client: all of ClientEvents but register and ping. It waits for what it needs, some seconds
// at most. FailureOf says what the client is told of an error, and the Reply counts with an error too. Errors that end the
// connection over some transports: ErrAnotherUser.
func (x *Session) Do(ctx context.Context, event string, data json.RawMessage) (Reply, error) {
	return Reply{}, errors.New("not yet")
}

// Answered says that the answer to a join is out: from then on the room's end is told. A Reply that needs none is passed
// over.
func (x *Session) Answered(r Reply) {}

// Told is something that the client is told: one of the kinds, or nothing.
type Told struct {
	Left   []string // rooms
	Frames []*delivery.Frame
	// Prev is the seq that the client was told of before the first of the Frames; each other frame follows the one before.
	Prev       int64
	Resync     *Resync
	CaughtUp   *Position
	Checkpoint *Position
}

// Empty says that there is nothing to tell now.
func (t Told) Empty() bool {
	return len(t.Frames) == 0 && len(t.Left) == 0 && t.Resync == nil && t.CaughtUp == nil && t.Checkpoint == nil
}

// Ready gets a value when Next may have something to tell, or Due has changed. It is Start.Wake, if that was given.
func (x *Session) Ready() <-chan struct{} { return nil }

// Due is when Next has something to do again although Ready got no value: a checkpoint, or the token's end.
func (x *Session) Due() time.Time { return time.Time{} }

// Next returns what is to be told next, with at most limit frames; something empty when there is nothing now, until Ready
// gets a value or Due comes. What it returns counts as told. It waits only while it catches up from the database, and not
// beyond ctx. Errors: a *domain.Error token_expired, delivery.ErrClosed, and the context's, after which it may be called again.
func (x *Session) Next(ctx context.Context, limit int, now time.Time) (Told, error) {
	return Told{}, errors.New("not yet")
}

// FailureOf is what a client is told of an error, and says whether the error is this side's and belongs into the log.
func FailureOf(err error) (f Failure, logIt bool) { return Failure{}, false }

func (x *Session) refresh(context.Context, json.RawMessage) (Reply, error)       { return Reply{}, nil }
func (x *Session) joinOrder(context.Context, json.RawMessage) (Reply, error)     { return Reply{}, nil }
func (x *Session) leaveOrder(context.Context, json.RawMessage) (Reply, error)    { return Reply{}, nil }
func (x *Session) joinDelivery(context.Context, json.RawMessage) (Reply, error)  { return Reply{}, nil }
func (x *Session) leaveDelivery(context.Context, json.RawMessage) (Reply, error) { return Reply{}, nil }
func (x *Session) locate(context.Context, json.RawMessage) (Reply, error)        { return Reply{}, nil }
