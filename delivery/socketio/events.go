package socketio

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/domain"
)

// Event implements namespace.Application: it serves what the client says, and answers it.
func (s *socket) Event(ctx context.Context, e namespace.Event) error {
	if s.conn.last() != nil { // it is going
		return nil
	}
	var data json.RawMessage
	if len(e.Args) > 0 && string(e.Args[0]) != "null" {
		data = e.Args[0]
	}
	switch e.Name {
	case "register":
		s.register(ctx, e.ID, data)
		return nil
	case "ping":
		// Its argument keeps the client from taking the name, a string that stands last, for an offset.
		s.emit(ctx, nil, "pong", session.Empty{})
		s.answer(ctx, e.ID, session.Reply{Data: session.Empty{}}, nil)
		return nil
	}
	reply, err := s.serve(ctx, e.Name, data)
	if err != nil {
		if _, logIt := session.FailureOf(err); logIt && ctx.Err() == nil {
			s.conn.h.cfg.Logger.ErrorContext(ctx, "a message could not be served", "event", e.Name, "user", s.user.UserID, "error", err)
		}
	}
	s.answer(ctx, e.ID, reply, err)
	return nil
}

// emit tells the client something, unless the connection has ended, which is no fault of what it said.
func (s *socket) emit(ctx context.Context, after func(), event string, data any) {
	_ = s.out.EmitThen(ctx, after, event, data)
}

// ack acknowledges an event of the client, unless the connection has ended.
func (s *socket) ack(ctx context.Context, after func(), id uint64, data any) {
	_ = s.out.AckThen(ctx, after, id, data)
}

// serve does what the client asks for. Rooms that it joins and leaves are noted before it is told so.
func (s *socket) serve(ctx context.Context, event string, data json.RawMessage) (session.Reply, error) {
	switch event {
	case "join:order", "join:delivery", "leave:order", "leave:delivery":
	default:
		return s.session.Do(ctx, event, data)
	}
	waiting, cancel := context.WithTimeout(ctx, s.conn.h.cfg.RoomsTimeout)
	defer cancel()
	done, ok := s.takeTurn(waiting)
	if !ok {
		return session.Reply{}, errRooms(waiting.Err())
	}
	defer done()
	reply, err := s.session.Do(ctx, event, data)
	switch {
	case reply.Room == "":
	case reply.Joined:
		if fault := s.remember(ctx, reply); fault != nil {
			reply, err = s.session.TakeBack(reply), errRooms(fault)
		}
	case !reply.Answered: // it was left
		if fault := s.forget(ctx, reply.Room); fault != nil {
			reply, err = session.Reply{}, errRooms(fault)
		}
	}
	if reply.Answered {
		s.mu.Lock()
		s.unanswered[reply.Room]++
		s.mu.Unlock()
	}
	return reply, err
}

// remember notes a room that was joined.
func (s *socket) remember(ctx context.Context, r session.Reply) error {
	s.mu.Lock()
	known, in := s.rooms[r.Room]
	s.mu.Unlock()
	if in && known.stored && known.from == r.From {
		return nil
	}
	err := s.withRooms(ctx, "a room could not be remembered", func(ctx context.Context, rooms Rooms) error {
		return rooms.Remember(ctx, s.holder(), r.Room, r.From)
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rooms[r.Room] = stay{from: r.From, stored: true}
	return nil
}

// forget takes a room back that the client has left. The turn is held.
func (s *socket) forget(ctx context.Context, room string) error {
	return s.gone(ctx, room, func(ctx context.Context, rooms Rooms) error {
		return rooms.Forget(ctx, s.holder(), room)
	})
}

// taken notes that a room was taken from the client. The turn is held.
func (s *socket) taken(ctx context.Context, room string) error {
	return s.gone(ctx, room, func(ctx context.Context, rooms Rooms) error {
		return rooms.Take(ctx, s.holder(), room, s.told)
	})
}

// gone takes a room from those that the client is in, once the database has heard of it.
func (s *socket) gone(ctx context.Context, room string, tell func(context.Context, Rooms) error) error {
	s.mu.Lock()
	known := s.rooms[room]
	s.mu.Unlock()
	if known.stored {
		if err := s.withRooms(ctx, "a room could not be forgotten", tell); err != nil {
			return err
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.rooms, room)
	return nil
}

// answer tells the client what came of its event: by the acknowledgement, if it asked for one. Without, only failures are
// told.
func (s *socket) answer(ctx context.Context, id *uint64, r session.Reply, err error) {
	data := r.Data
	r.Data = nil // it may be large
	settle := func() { s.settle(r) }
	switch {
	case err != nil && ctx.Err() != nil: // the connection has ended
	case err == nil && id != nil:
		s.ack(ctx, settle, *id, data)
	case err != nil && id != nil:
		f, _ := session.FailureOf(err)
		s.ack(ctx, settle, *id, failed{f})
	case err != nil:
		f, _ := session.FailureOf(err)
		s.emit(ctx, settle, "error", f)
	case r.Answered:
		s.mu.Lock()
		s.settled = append(s.settled, r) // the rate of messages bounds them until the writer takes them
		s.mu.Unlock()
		s.conn.wake()
	}
}

// failed is the acknowledgement of what could not be done.
type failed struct {
	Error session.Failure `json:"error"`
}

// settle is called by the writer behind the answer to a join.
func (s *socket) settle(r session.Reply) {
	if !r.Answered {
		return
	}
	s.session.Answered(r)
	if r.Joined { // the end of an earlier stay would be taken for this one's
		s.left = slices.DeleteFunc(s.left, func(room string) bool { return room == r.Room })
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unanswered[r.Room]--; s.unanswered[r.Room] <= 0 {
		delete(s.unanswered, r.Room)
	}
}

// register tells the client who it is, which it is since it connected.
func (s *socket) register(ctx context.Context, id *uint64, data json.RawMessage) {
	if err := s.checkRegistration(data); err != nil {
		s.answer(ctx, id, session.Reply{}, err)
		return
	}
	r := s.registered()
	s.emit(ctx, nil, "registered", r)
	s.answer(ctx, id, session.Reply{Data: r}, nil)
}

// checkRegistration holds what the client says of itself to its token. It grants nothing, but a client that is wrong about
// it must learn so. The anonymous may say what they like.
func (s *socket) checkRegistration(data json.RawMessage) error {
	var d struct {
		UserID  *string         `json:"userId"`
		Role    *string         `json:"role"`
		Token   json.RawMessage `json:"token"`
		LastSeq json.RawMessage `json:"lastSeq"`
		Log     json.RawMessage `json:"log"`
		Rooms   json.RawMessage `json:"rooms"`
	}
	if data != nil {
		if err := json.Unmarshal(data, &d); err != nil {
			return domain.Invalid("data", "must be {userId?, role?}").WithCause(err)
		}
	}
	for member, raw := range map[string]json.RawMessage{"token": d.Token, "lastSeq": d.LastSeq, "log": d.Log, "rooms": d.Rooms} {
		if len(raw) > 0 && string(raw) != "null" {
			return domain.Invalid(member, `belongs in the option "auth" of the connection, where it counts; register takes userId and role`)
		}
	}
	if s.user.UserID == "" {
		return nil
	}
	if (d.UserID != nil && *d.UserID != s.user.UserID) || (d.Role != nil && *d.Role != string(s.user.Role)) {
		return domain.Errorf(domain.CodeForbidden, "the token is of another user or role: connect with the right one")
	}
	return nil
}
