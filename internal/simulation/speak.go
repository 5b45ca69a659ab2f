package simulation

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/gorilla/websocket"
)

// lost is the code of an acknowledgement that will not come.
const lost = "connection_lost"

// errBusy says that the client would send more than the server takes of one connection.
var errBusy = errors.New("enough was sent for now")

// frame handles one object. mu is held.
func (c *client) frame(f frame, resumed bool) (registered bool, err error) {
	switch {
	case f.Seq != nil:
		return false, c.event(f)
	case f.Ack != 0:
		if answer, ok := c.asked[f.Ack]; ok {
			delete(c.asked, f.Ack)
			answer(f)
		}
		return false, nil
	}
	var data struct {
		Log     string   `json:"log"`
		Seq     int64    `json:"seq"`
		Refused []string `json:"refused"`
		AfterMs int64    `json:"afterMs"`
		Room    string   `json:"room"`
		Code    string   `json:"code"`
	}
	if len(f.Data) > 0 {
		if err := json.Unmarshal(f.Data, &data); err != nil {
			return false, &refusedError{fmt.Sprintf("the data of %s is not as agreed: %v", f.Event, err)}
		}
	}
	switch f.Event {
	case "registered":
		c.online = true
		c.stats.online.Add(1)
		c.journal.registered(data.Log, data.Seq, resumed, data.Refused)
		return true, nil
	case "caught_up", "checkpoint":
		c.journal.told(f.Event, data.Seq)
	case "resync":
		c.journal.resync(data.Seq)
	case "left":
		c.journal.left(data.Room)
	case "reconnect":
		c.pause = time.Duration(data.AfterMs) * time.Millisecond
	case "error":
		c.stats.complain(c.name + " was told of the error " + data.Code)
	}
	return false, nil
}

func (c *client) event(f frame) error {
	if f.Prev == nil || !c.online {
		return &refusedError{fmt.Sprintf("seq %d came without prev, or before registered", *f.Seq)}
	}
	d, err := digestOf(f)
	if err != nil {
		return &refusedError{err.Error()}
	}
	taken, again := c.journal.event(*f.Prev, *f.Seq, d)
	if again {
		return errAgain
	}
	if !taken {
		return nil
	}
	c.stats.events.Add(1)
	if c.heard != nil {
		if what := c.heard(f.Event, subjectOf(f.Data)); what != "" {
			c.memory[what] = true
		}
	}
	return nil
}

// send writes one message. answered, when it is not nil, is called once, with mu held: with the acknowledgement, or
// with the code lost.
func (c *client) send(conn *websocket.Conn, event string, data any, answered func(frame)) error {
	c.mu.Lock()
	if conn == nil || c.conn != conn || !c.online {
		c.mu.Unlock()
		return &wireError{Code: lost, Message: "there is no connection"}
	}
	if !c.budget.spend(time.Now()) {
		c.mu.Unlock()
		return errBusy
	}
	message := map[string]any{"event": event, "data": data}
	if answered != nil {
		c.nextID++
		c.asked[c.nextID] = answered
		message["id"] = c.nextID
	}
	c.mu.Unlock()
	// What cannot be written is a lost connection, and its reader will find that out and settle what was asked.
	_ = c.write(conn, message)
	return nil
}

// ask sends a message and waits for its acknowledgement. before and after, which may be nil, are called with mu held
// when it is sent and when the answer comes.
func (c *client) ask(ctx context.Context, event string, data any, before func(), after func(frame)) (frame, error) {
	c.mu.Lock()
	conn := c.conn
	ready := conn != nil && c.online
	if ready && before != nil {
		before()
	}
	c.mu.Unlock()
	if !ready {
		return frame{}, &wireError{Code: lost, Message: "there is no connection"}
	}
	answer := make(chan frame, 1)
	err := c.send(conn, event, data, func(f frame) {
		if after != nil {
			after(f)
		}
		answer <- f
	})
	if err != nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		if after != nil {
			after(frame{Error: &wireError{Code: lost}})
		}
		return frame{}, err
	}
	late := time.NewTimer(hearing)
	defer late.Stop()
	select {
	case f := <-answer:
		if f.Error != nil {
			return f, f.Error
		}
		return f, nil
	case <-late.C:
		return frame{}, fmt.Errorf("there was no answer within %s", hearing)
	case <-ctx.Done():
		return frame{}, ctx.Err()
	}
}

