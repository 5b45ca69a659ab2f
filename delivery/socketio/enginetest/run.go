package enginetest

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/gorilla/websocket"
)

const separator = "\x1e" // between the packets of a payload

// pause asks the poller to stop. It says so by paused, and goes on with what resume gives: a WebSocket to read from, or
// nil to poll again.
type pause struct {
	paused chan struct{}
	resume chan *websocket.Conn
}

// run takes what the server sends until nothing more can come.
func (c *Client) run(ctx context.Context, socket *websocket.Conn) {
	defer close(c.done)
	for socket == nil && c.err == nil {
		select {
		case p := <-c.pause:
			close(p.paused)
			socket = <-p.resume
			continue
		default:
		}
		var payload string
		if payload, c.err = c.request(ctx, http.MethodGet, ""); c.err != nil {
			break
		}
		for text := range strings.SplitSeq(payload, separator) {
			if c.err = c.take(ctx, text); c.err != nil {
				break
			}
		}
	}
	for c.err == nil {
		kind, data, err := socket.ReadMessage()
		switch {
		case websocket.IsCloseError(err, websocket.CloseNormalClosure, websocket.CloseGoingAway):
			c.err = io.EOF
		case err != nil:
			c.err = err
		case kind == websocket.BinaryMessage:
			c.err = c.deliver(ctx, Message{Binary: true, Data: data})
		default:
			c.err = c.take(ctx, string(data))
		}
	}
	if socket != nil {
		_ = socket.Close()
	}
}

// take serves a packet.
func (c *Client) take(ctx context.Context, text string) error {
	switch {
	case strings.HasPrefix(text, "4"):
		return c.deliver(ctx, Message{Data: []byte(text[1:])})
	case strings.HasPrefix(text, "b"):
		data, err := base64.StdEncoding.DecodeString(text[1:])
		if err != nil {
			return err
		}
		return c.deliver(ctx, Message{Binary: true, Data: data})
	case text == "2":
		return c.write(ctx, "3")
	case text == "1":
		return io.EOF
	case text == "6":
		return nil
	}
	return fmt.Errorf("the server sent %q", text)
}

func (c *Client) deliver(ctx context.Context, m Message) error {
	select {
	case c.messages <- m:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Send sends a text message, and returns when the server has it (polling) or the kernel (WebSocket).
func (c *Client) Send(ctx context.Context, text string) error { return c.write(ctx, "4"+text) }

// SendBinary sends a binary message.
func (c *Client) SendBinary(ctx context.Context, data []byte) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.socket != nil {
		return c.socket.WriteMessage(websocket.BinaryMessage, data)
	}
	return c.post(ctx, "b"+base64.StdEncoding.EncodeToString(data))
}

func (c *Client) write(ctx context.Context, packet string) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	if c.socket != nil {
		return c.socket.WriteMessage(websocket.TextMessage, []byte(packet))
	}
	return c.post(ctx, packet)
}

// Post sends a payload of packets as it is, which may break the protocol. The client must poll.
func (c *Client) Post(ctx context.Context, payload string) error {
	c.sending.Lock()
	defer c.sending.Unlock()
	return c.post(ctx, payload)
}

func (c *Client) post(ctx context.Context, payload string) error {
	answer, err := c.request(ctx, http.MethodPost, payload)
	if err == nil && answer != "ok" {
		err = fmt.Errorf("a payload was answered %q", answer)
	}
	return err
}

// Next returns the next message. When the server has closed the session it fails with io.EOF. When ctx ends nothing is
// lost.
func (c *Client) Next(ctx context.Context) (Message, error) {
	select {
	case m := <-c.messages:
		return m, nil
	default:
	}
	select {
	case m := <-c.messages:
		return m, nil
	case <-ctx.Done():
		return Message{}, ctx.Err()
	case <-c.done:
	}
	select { // what came before the end
	case m := <-c.messages:
		return m, nil
	default:
		return Message{}, c.err
	}
}

// Upgrade takes a session that polls over to WebSocket while messages flow, as browsers do: the poll that is under way
// is waited for before the last word is said. When it fails the session polls on.
func (c *Client) Upgrade(ctx context.Context) error {
	socket, err := c.dialSocket(ctx)
	if err != nil || c.opts.Until == Socket {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = socket.Close() })
	defer stop()
	if err := c.upgrade(ctx, socket); err != nil {
		_ = socket.Close()
		return err
	}
	return nil
}

func (c *Client) upgrade(ctx context.Context, socket *websocket.Conn) error {
	if err := socket.WriteMessage(websocket.TextMessage, []byte("2probe")); err != nil {
		return err
	}
	_, answer, err := socket.ReadMessage()
	if err == nil && string(answer) != "3probe" {
		err = fmt.Errorf("the probe was answered %q", answer)
	}
	if err != nil || c.opts.Until == Probe {
		return err
	}
	p := pause{paused: make(chan struct{}), resume: make(chan *websocket.Conn, 1)}
	select {
	case c.pause <- p:
	case <-c.done:
		return c.err
	case <-ctx.Done():
		return ctx.Err()
	}
	c.sending.Lock() // the payload that is under way is waited for too
	defer c.sending.Unlock()
	if err := socket.WriteMessage(websocket.TextMessage, []byte("5")); err != nil {
		p.resume <- nil
		return err
	}
	c.socket = socket
	p.resume <- socket
	return nil
}

// Cut ends the client without a goodbye. What is being sent is not waited for.
func (c *Client) Cut() {
	c.cancel()
	c.mu.Lock()
	for _, socket := range c.opened {
		_ = socket.Close()
	}
	c.mu.Unlock()
	<-c.done
	c.idle()
}

// Close says goodbye and ends the client.
func (c *Client) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	err := c.write(ctx, "1")
	c.Cut()
	return err
}
