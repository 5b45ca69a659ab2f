package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/internal/asyncapitest"
)

// overWebSocket keeps its cursor as docs/websocket.md asks: one number, and the log that it is of.
type overWebSocket struct {
	protocol string
	last     int64
	known    bool // last is where the client is
	log      string
}

type webSocketLink struct {
	*websocket.Conn
	d         *overWebSocket
	c         *client
	document  *asyncapitest.Conversation
	waiting   [][]byte // the rest of a message of several frames
	returning bool
}

func (d *overWebSocket) claim(seq int64) { d.last, d.known = seq, true }

func (d *overWebSocket) connect(ctx context.Context, server string, c *client) (link, error) {
	dialer := websocket.Dialer{HandshakeTimeout: 10 * time.Second, Subprotocols: []string{d.protocol}}
	conn, _, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(server, "http")+"/ws", nil) //nolint:bodyclose // the dialer has read it
	if err != nil {
		return nil, err
	}
	l := &webSocketLink{Conn: conn, d: d, c: c, document: described.sockets.Conversation(), returning: d.known || !c.live}
	register := map[string]any{"token": c.token, "rooms": c.rooms}
	if l.returning {
		register["lastSeq"] = d.last
	}
	if d.log != "" {
		register["log"] = d.log
	}
	if err := conn.WriteJSON(map[string]any{"event": "register", "data": register}); err != nil {
		_ = conn.Close()
		return nil, err
	}
	return l, nil
}

func (l *webSocketLink) cut() { _ = l.NetConn().Close() }

func (l *webSocketLink) next(ctx context.Context) (heard, error) {
	if len(l.waiting) == 0 {
		deadline, _ := ctx.Deadline()
		if limit := time.Now().Add(patience); deadline.IsZero() || limit.Before(deadline) {
			deadline = limit
		}
		if err := l.SetReadDeadline(deadline); err != nil {
			return heard{}, err
		}
		_, text, err := l.ReadMessage()
		if err != nil {
			return heard{}, err
		}
		if l.waiting = bytes.Split(text, []byte("\n")); len(l.waiting) > 1 && l.d.protocol != "orderlog.v1.batch" {
			return heard{}, faultError(fmt.Sprintf("several frames in a message: %s", text))
		}
	}
	text := l.waiting[0]
	l.waiting = l.waiting[1:]
	if !l.c.quick {
		if err := l.document.Received(text); err != nil {
			return heard{}, faultError(err.Error())
		}
	}
	var f struct {
		Prev, Seq *int64
		Event     string
		Data      json.RawMessage
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return heard{}, fault(err, text)
	}
	if f.Seq == nil {
		return l.control(f.Event, f.Data)
	}
	if f.Prev == nil || *f.Prev != l.d.last {
		return heard{}, faultError(fmt.Sprintf("last told of %d, then came %s", l.d.last, text))
	}
	l.d.last = *f.Seq
	return heard{event: f.Event, logged: true, seq: *f.Seq, data: f.Data}, nil
}

// control is a frame that is no event of the log.
func (l *webSocketLink) control(event string, data json.RawMessage) (heard, error) {
	f := heard{event: event, data: data}
	var position struct {
		Seq       int64
		Log       string
		Recovered bool
	}
	switch event {
	case registered:
		if err := json.Unmarshal(data, &position); err != nil {
			return f, fault(err, data)
		}
		f.lost = l.returning && !position.Recovered
		if !l.returning {
			l.d.claim(position.Seq)
		}
		l.d.log = position.Log
	case "caught_up", "checkpoint", "resync":
		if err := json.Unmarshal(data, &position); err != nil {
			return f, fault(err, data)
		}
		f.seq = position.Seq
		l.d.claim(position.Seq)
	}
	return f, nil
}
