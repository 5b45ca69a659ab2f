package ws

import (
	"context"
	"encoding/json"
	"errors"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

func (r *reader) joinOrder(ctx context.Context, req request) {
	want, err := decodeOrderRoom(req.Data)
	r.join(ctx, req, want, err)
}

func (r *reader) joinDelivery(ctx context.Context, req request) {
	want, err := decodeDeliveryRoom(req.Data)
	r.join(ctx, req, want, err)
}

func (r *reader) leaveOrder(ctx context.Context, req request) {
	want, err := decodeOrderRoom(req.Data)
	r.leave(ctx, req, want, err)
}

func (r *reader) leaveDelivery(ctx context.Context, req request) {
	want, err := decodeDeliveryRoom(req.Data)
	r.leave(ctx, req, want, err)
}

// maxChecks is how often a right is checked when it ends again and again just behind the check.
const maxChecks = 3

// ownChannels are those of the token: all, and those of the user and the role.
const ownChannels = 3

var errForbiddenRoom = domain.Errorf(domain.CodeForbidden, "this is not yours to follow")

// join adds a room to the stream. With lastSeq the answer brings what the room carried after it, up to the seq from
// which the stream carries it.
func (r *reader) join(ctx context.Context, req request, want roomRequest, err error) {
	if err == nil {
		err = r.checkJoin(ctx, want)
	}
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	from, again, err := r.enter(ctx, want.room)
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	a, err := r.joined(ctx, want, from, again)
	if err == nil {
		r.ack(req, a)
	} else {
		if !again {
			r.sub.Unjoin(want.name)
		}
		r.refuse(ctx, req, err)
	}
	r.send(outgoing{answered: want.name, joined: err == nil})
}

// checkJoin refuses what needs no look at rights.
func (r *reader) checkJoin(ctx context.Context, want roomRequest) error {
	if !r.sub.Has(want.name) && r.sub.Channels()-ownChannels >= r.cfg.MaxRooms {
		return domain.Errorf(codeTooManyRooms, "a connection joins at most %d rooms: leave one first", r.cfg.MaxRooms)
	}
	if want.lastSeq == nil {
		return nil
	}
	b, err := r.cfg.Hub.Bounds(ctx)
	if err == nil && *want.lastSeq > b.Head {
		return domain.Errorf(delivery.CodeCursorAhead, "the cursor is ahead of the log: read the state anew and join without lastSeq")
	}
	return err
}

// enter joins a room, if the user may be there. The right may end between its check and the joining: then it is
// checked again.
func (r *reader) enter(ctx context.Context, m room) (from int64, again bool, _ error) {
	for range maxChecks {
		checked := r.cfg.Hub.Position()
		since, open, err := m.open(ctx, r.cfg.Access, r.user)
		if err != nil {
			return 0, false, err
		}
		if !open {
			r.sub.End(m.name) // the hub has not come to it yet
			return 0, false, errForbiddenRoom
		}
		from, again, err = r.sub.Join(m.name, checked, since)
		if !errors.Is(err, delivery.ErrEnded) {
			return from, again, err
		}
	}
	return 0, false, delivery.ErrEnded
}

// joined makes the answer to a join.
func (r *reader) joined(ctx context.Context, want roomRequest, from int64, again bool) (Joined, error) {
	a := Joined{Room: want.name, Seq: from, Events: []json.RawMessage{}}
	after := want.lastSeq
	if !want.hasPast(r.user) {
		after = nil
	}
	if again && (after == nil || *after >= from) {
		// Everything since it was joined has come in the stream already, or is still to come.
		a.Seq = max(from, r.sub.Position())
	}
	if after == nil {
		return a, nil
	}
	if err := r.history(ctx, &a, *after); err != nil {
		return a, err
	}
	if !r.sub.Has(want.name) { // it ended while its past was read, which is not handed out any more
		return a, errForbiddenRoom
	}
	return a, nil
}

// historyWait is how long a join waits for the notification log to reach what the client knows already.
const historyWait = 2 * time.Second

// history adds the room's events in (after, a.Seq]. What is too much is left for the client to ask for again.
func (r *reader) history(ctx context.Context, a *Joined, after int64) error {
	upTo, prev, bytes, waited := a.Seq, after, 0, time.Duration(0)
	cursor := after
	if after == 0 { // all there is
		b, err := r.cfg.Hub.Bounds(ctx)
		if err != nil {
			return err
		}
		cursor = b.Floor
	}
	for cursor < upTo {
		page, err := r.cfg.Hub.Read(ctx, []string{a.Room}, cursor, r.cfg.MaxJoinEvents-len(a.Events)+1)
		if err != nil {
			return err
		}
		for _, f := range page.Frames {
			if f.Seq > upTo {
				return nil
			}
			if len(a.Events) == r.cfg.MaxJoinEvents || (bytes > 0 && bytes+f.Size() > r.cfg.MaxJoinBytes) {
				a.Seq, a.More = prev, true
				return nil
			}
			event := f.Append(nil, prev)
			a.Events, prev = append(a.Events, event), f.Seq
			bytes += len(event)
		}
		if page.Position == cursor { // the client knows more than the log of notifications has reached
			if waited >= historyWait {
				a.Seq, a.More = cursor, true
				return nil
			}
			const step = 20 * time.Millisecond
			if waited += step; !pause(ctx, step) {
				return errors.New("the connection ended")
			}
		}
		cursor = page.Position
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// leave takes a room out of the stream: nothing of it comes behind the answer. A room that is not joined, or has
// ended, is left already.
func (r *reader) leave(ctx context.Context, req request, want roomRequest, err error) {
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	r.sub.Leave(want.name)
	r.ack(req, Joined{Room: want.name, Seq: r.sub.Position(), Events: []json.RawMessage{}})
}
