package session

import (
	"context"
	"encoding/json"
	"sync"
	"sync/atomic"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/internal/auth"
)

// Session is one client's stream, and what it may do. Do and TakeBack are for one goroutine at a time, the reader; Next, Take,
// Due and Answered for one at a time, the writer; everything else is safe for concurrent use.
type Session struct {
	service    *Service
	sub        *delivery.Subscription // the rooms that are joined are its channels
	registered Registered
	begin      int64
	roomsFrom  map[string]int64
	remoteAddr string
	expires    atomic.Int64 // Unix microseconds; 0: never
	ended      sync.Once

	user auth.Identity // the reader's; without a UserID it is anonymous

	// The writer's.
	prev         int64 // the seq that the client was told of last
	checkpointAt time.Time
	resync       *Resync // to be told first
	// announce says that the client gave a cursor, and is to be told when it has caught up.
	announce bool
	// oldest says that the client asked for all there is, so retention cannot come between.
	oldest bool
}

// Registered is what the client is answered first. Its slices must not be changed.
func (x *Session) Registered() Registered { return x.registered }

// Cursor is the seq that the stream began after.
func (x *Session) Cursor() int64 { return x.begin }

// RoomsFrom has the seqs from which the rooms count that the session was opened with; 0 is of those that count from Cursor.
// It must not be changed.
func (x *Session) RoomsFrom() map[string]int64 { return x.roomsFrom }

// Expires is when the client's token expires; zero for an anonymous client. A refresh moves it.
func (x *Session) Expires() time.Time {
	if at := x.expires.Load(); at != 0 {
		return time.UnixMicro(at)
	}
	return time.Time{}
}

func (x *Session) setExpires(at time.Time) {
	if !at.IsZero() {
		x.expires.Store(at.UnixMicro())
	}
}

// Close ends the session. It is safe to call it again.
func (x *Session) Close() {
	x.ended.Do(func() {
		x.sub.Close()
		x.service.count(x, -1)
		x.service.leave(x.registered.UserID)
	})
}

// Reply is what serving an event of the client came to.
type Reply struct {
	Data    any       // of the acknowledgement
	Expires time.Time // of the new token; zero if there is none
	// Room is what was joined or left, and From the seq after which the stream carries a room that was joined.
	Room string
	From int64
	// Answered says that Session.Answered is to be called behind the answer, and Joined that the answer is no error.
	Answered, Joined bool

	again bool // it was joined before
}

var clientEventsByName = func() map[string]ClientEvent {
	byName := make(map[string]ClientEvent, len(clientEvents))
	for _, e := range clientEvents {
		byName[e.Name] = e
	}
	return byName
}()

// Do serves an event of the client: all of ClientEvents but register and ping. It waits for what it needs, for
// Config.ServeTimeout at most, after which the client is told that it is unavailable. The Reply counts with an error too, and FailureOf says what the client is told of one. ErrAnotherUser is an
// error that may end the connection.
func (x *Session) Do(ctx context.Context, event string, data json.RawMessage) (Reply, error) {
	if x.user.UserID == "" {
		return Reply{}, errAnonymous
	}
	e, known := clientEventsByName[event]
	if !known || e.serve == nil {
		return Reply{}, errUnknownEvent
	}
	limited, cancel := context.WithTimeout(ctx, x.service.cfg.ServeTimeout)
	defer cancel()
	return e.serve(x, limited, data)
}

// Answered says that the answer to a join is out: from then on the room's end is told. Replies that need nothing are
// passed over.
func (x *Session) Answered(r Reply) {
	if r.Answered {
		x.sub.Answered(r.Room, r.Joined)
	}
}

// refresh takes a new token for the same user, so that the session outlives the old one.
func (x *Session) refresh(ctx context.Context, data json.RawMessage) (Reply, error) {
	var d Refresh
	if err := decodeData(data, &d, "{token}"); err != nil {
		return Reply{}, err
	}
	user, err := x.service.Authenticate(ctx, d.Token)
	if err != nil { // the old token still holds
		return Reply{}, err
	}
	if user.UserID != x.user.UserID || user.Role != x.user.Role {
		return Reply{}, ErrAnotherUser
	}
	x.user = user
	x.setExpires(user.ExpiresAt)
	x.sub.Signal() // the writer waits for the old one's end
	return Reply{Data: Empty{}, Expires: user.ExpiresAt}, nil
}
