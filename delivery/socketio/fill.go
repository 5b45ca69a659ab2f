package socketio

import (
	"context"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/domain"
)

// pullFrames is how many frames are taken at a time.
const pullFrames = 64

// Fill implements namespace.Application: it tells what there is.
func (s *socket) Fill(ctx context.Context, out *namespace.Out) (next time.Time, again bool) {
	s.mu.Lock()
	settled := s.settled
	s.settled = nil
	s.mu.Unlock()
	for _, r := range settled {
		s.settle(r)
	}
	for !out.Full() {
		if last := s.conn.last(); last != nil {
			if !s.ended {
				s.ended = true
				out.Event(last)
			}
			return time.Time{}, false
		}
		if n := s.conn.slowdowns(); n != s.slowed {
			s.slowed = n
			out.Event(slowedDown)
			continue
		}
		if !s.tellLeft(ctx, out) {
			return time.Time{}, true
		}
		told, err := s.session.Next(pullFrames, time.Now()) //nolint:contextcheck // what is read for it outlives the asking
		switch {
		case domain.CodeOf(err) == delivery.CodeTokenExpired:
			s.expire(err)
		case err != nil: // closed
			return time.Time{}, false
		case told.Empty():
			s.touch(ctx)
			return s.session.Due(), false
		default:
			s.tell(out, told)
		}
	}
	return time.Time{}, true
}

// expire ends the connection, so that the client comes back with a new token. A DISCONNECT would keep it away.
func (s *socket) expire(err error) {
	f, _ := session.FailureOf(err)
	s.conn.dismiss(appendEvent(nil, "error", f, nil))
	s.conn.session.Close(reasonTokenExpired)
}

func (s *socket) tell(out *namespace.Out, told session.Told) {
	s.left = append(s.left, told.Left...)
	for _, f := range told.Frames {
		s.tellFrame(out, f)
	}
	if r := told.Resync; r != nil {
		s.conn.h.counters.count(func(c *Stats) { c.Resyncs[r.Reason]++ })
		s.tellAt(out, "resync", *r, r.Seq)
	}
	if p := told.CaughtUp; p != nil {
		s.tellAt(out, "caught_up", *p, p.Seq)
	}
	if p := told.Checkpoint; p != nil {
		s.tellAt(out, "checkpoint", *p, p.Seq)
	}
}

// tellFrame tells of an event of the log: to an admin, of an order's status by two packets.
func (s *socket) tellFrame(out *namespace.Out, f *delivery.Frame) {
	s.told = f.Seq
	at := s.pid.at(f.Seq)
	if s.user.Role == domain.RoleAdmin && isPair(f) && f.Seq != s.skipFirst {
		if at.marked {
			out.Event(appendFrame(nil, f, eventStatusChanged, offset{seq: f.Seq, first: true, marked: true}))
		} else {
			out.Event(changedOf(f))
		}
	}
	if at.marked {
		out.Event(appendFrame(nil, f, f.Event, at))
		return
	}
	out.Event(eventOf(f))
}

// tellAt tells of a seq that the client knows everything up to.
func (s *socket) tellAt(out *namespace.Out, event string, data any, seq int64) {
	s.told = seq
	at := s.pid.at(seq)
	out.End(appendEvent(out.Begin(), event, data, &at))
}

// tellLeft tells of the rooms that were taken from the client, which the database hears of before: a recovered connection
// is not to be in a room that its client was told it had left, and is told so again if it may not have heard. It answers
// false when ctx ended before all were told.
func (s *socket) tellLeft(ctx context.Context, out *namespace.Out) bool {
	if len(s.left) == 0 {
		return true
	}
	done, ok := s.takeTurn(ctx)
	if !ok {
		return false
	}
	defer done()
	for _, room := range s.left {
		s.mu.Lock()
		joinedAgain := s.unanswered[room] > 0 // the answer comes behind
		s.mu.Unlock()
		if !joinedAgain && s.taken(ctx, room) != nil && ctx.Err() != nil {
			return false
		}
		// After another fault the room is left to be asked for anew when the connection is recovered, as all rights are.
		out.End(appendEvent(out.Begin(), "left", session.Left{Room: room}, nil))
		s.left = s.left[1:]
	}
	s.left = nil
	return true
}

// touch keeps the rooms of a socket that stays connected from being pruned.
func (s *socket) touch(ctx context.Context) {
	if time.Now().Before(s.touchAt) {
		return
	}
	s.touchAt = time.Now().Add(s.conn.h.cfg.RoomsInterval)
	s.mu.Lock()
	stored := false
	for _, room := range s.rooms {
		stored = stored || room.stored
	}
	s.mu.Unlock()
	if !stored {
		return
	}
	// A fault is logged, and there is time for another try.
	_ = s.withRooms(ctx, "the rooms of a connection could not be kept", func(ctx context.Context, rooms Rooms) error {
		return rooms.Keep(ctx, s.holder())
	})
}
