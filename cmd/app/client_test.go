package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/internal/asyncapitest"
)

// client is a subscriber as the contract describes it: it keeps the seq it was last told of, checks that
// nothing is missing between what it is told, and notes every event it got.
type client struct {
	token string
	rooms []string
	last  int64   // what it was last told of; it comes back with that
	got   []int64 // the seqs of its events, in the order in which they came
	inbox []int64 // those of them that are entries of its inbox
	cuts  int
}

// received is any frame.
type received struct {
	Prev  *int64          `json:"prev"`
	Seq   *int64          `json:"seq"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
}

// connection is one connection of a client.
type connection struct {
	*websocket.Conn
	c        *client
	document *asyncapitest.Conversation
}

func (c *client) connect(ctx context.Context, server string) (*connection, error) {
	conn, _, err := (&websocket.Dialer{HandshakeTimeout: 10 * time.Second}).DialContext(ctx, "ws"+strings.TrimPrefix(server, "http")+"/ws", nil) //nolint:bodyclose // the dialer has read it
	if err != nil {
		return nil, err
	}
	err = conn.WriteJSON(map[string]any{"event": "register", "data": map[string]any{
		"token": c.token, "rooms": c.rooms, "lastSeq": c.last,
	}})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	return &connection{Conn: conn, c: c, document: described.sockets.Conversation()}, nil
}

// cut ends a connection as a tunnel does: no close frame, what is on its way is lost.
func (k *connection) cut() {
	_ = k.NetConn().Close()
	k.c.cuts++
}

// next reads one frame, checks its place and moves the cursor. faultError is a broken promise; any other
// error is the connection's.
func (k *connection) next() (received, error) {
	if err := k.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return received{}, err
	}
	_, text, err := k.ReadMessage()
	if err != nil {
		return received{}, err
	}
	var f received
	if err := k.document.Received(text); err != nil {
		return f, faultError(err.Error())
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return f, faultError(fmt.Sprintf("not JSON: %s", text))
	}
	c := k.c
	var data struct {
		Seq int64 `json:"seq"`
	}
	switch {
	case f.Seq != nil:
		if f.Prev == nil || *f.Prev != c.last {
			return f, faultError(fmt.Sprintf("last told of %d, then came %s", c.last, text))
		}
		if *f.Seq <= c.last {
			return f, faultError(fmt.Sprintf("seq does not rise: last told of %d, then came %s", c.last, text))
		}
		c.last = *f.Seq
		c.got = append(c.got, *f.Seq)
		if f.Event == "notification:new" {
			c.inbox = append(c.inbox, *f.Seq)
		}
	case f.Event == "caught_up" || f.Event == "checkpoint":
		if err := json.Unmarshal(f.Data, &data); err != nil || data.Seq < c.last {
			return f, faultError(fmt.Sprintf("last told of %d, then came %s", c.last, text))
		}
		c.last = data.Seq
	case f.Event == "resync" || f.Event == "error":
		return f, faultError(fmt.Sprintf("came %s", text))
	}
	return f, nil
}

// faultError is a broken promise of the server.
type faultError string

func (e faultError) Error() string { return string(e) }
