package socketio

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// socket is a client in a namespace. Its reader's turn is Event, and its writer's is Fill.
type socket struct {
	conn    *conn
	out     *namespace.Socket // what is answered
	session *session.Session
	user    auth.Identity // nobody without a UserID
	pid     pid
	// generation is the Holder's.
	generation int64

	// The writer's.
	slowed    int      // of conn's slowdowns it was told
	skipFirst int64    // the seq whose first packet of the pair is left out
	left      []string // rooms that are to be told as left
	told      int64    // the seq of what it was told last
	touchAt   time.Time
	ended     bool // it was told its last

	// turn is held while the database hears of the rooms, so that it hears of them in the order in which it happened. It is
	// a channel because who waits for it does so within a context.
	turn chan struct{}

	mu    sync.Mutex
	rooms map[string]stay
	// unanswered counts the joinings of a room whose answer is not out yet.
	unanswered map[string]int
	settled    []session.Reply // have no answer; for the writer
}

// stay is a room that the socket is in.
type stay struct {
	from   int64 // it counts after it
	stored bool  // the database knows
}

func newSocket(c *conn, out *namespace.Socket, user auth.Identity, x *session.Session) *socket {
	return &socket{
		conn: c, out: out, user: user, session: x, turn: make(chan struct{}, 1), touchAt: time.Now().Add(c.h.cfg.RoomsInterval),
		rooms: map[string]stay{}, unanswered: map[string]int{}, slowed: c.slowdowns(), told: x.Cursor(),
	}
}

// takeRooms notes the rooms that the session is in from its beginning. One that was recalled and is the client's no more is
// to be told as left, once more perhaps.
func (s *socket) takeRooms(recalled Recalled) {
	s.generation = recalled.Generation
	for _, channel := range s.session.Registered().Channels {
		if isRoom(channel) {
			_, stored := recalled.From[channel]
			s.rooms[channel] = stay{from: max(s.session.RoomsFrom()[channel], s.session.Cursor()), stored: stored}
		}
	}
	for _, room := range recalled.all() {
		if _, in := s.rooms[room]; !in {
			s.rooms[room] = stay{stored: true} // until it is told
			s.left = append(s.left, room)
		}
	}
}

// holder is who the database knows the rooms' holder to be.
func (s *socket) holder() Holder { return Holder{s.pid.recovery, s.user.UserID, s.generation} }

// keepRooms has the database remember the rooms that the client asked for when it connected and whose past is not its to
// see: when it asks again, they would count from then. All others count from its cursor.
func (s *socket) keepRooms(ctx context.Context) error {
	for room, in := range s.rooms {
		if in.stored || s.session.RoomsFrom()[room] == 0 {
			continue
		}
		if err := s.remember(ctx, session.Reply{Room: room, From: in.from}); err != nil {
			return err
		}
	}
	return nil
}

func isRoom(channel string) bool {
	return strings.HasPrefix(channel, "order:") || strings.HasPrefix(channel, "delivery:")
}

// count counts the socket as open.
func (s *socket) count(recovered bool) {
	s.conn.h.counters.count(func(c *Stats) {
		c.Sockets[s.kind()]++
		switch {
		case recovered:
			c.Recovered++
		case s.session.Registered().Recovered:
			c.Resumed++
		default:
			c.Anew++
		}
	})
}

func (s *socket) kind() SocketKind { return SocketKind{s.out.Namespace(), s.user.Role} }

// Close implements namespace.Application.
func (s *socket) Close(engine.Reason) {
	s.session.Close()
	s.conn.h.counters.count(func(c *Stats) { c.Sockets[s.kind()]-- })
}

// registered is what the client is answered when it registers: what it was when it connected, in the rooms of now.
func (s *socket) registered() session.Registered {
	r := s.session.Registered()
	channels := slices.DeleteFunc(slices.Clone(r.Channels), isRoom)
	s.mu.Lock()
	defer s.mu.Unlock()
	r.Channels = append(channels, slices.Sorted(maps.Keys(s.rooms))...)
	return r
}

// takeTurn waits for the turn, and gives it back by the function it returns. It fails when ctx ends first.
func (s *socket) takeTurn(ctx context.Context) (done func(), ok bool) {
	select {
	case s.turn <- struct{}{}:
		return func() { <-s.turn }, true
	case <-ctx.Done():
		return nil, false
	}
}

// errRooms is what a client is told when the database cannot be told of its rooms.
func errRooms(err error) error {
	return domain.Errorf(domain.CodeUnavailable, "the room cannot be remembered now: try again in a moment").WithCause(err)
}

// withRooms calls a function of Rooms within its time.
func (s *socket) withRooms(ctx context.Context, what string, call func(context.Context, Rooms) error) error {
	limited, cancel := context.WithTimeout(ctx, s.conn.h.cfg.RoomsTimeout)
	defer cancel()
	err := call(limited, s.conn.h.cfg.Rooms)
	if err != nil && ctx.Err() == nil {
		s.conn.h.cfg.Logger.ErrorContext(ctx, what, "user", s.user.UserID, "error", err)
	}
	return err
}
