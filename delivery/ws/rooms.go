package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

// joinOrder adds an order's room to the stream. With lastSeq the answer brings what the room carried after it, up to
// the seq from which the stream carries it.
func (r *reader) joinOrder(ctx context.Context, req request) {
	want, err := decodeRoomRequest(req.Data)
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	room := want.room()
	again := r.rooms[room]
	if !again && len(r.rooms) >= r.cfg.MaxRooms {
		r.fail(req, codeTooManyRooms, fmt.Sprintf("a connection joins at most %d rooms: leave one first", r.cfg.MaxRooms))
		return
	}
	allowed, err := r.cfg.Access.CanSeeOrder(ctx, r.user, want.OrderID)
	if err != nil {
		r.refuse(ctx, req, err)
		return
	}
	if !allowed {
		r.fail(req, domain.CodeForbidden, "this order is not yours to follow")
		return
	}
	if want.LastSeq != nil {
		b, err := r.cfg.Hub.Bounds(ctx)
		if err != nil {
			r.refuse(ctx, req, err)
			return
		}
		if *want.LastSeq > b.Head {
			r.fail(req, delivery.CodeCursorAhead, "the cursor is ahead of the log: read the state anew and join without lastSeq")
			return
		}
	}
	upTo := r.sub.Join(room)
	if again && (want.LastSeq == nil || *want.LastSeq >= upTo) {
		// Everything since it was joined has come in the stream already, or is still to come.
		upTo = max(upTo, r.sub.Position())
	}
	a := joined{Room: room, Seq: upTo, Events: []json.RawMessage{}}
	if want.LastSeq != nil {
		if err := r.history(ctx, &a, *want.LastSeq); err != nil {
			if !again {
				r.sub.Leave(room)
			}
			r.refuse(ctx, req, err)
			return
		}
	}
	r.rooms[room] = true
	r.ack(req, a)
}

// historyWait is how long a join waits for the notification log to reach what the client knows already.
const historyWait = 2 * time.Second

// history adds the room's events in (after, a.Seq]. What is too much is left for the client to ask for again.
func (r *reader) history(ctx context.Context, a *joined, after int64) error {
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

// leaveOrder takes a room out of the stream: nothing of it comes behind the answer.
func (r *reader) leaveOrder(req request) {
	want, err := decodeRoomRequest(req.Data)
	if err != nil {
		r.fail(req, domain.CodeOf(err), "data must be {orderId}")
		return
	}
	room := want.room()
	r.sub.Leave(room)
	delete(r.rooms, room)
	r.ack(req, joined{Room: room, Seq: r.sub.Position(), Events: []json.RawMessage{}})
}