// noPast is for a room whose user may not see what it carried before: a courier's, for a customer.
const noPast = -1

// join asks for a room and what it carried after a seq, or noPast. false means that the connection was lost, or that the server
// does not let this user in (any more), or that enough was sent for now: a user can do without.
func (c *client) join(ctx context.Context, room, event string, data map[string]any, after int64) (bool, error) {
	if after != noPast {
		data["lastSeq"] = after
	}
	c.mu.Lock()
	there := c.journal.current(room) != nil
	c.mu.Unlock()
	if there {
		return false, nil
	}
	var broken error
	_, err := c.ask(ctx, event, data, func() { c.journal.joining(room, after == noPast) }, func(f frame) {
		if f.Error == nil {
			broken = c.joined(room, after, f)
		}
		if f.Error != nil || broken != nil {
			c.journal.left(room)
		}
	})
	c.mu.Lock() // when ctx ended first, the answer may still come
	unreadable := broken
	c.mu.Unlock()
	var said *wireError
	switch {
	case unreadable != nil:
		return false, unreadable
	case err == nil:
		return true, nil
	case errors.Is(err, errBusy), errors.As(err, &said) && (said.Code == lost || said.Code == "forbidden"):
		return false, nil
	}
	return false, fmt.Errorf("%s %s: %w", event, room, err)
}

// joined reads the answer to a join. mu is held.
func (c *client) joined(room string, after int64, f frame) error {
	var a struct {
		Room   string  `json:"room"`
		Seq    int64   `json:"seq"`
		Events []frame `json:"events"`
		More   bool    `json:"more"`
	}
	if err := json.Unmarshal(f.Data, &a); err != nil {
		return fmt.Errorf("the answer to a join of %s is not as agreed: %w", room, err)
	}
	if a.Room != room {
		return fmt.Errorf("a join of %s was answered for %q", room, a.Room)
	}
	if after == noPast {
		after = a.Seq
	}
	h := answered{room: room, within: interval{after, a.Seq}}
	prev := after
	for _, e := range a.Events {
		if e.Seq == nil || e.Prev == nil || *e.Prev != prev || *e.Seq <= prev || *e.Seq > a.Seq {
			return fmt.Errorf("the history of %s is broken after seq %d", room, prev)
		}
		d, err := digestOf(e)
		if err != nil {
			return err
		}
		h.events = append(h.events, receipt{*e.Seq, d})
		prev = *e.Seq
	}
	if a.More { // what users here join is short
		return fmt.Errorf("%s has more than one answer can hold", room)
	}
	c.journal.joined(room, a.Seq, h)
	return nil
}

// leave asks to be told no more of a room.
func (c *client) leave(ctx context.Context, room, event string, data map[string]any) error {
	c.mu.Lock()
	there := c.journal.inRoom(room)
	c.mu.Unlock()
	if !there {
		return nil
	}
	_, err := c.ask(ctx, event, data, func() { c.journal.leaving(room) }, func(f frame) {
		if f.Error == nil {
			c.journal.left(room)
		}
	})
	var said *wireError
	if err == nil || errors.Is(err, errBusy) || errors.As(err, &said) && said.Code == lost {
		return nil // a lost connection has left all that was to be left, and one can stay for now
	}
	return fmt.Errorf("%s %s: %w", event, room, err)
}

// tellLocation says over the socket where the courier of an order is.
func (c *client) tellLocation(ctx context.Context, p point, answer any) error {
	f, err := c.ask(ctx, "delivery:location", p, nil, nil)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(f.Data, answer); err != nil {
		return fmt.Errorf("the answer to delivery:location is not as agreed: %w", err)
	}
	return nil
}
