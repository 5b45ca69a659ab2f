// Package enginetest is a client of Engine.IO protocol 4 for tests: over long polling, over WebSocket, and with the
// upgrade from the one to the other.
package enginetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"

	"github.com/gorilla/websocket"
)

// The ways to connect.
const (
	Polling   = "polling"
	WebSocket = "websocket"
	Upgrade   = "upgrade" // by polling first, then over to WebSocket
)

// Step is how far Dial goes.
type Step int

// The steps of Dial. A client of any but the last does nothing by itself: it can only be cut.
const (
	All       Step = iota // the client is ready
	Handshake             // the session is open
	Socket                // the WebSocket of an upgrade is open
	Probe                 // and its probe was answered
)

// Options of a client. The zero value polls.
type Options struct {
	Transport string       // Polling (default), WebSocket or Upgrade
	Path      string       // default "/engine.io/"
	Header    http.Header  // of every request
	Client    *http.Client // default: one of its own
	Until     Step         // where Dial stops
}

// Message is what the server sent.
type Message struct {
	Binary bool
	Data   []byte
}

// waiting is how many messages a client takes that nobody asks for. Beyond it, it reads no more.
const waiting = 64

// Client is one session. It is safe for concurrent use. Pings are answered by themselves. Cut or Close ends it, and
// must be called.
type Client struct {
	opts   Options
	server string
	sid    string
	cancel context.CancelFunc // ends the client's own requests
	idle   func()             // closes connections that wait

	messages chan Message
	done     chan struct{} // closed when nothing more can come
	err      error         // then, why
	pause    chan pause    // asks the poller to stop between two polls

	sending sync.Mutex      // one payload at a time
	socket  *websocket.Conn // nil: it polls. Guarded by sending

	mu     sync.Mutex
	opened []*websocket.Conn
}

var errAbandoned = errors.New("enginetest: the client was stopped on its way")

// Dial opens a session at a server such as "http://127.0.0.1:3000", and upgrades it if asked to.
func Dial(ctx context.Context, server string, opts Options) (*Client, error) {
	if opts.Transport == "" {
		opts.Transport = Polling
	}
	if opts.Path == "" {
		opts.Path = "/engine.io/"
	}
	idle := func() {}
	if opts.Client == nil {
		transport := &http.Transport{MaxIdleConnsPerHost: 2}
		opts.Client, idle = &http.Client{Transport: transport}, transport.CloseIdleConnections
	}
	own, cancel := context.WithCancel(context.WithoutCancel(ctx))
	c := &Client{
		opts: opts, server: strings.TrimSuffix(server, "/"), cancel: cancel, idle: idle,
		messages: make(chan Message, waiting), done: make(chan struct{}), pause: make(chan pause),
	}
	if err := c.open(ctx); err != nil {
		cancel()
		idle()
		return nil, err
	}
	if opts.Until == All {
		go c.run(own, c.socket)
	} else {
		c.err = errAbandoned
		close(c.done)
	}
	if opts.Transport == Upgrade && opts.Until != Handshake {
		if err := c.Upgrade(ctx); err != nil {
			c.Cut()
			return nil, err
		}
	}
	return c, nil
}

// SID is the session's id.
func (c *Client) SID() string { return c.sid }

// open does the handshake.
func (c *Client) open(ctx context.Context) error {
	var first string
	if c.opts.Transport == WebSocket {
		socket, err := c.dialSocket(ctx)
		if err != nil {
			return err
		}
		c.socket = socket
		defer context.AfterFunc(ctx, func() { _ = socket.Close() })()
		_, text, err := socket.ReadMessage()
		if err != nil {
			_ = socket.Close()
			return fmt.Errorf("reading the open packet: %w", err)
		}
		first = string(text)
	} else {
		body, err := c.request(ctx, http.MethodGet, "")
		if err != nil {
			return err
		}
		first = body
	}
	var open struct {
		SID string `json:"sid"`
	}
	if !strings.HasPrefix(first, "0") || json.Unmarshal([]byte(first[1:]), &open) != nil || open.SID == "" {
		return fmt.Errorf("the handshake was answered %q", first)
	}
	c.sid = open.SID
	return nil
}

// RefusedError is an answer that is not 200.
type RefusedError struct {
	Status int
	Body   string
}

func (e *RefusedError) Error() string {
	return fmt.Sprintf("the server answered %d %s", e.Status, strings.TrimSpace(e.Body))
}

func (c *Client) address(scheme, transport string) string {
	query := url.Values{"EIO": {"4"}, "transport": {transport}}
	if c.sid != "" {
		query.Set("sid", c.sid)
	}
	address := c.server + c.opts.Path + "?" + query.Encode()
	if scheme == "ws" {
		return "ws" + strings.TrimPrefix(address, "http")
	}
	return address
}

func (c *Client) request(ctx context.Context, method, payload string) (string, error) {
	r, err := http.NewRequestWithContext(ctx, method, c.address("http", Polling), strings.NewReader(payload))
	if err != nil {
		return "", err
	}
	for name, values := range c.opts.Header {
		r.Header[name] = values
	}
	answer, err := c.opts.Client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return "", err
	}
	if answer.StatusCode != http.StatusOK {
		return "", &RefusedError{answer.StatusCode, string(body)}
	}
	return string(body), nil
}

func (c *Client) dialSocket(ctx context.Context) (*websocket.Conn, error) {
	socket, answer, err := websocket.DefaultDialer.DialContext(ctx, c.address("ws", WebSocket), c.opts.Header)
	if err == nil {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.opened = append(c.opened, socket)
		return socket, nil
	}
	if answer == nil {
		return nil, err
	}
	defer func() { _ = answer.Body.Close() }()
	body, _ := io.ReadAll(answer.Body)
	return nil, errors.Join(&RefusedError{answer.StatusCode, string(body)}, err)
}
