package crowd

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

// engine is a session of Engine.IO protocol 4. receive is for one goroutine; send and close are safe for concurrent use.
type engine interface {
	// receive returns the next packet.
	receive() (string, error)
	send(packet string) error
	close()
}

// errEngine is something that no server of Engine.IO may say.
type errEngine struct{ what string }

func (e errEngine) Error() string { return e.what }

// errGone is a session that the server does not know any more, as after a restart.
var errGone = errors.New("the session is gone")

// errTwice is a connection that broke while something was asked.
var errTwice = errors.New("a connection broke, and the request was sent again")

// engineURL is the address of a session; sid is empty for the handshake.
func engineURL(server, transport, sid string) string {
	q := url.Values{"EIO": {"4"}, "transport": {transport}}
	if sid != "" {
		q.Set("sid", sid)
	}
	return server + "/socket.io/?" + q.Encode()
}

// opened reads the first packet of a session.
func opened(packet string) (sid string, err error) {
	var open struct {
		SID          string    `json:"sid"`
		Upgrades     *[]string `json:"upgrades"`
		PingInterval int64     `json:"pingInterval"`
		PingTimeout  int64     `json:"pingTimeout"`
		MaxPayload   int64     `json:"maxPayload"`
	}
	text, ok := strings.CutPrefix(packet, "0")
	if !ok || json.Unmarshal([]byte(text), &open) != nil || open.SID == "" || open.Upgrades == nil ||
		open.PingInterval <= 0 || open.PingTimeout <= 0 || open.MaxPayload <= 0 {
		return "", errEngine{fmt.Sprintf("a session is opened with %q", packet)}
	}
	return open.SID, nil
}

// socketEngine is a session over WebSocket.
type socketEngine struct {
	conn    *websocket.Conn
	writing sync.Mutex
}

func dialSocketEngine(ctx context.Context, d *device, server string) (engine, error) {
	dialer := websocket.Dialer{ReadBufferSize: 2 << 10, WriteBufferSize: 1 << 10}
	address := engineURL("ws"+strings.TrimPrefix(server, "http"), "websocket", "")
	conn, response, err := dialer.DialContext(ctx, address, nil) //nolint:bodyclose // the dialer has read it
	if err != nil {
		return nil, d.refused(response, err)
	}
	conn.SetReadLimit(largest)
	e := &socketEngine{conn: conn}
	packet, err := e.receive()
	if err == nil {
		_, err = opened(packet)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *socketEngine) close() { _ = e.conn.Close() }

func (e *socketEngine) receive() (string, error) {
	if err := e.conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
		return "", err
	}
	kind, text, err := e.conn.ReadMessage()
	switch {
	case errors.Is(err, websocket.ErrReadLimit):
		return "", errEngine{fmt.Sprintf("a message of more than %d bytes", largest)}
	case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway, websocket.CloseAbnormalClosure):
		return "", io.EOF
	case websocket.IsUnexpectedCloseError(err):
		return "", errEngine{err.Error()}
	case err != nil:
		return "", err
	case kind != websocket.TextMessage:
		return "", errEngine{"a binary message"}
	}
	return string(text), nil
}

func (e *socketEngine) send(packet string) error {
	e.writing.Lock()
	defer e.writing.Unlock()
	if err := e.conn.SetWriteDeadline(time.Now().Add(dialTimeout)); err != nil {
		return err
	}
	return e.conn.WriteMessage(websocket.TextMessage, []byte(packet))
}

// pollEngine is a session over long polling.
type pollEngine struct {
	d      *device
	server string
	sid    string
	ctx    context.Context //nolint:containedctx // it is the session's life, which close ends
	end    context.CancelFunc
	queue  []string
	polls  int
	// posting is held while something is posted: one at a time, or there is no order.
	posting sync.Mutex
}

const separator = "\x1e" // between the packets of a payload

func dialPollEngine(ctx context.Context, d *device, server string) (engine, error) {
	e := &pollEngine{d: d, server: server}
	e.ctx, e.end = context.WithCancel(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, e.end)()
	packet, err := e.receive() //nolint:contextcheck // ctx ends e.ctx
	if err == nil {
		e.sid, err = opened(packet)
	}
	if err != nil {
		e.close()
		return nil, err
	}
	return e, nil
}

func (e *pollEngine) close() { e.end() }

func (e *pollEngine) receive() (string, error) {
	for len(e.queue) == 0 {
		payload, err := e.request(http.MethodGet, "")
		if err != nil {
			return "", err
		}
		e.queue = strings.Split(payload, separator)
	}
	packet := e.queue[0]
	e.queue = e.queue[1:]
	return packet, nil
}

func (e *pollEngine) send(packet string) error {
	e.posting.Lock()
	defer e.posting.Unlock()
	answer, err := e.request(http.MethodPost, packet)
	if err == nil && answer != "ok" {
		err = errEngine{fmt.Sprintf("a payload is answered %q", answer)}
	}
	if err != nil { // the server may still be at work on it, and takes another one meanwhile for a fault of ours
		e.end()
	}
	return err
}

func (e *pollEngine) request(method, payload string) (string, error) {
	atMost, address := silence, engineURL(e.server, "polling", e.sid)
	if method == http.MethodPost {
		atMost = dialTimeout
	} else {
		// As socket.io-client does: net/http, like a browser, may send a GET again by itself, and that is seen by it. A mere
		// number would be taken for a clock.
		e.polls++
		address += "&t=p" + strconv.Itoa(e.polls)
	}
	ctx, cancel := context.WithTimeout(e.ctx, atMost)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, strings.NewReader(payload))
	if err != nil {
		panic(fmt.Sprintf("crowd: %v", err))
	}
	// The transport sends a request again by itself when a connection that it has used before breaks. Of a poll that is one
	// too many, and the server is right to end the session.
	sent := 0
	trace := &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { sent++ }}
	r = r.WithContext(httptrace.WithClientTrace(r.Context(), trace))
	r.GetBody = nil
	response, err := e.d.api.client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, largest+1))
	switch {
	case err != nil:
		return "", err
	case sent > 1:
		return "", errTwice
	case len(body) > largest:
		return "", errEngine{fmt.Sprintf("an answer of more than %d bytes", largest)}
	case response.StatusCode == http.StatusOK:
		return string(body), nil
	case response.StatusCode == http.StatusBadRequest && e.sid != "" && isUnknownSession(body):
		return "", errGone
	}
	response.Body = io.NopCloser(bytes.NewReader(body))
	return "", e.d.refused(response, nil)
}

// isUnknownSession says whether an answer is the protocol's to a session id that the server does not know.
func isUnknownSession(body []byte) bool {
	const unknownSession = 1
	var fault struct {
		Code *int `json:"code"`
	}
	return json.Unmarshal(body, &fault) == nil && fault.Code != nil && *fault.Code == unknownSession
}
