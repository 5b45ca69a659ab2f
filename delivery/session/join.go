package session

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

func (x *Session) joinOrder(ctx context.Context, data json.RawMessage) (Reply, error) {
	want, err := decodeOrderRoom(data)
	return x.join(ctx, want, err)
}

func (x *Session) joinDelivery(ctx context.Context, data json.RawMessage) (Reply, error) {
	want, err := decodeDeliveryRoom(data)
	return x.join(ctx, want, err)
}

func (x *Session) leaveOrder(_ context.Context, data json.RawMessage) (Reply, error) {
	want, err := decodeOrderRoom(data)
	return x.leave(want, err)
}

func (x *Session) leaveDelivery(_ context.Context, data json.RawMessage) (Reply, error) {
	want, err := decodeDeliveryRoom(data)
	return x.leave(want, err)
}

// maxChecks is how often a right is checked when it ends again and again just behind the check.
const maxChecks = 3

// ownChannels are those of the token: all, and those of the user and the role.
const ownChannels = 3

var errForbiddenRoom = domain.Errorf(domain.CodeForbidden, "this is not yours to follow")

// join adds a room to the stream. With lastSeq the answer brings what the room carried after it, up to the seq from
// which the stream carries it.
func (x *Session) join(ctx context.Context, want roomRequest, err error) (Reply, error) {
	if err == nil {
		err = x.checkJoin(ctx, want)
	}
	if err != nil {
		return Reply{}, err
	}
	from, again, err := x.enter(ctx, want.room)
	if err != nil {
		return Reply{}, err
	}
	reply := Reply{Room: want.name, From: from, Answered: true, Joined: true, again: again}
	reply.Data, err = x.joined(ctx, want, from, again)
	if err != nil {
		return x.TakeBack(reply), err
	}
	return reply, nil
}

// TakeBack undoes a join that is to be answered by an error after all. What it returns is for Answered.
func (x *Session) TakeBack(r Reply) Reply {
	if r.Joined && !r.again {
		x.sub.Unjoin(r.Room)
	}
	r.Data, r.Joined = nil, false
	return r
}

// checkJoin refuses what needs no look at rights.
func (x *Session) checkJoin(ctx context.Context, want roomRequest) error {
	if !x.sub.Has(want.name) && x.sub.Channels()-ownChannels >= x.service.cfg.MaxRooms {
		return domain.Errorf(CodeTooManyRooms, "a connection joins at most %d rooms: leave one first", x.service.cfg.MaxRooms)
	}
	if want.lastSeq == nil {
		return nil
	}
	b, err := x.service.cfg.Hub.Bounds(ctx)
	if err == nil && *want.lastSeq > b.Head {
		return domain.Errorf(delivery.CodeCursorAhead, "the cursor is ahead of the log: read the state anew and join without lastSeq")
	}
	return err
}

// enter joins a room, if the user may be there. The right may end between its check and the joining: then it is
// checked again.
func (x *Session) enter(ctx context.Context, m room) (from int64, again bool, _ error) {
	for range maxChecks {
		checked := x.service.cfg.Hub.Position()
		since, open, err := x.mayEnter(ctx, m)
		if err != nil {
			return 0, false, err
		}
		if !open {
			x.sub.End(m.name) // the hub has not come to it yet
			return 0, false, errForbiddenRoom
		}
		from, again, err = x.sub.Join(m.name, checked, since)
		if !errors.Is(err, delivery.ErrEnded) {
			return from, again, err
		}
	}
	return 0, false, delivery.ErrEnded
}

// mayEnter asks the log, when it is its turn.
func (x *Session) mayEnter(ctx context.Context, m room) (since int64, open bool, err error) {
	done, err := x.service.work(ctx)
	if err != nil {
		return 0, false, err
	}
	defer done()
	return m.open(ctx, x.service.cfg.Access, x.user)
}

// joined makes the answer to a join.
func (x *Session) joined(ctx context.Context, want roomRequest, from int64, again bool) (Joined, error) {
	a := Joined{Room: want.name, Seq: from, Events: []json.RawMessage{}}
	after := want.lastSeq
	if !want.hasPast(x.user) {
		after = nil
	}
	if again && (after == nil || *after >= from) {
		// Everything since it was joined has come in the stream already, or is still to come.
		a.Seq = max(from, x.sub.Position())
	}
	if after == nil {
		return a, nil
	}
	if err := x.history(ctx, &a, *after); err != nil {
		return a, err
	}
	if !x.sub.Has(want.name) { // it ended while its past was read, which is not handed out any more
		return a, errForbiddenRoom
	}
	return a, nil
}

// historyWait is how long a join waits for the notification log to reach what the client knows already.
const historyWait = 2 * time.Second

// history adds the room's events in (after, a.Seq]. What is too much is left for the client to ask for again.
func (x *Session) history(ctx context.Context, a *Joined, after int64) error {
	cfg := &x.service.cfg
	upTo, prev, bytes, waited := a.Seq, after, 0, time.Duration(0)
	cursor := after
	if after == 0 { // all there is
		b, err := cfg.Hub.Bounds(ctx)
		if err != nil {
			return err
		}
		cursor = b.Floor
	}
	for cursor < upTo {
		page, err := cfg.Hub.Read(ctx, []string{a.Room}, cursor, cfg.MaxJoinEvents-len(a.Events)+1)
		if err != nil {
			return err
		}
		for _, f := range page.Frames {
			if f.Seq > upTo {
				return nil
			}
			event := f.Append(nil, prev)
			bytes += len(event)
			if len(a.Events) == cfg.MaxJoinEvents || (len(a.Events) > 0 && bytes > cfg.MaxJoinBytes) {
				a.Seq, a.More = prev, true
				return nil
			}
			a.Events, prev = append(a.Events, event), f.Seq
		}
		if page.Position == cursor { // the client knows more than the log of notifications has reached
			if waited >= historyWait {
				a.Seq, a.More = cursor, true
				return nil
			}
			const step = 20 * time.Millisecond
			if waited += step; !pause(ctx, step) {
				return fmt.Errorf("wait for the notification log: %w", ctx.Err())
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
func (x *Session) leave(want roomRequest, err error) (Reply, error) {
	if err != nil {
		return Reply{}, err
	}
	x.sub.Leave(want.name)
	return Reply{Room: want.name, Data: Joined{Room: want.name, Seq: x.sub.Position(), Events: []json.RawMessage{}}}, nil
}
