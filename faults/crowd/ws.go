package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/faults/history"
)

// The transports, as they are called in a history.
const (
	ws        = "ws"
	wsBatch   = "ws.batch"
	sioSocket = "socketio.websocket"
	sioPoll   = "socketio.polling"
	sse       = "sse"
)

// wsLink is a connection of subprotocol orderlog.v1 or orderlog.v1.batch.
type wsLink struct {
	d     *device
	conn  *websocket.Conn
	batch bool

	writing sync.Mutex
}

// frame is one object of the protocol.
type frame struct {
	Prev  *int64          `json:"prev"`
	Seq   *int64          `json:"seq"`
	Event *string         `json:"event"`
	Data  json.RawMessage `json:"data"`
	At    *time.Time      `json:"at"`
	Ack   *int64          `json:"ack"`
	Error *struct {
		Code string `json:"code"`
	} `json:"error"`
}

// dialWebSocket connects and registers.
func dialWebSocket(ctx context.Context, d *device, url string) (link, error) {
	l := &wsLink{d: d, batch: d.log.Transport == wsBatch}
	protocol := "orderlog.v1"
	if l.batch {
		protocol = "orderlog.v1.batch"
	}
	dialer := websocket.Dialer{Subprotocols: []string{protocol}, ReadBufferSize: 2 << 10, WriteBufferSize: 1 << 10}
	conn, response, err := dialer.DialContext(ctx, "ws"+strings.TrimPrefix(url, "http")+"/ws", nil) //nolint:bodyclose // the dialer has read it
	if err != nil {
		return nil, d.refused(response, err)
	}
	conn.SetReadLimit(largest)
	l.conn = conn
	d.mu.Lock()
	v := d.session
	register := map[string]any{"token": d.user.bearer(d.api.sign)}
	if len(v.rooms) > 0 {
		register["rooms"] = v.rooms
	}
	if v.asked >= 0 {
		register["lastSeq"] = v.asked
	}
	if d.logID != "" {
		register["log"] = d.logID
	}
	if conn.Subprotocol() != protocol {
		err = d.faulty("the subprotocol %s is answered by %q", protocol, conn.Subprotocol())
	}
	d.mu.Unlock()
	if err == nil {
		err = l.say("register", register, 0)
	}
	if err != nil {
		l.close()
		return nil, err
	}
	return l, nil
}

// refused is a handshake that was not accepted.
func (d *device) refused(response *http.Response, err error) error {
	if response == nil {
		return err
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	switch response.StatusCode {
	case http.StatusUnauthorized, http.StatusTooManyRequests, http.StatusServiceUnavailable:
		d.wait = seconds(response.Header.Get("Retry-After"))
		return &closedError{response.StatusCode, "refused"}
	}
	said, _ := io.ReadAll(io.LimitReader(response.Body, 500))
	return d.faulty("a connection is answered %s %s", response.Status, said)
}

func (l *wsLink) close() { _ = l.conn.Close() }

func (l *wsLink) say(event string, data any, id int64) error {
	message := map[string]any{"event": event}
	if data != nil {
		message["data"] = data
	}
	if id > 0 {
		message["id"] = id
	}
	l.writing.Lock()
	defer l.writing.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	return l.conn.WriteJSON(message)
}

func (l *wsLink) read() error {
	if err := l.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return err
	}
	kind, text, err := l.conn.ReadMessage()
	l.d.mu.Lock()
	defer l.d.mu.Unlock()
	if err != nil {
		return l.d.judgeClose(err)
	}
	if kind != websocket.TextMessage {
		return l.d.faulty("a binary message of %d bytes", len(text))
	}
	if !l.batch {
		return l.d.frame(text)
	}
	for line := range bytes.SplitSeq(text, []byte("\n")) {
		if err := l.d.frame(line); err != nil {
			return err
		}
	}
	return nil
}

// frame takes in one object. mu is held.
func (d *device) frame(text []byte) error {
	var f frame
	if err := json.Unmarshal(text, &f); err != nil {
		return d.faulty("no frame: %v: %s", err, text)
	}
	switch {
	case f.Ack != nil && f.Seq == nil && f.Event == nil && (f.Data == nil) == (f.Error != nil):
		r := reply{data: f.Data}
		if f.Error != nil {
			if r.code = f.Error.Code; r.code == "" {
				return d.faulty("an error without a code: %s", text)
			}
		}
		return d.answered(*f.Ack, r)
	case f.Event == nil || f.Ack != nil || f.Error != nil:
		return d.faulty("no frame: %s", text)
	case f.Seq != nil:
		if f.Prev == nil || f.At == nil || *f.Prev >= *f.Seq {
			return d.faulty("an event has no prev before it, or no time: %s", text)
		}
		return d.event(*f.Prev, *f.Seq, *f.Event, f.Data, false)
	case *f.Event == "registered":
		return d.registered(f.Data)
	}
	return d.says(*f.Event, f.Data)
}

// closeReasons are the close codes that a client that does nothing wrong may get, with their reasons.
var closeReasons = map[int][]string{
	websocket.CloseGoingAway:     nil, // in whatever words
	websocket.CloseTryAgainLater: {"unavailable", "overloaded"},
	4401:                         {"unauthenticated", "token_expired"},
	4408:                         {"register_timeout"},
	4409:                         {"slow_consumer"},
}

// judgeClose says what became of a connection that cannot be read any more. mu is held.
func (d *device) judgeClose(err error) error {
	var said *websocket.CloseError
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return d.faulty("a message of more than %d bytes", largest)
	case !errors.As(err, &said) || said.Code == websocket.CloseAbnormalClosure:
		return err
	}
	reasons, known := closeReasons[said.Code]
	if !known || reasons != nil && !slices.Contains(reasons, said.Text) {
		d.note(history.Entry{Kind: history.Faulty, Name: "closed with " + said.Error()})
	}
	return &closedError{said.Code, said.Text}
}
