package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/gorilla/websocket"
)

const (
	handshakeTimeout = 10 * time.Second
	writeTimeout     = 10 * time.Second
	// silence is how long a connection may say nothing: the server says something every 15 s.
	silence = 45 * time.Second
)

// session is one connection, from the handshake to its loss. registered says that the server took the registration.
func (c *client) session(ctx context.Context) (registered bool, err error) {
	token, expires, err := c.user.fresh(c.life)
	if err != nil {
		return false, &refusedError{err.Error()}
	}
	conn, err := c.dial(ctx)
	if err != nil {
		return false, err
	}
	c.mu.Lock()
	c.conn = conn
	message := c.registration(token)
	resumed := c.journal.begun
	back := c.journal.log != ""
	c.mu.Unlock()

	ended := make(chan struct{})
	var minder sync.WaitGroup
	minder.Go(func() { c.mind(ctx, conn, expires, ended) })
	defer func() {
		c.mu.Lock()
		c.disconnected()
		c.mu.Unlock()
		close(ended)
		minder.Wait()
		_ = conn.Close()
	}()
	if err := c.write(conn, message); err != nil {
		return false, err
	}
	for {
		if err := conn.SetReadDeadline(time.Now().Add(silence)); err != nil {
			return registered, err
		}
		_, text, err := conn.ReadMessage()
		if err != nil {
			return registered, c.judge(err)
		}
		now, err := c.take(text, resumed)
		if now && back {
			c.stats.resumed.Add(1)
		}
		registered = registered || now
		if err != nil {
			return registered, err
		}
	}
}

// dial makes the connection, with the subprotocol that the client speaks.
func (c *client) dial(ctx context.Context) (*websocket.Conn, error) {
	protocol := "orderlog.v1"
	if c.batch {
		protocol = "orderlog.v1.batch"
	}
	dialer := websocket.Dialer{Subprotocols: []string{protocol}, HandshakeTimeout: handshakeTimeout, Proxy: http.ProxyFromEnvironment}
	conn, response, err := dialer.DialContext(ctx, c.url, nil) //nolint:bodyclose // the dialer has read it
	switch {
	case err == nil && conn.Subprotocol() != protocol:
		_ = conn.Close()
		return nil, &refusedError{fmt.Sprintf("the server does not speak %s", protocol)}
	case err == nil:
		return conn, nil
	case response == nil:
		return nil, err
	case response.StatusCode/100 == 4 && response.StatusCode != http.StatusTooManyRequests:
		return nil, &refusedError{fmt.Sprintf("%s answered %s: is it an Orderlog server?", c.url, response.Status)}
	}
	if seconds, err := strconv.Atoi(response.Header.Get("Retry-After")); err == nil {
		c.mu.Lock()
		c.pause = time.Duration(seconds) * time.Second
		c.mu.Unlock()
	}
	return nil, fmt.Errorf("the server answered %s", response.Status)
}

// registration is the first message. mu is held.
func (c *client) registration(token string) any {
	data := map[string]any{"token": token, "rooms": c.journal.standing()}
	if c.journal.begun {
		data["lastSeq"] = c.journal.cursor
		if c.journal.log != "" {
			data["log"] = c.journal.log
		}
	}
	c.budget.spend(time.Now())
	return map[string]any{"event": "register", "data": data}
}

func (c *client) write(conn *websocket.Conn, message any) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := conn.SetWriteDeadline(time.Now().Add(writeTimeout)); err != nil {
		return err
	}
	return conn.WriteJSON(message)
}

// mind does what is due on a connection while another goroutine reads it: it cuts it, refreshes its token, and says
// goodbye when the client is to end.
func (c *client) mind(ctx context.Context, conn *websocket.Conn, expires time.Time, ended <-chan struct{}) {
	cut, cutNow := c.cuts.next()
	life := time.Until(expires)
	refresh := time.NewTimer(life * 6 / 10)
	defer refresh.Stop()
	for {
		select {
		case <-ended:
			return
		case <-ctx.Done():
			goodbye := websocket.FormatCloseMessage(websocket.CloseNormalClosure, "")
			_ = conn.WriteControl(websocket.CloseMessage, goodbye, time.Now().Add(time.Second))
			_ = conn.Close()
			return
		case <-cut:
			c.cut(conn)
			return
		case <-cutNow:
			c.cut(conn)
			return
		case <-refresh.C:
			token, expires, err := c.user.fresh(c.life)
			if err == nil {
				err = c.send(conn, "refresh", map[string]any{"token": token}, nil)
			}
			if err == nil {
				c.stats.refreshed.Add(1)
				life = time.Until(expires)
			}
			refresh.Reset(life * 6 / 10)
		}
	}
}

func (c *client) cut(conn *websocket.Conn) {
	sever(conn)
	c.stats.cut.Add(1)
}

// judge tells the close codes after which a client must not come back.
func (c *client) judge(err error) error {
	var closed *websocket.CloseError
	if errors.As(err, &closed) && slices.Contains([]int{4400, 4403, 4413}, closed.Code) {
		return &refusedError{fmt.Sprintf("the server closed with %d %s", closed.Code, closed.Text)}
	}
	if !errors.As(err, &closed) || closed.Code != 4401 || closed.Text == "token_expired" {
		return err
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.journal.log == "" { // the very first token was refused, and the next would be
		return &refusedError{"the server refuses tokens signed with this key"}
	}
	return err
}

// errAgain says that something is missing before what came: the client connects anew.
var errAgain = errors.New("what came does not follow on what was told before")

// take handles one text message, of one or more objects.
func (c *client) take(text []byte, resumed bool) (registered bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	defer c.wake()
	for line := range bytes.Lines(text) {
		var f frame
		if err := json.Unmarshal(line, &f); err != nil {
			return registered, &refusedError{fmt.Sprintf("the server sent what is not JSON: %v", err)}
		}
		now, err := c.frame(f, resumed)
		registered = registered || now
		if err != nil {
			return registered, err
		}
	}
	return registered, nil
}

// disconnected settles what was open on a connection that is lost. mu is held.
func (c *client) disconnected() {
	c.conn = nil
	if c.online {
		c.stats.online.Add(-1)
	}
	c.online = false
	c.journal.disconnected()
	for id, ack := range c.asked {
		delete(c.asked, id)
		ack(frame{Error: &wireError{Code: lost, Message: "the connection was lost before the answer"}})
	}
	c.wake()
}
