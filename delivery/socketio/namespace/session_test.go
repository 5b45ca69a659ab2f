package namespace_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/internal/parttest"
)

// The tests of this file are of whole sessions, over the network.

var transports = []string{enginetest.Polling, enginetest.WebSocket, enginetest.Upgrade}

// serve returns the address of a server.
func serve(t *testing.T, cfg namespace.Config) string {
	t.Helper()
	server := engine.New(engine.Config{Accept: namespace.New(cfg).Accept})
	web := httptest.NewServer(server)
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := server.Shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		web.Close()
	})
	return web.URL
}

// client is a client of a session.
type client struct {
	*enginetest.Client
	t *testing.T
}

// soon is the context of what must not take long.
func soon(t *testing.T) (context.Context, context.CancelFunc) {
	return context.WithTimeout(t.Context(), 20*time.Second)
}

func dial(t *testing.T, url, transport string) *client {
	t.Helper()
	ctx, cancel := soon(t)
	defer cancel()
	c, err := enginetest.Dial(ctx, url, enginetest.Options{Transport: transport})
	if err != nil {
		t.Fatalf("connecting by %s: %v", transport, err)
	}
	t.Cleanup(c.Cut)
	return &client{c, t}
}

func (c *client) say(texts ...string) {
	c.t.Helper()
	ctx, cancel := soon(c.t)
	defer cancel()
	for _, text := range texts {
		if err := c.Send(ctx, text); err != nil {
			c.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (c *client) hear(beginnings ...string) {
	c.t.Helper()
	ctx, cancel := soon(c.t)
	defer cancel()
	for _, want := range beginnings {
		m, err := c.Next(ctx)
		if err != nil || !strings.HasPrefix(string(m.Data), want) {
			c.t.Fatalf("got %q, %v; want %s", m.Data, err, want)
		}
	}
}

func (c *client) hearEnd() {
	c.t.Helper()
	ctx, cancel := soon(c.t)
	defer cancel()
	if m, err := c.Next(ctx); !errors.Is(err, io.EOF) {
		c.t.Fatalf("got %q, %v; want the end", m.Data, err)
	}
}

func TestASessionByEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			told := make(chan string, 10)
			c := newConnector(func(_ context.Context, a *application, _ json.RawMessage) error {
				a.event = func(ctx context.Context, e namespace.Event) error {
					return errors.Join(
						a.socket.Emit(ctx, "back", e.Args[0], namespace.Binary(e.Attachments[0])),
						a.socket.Ack(ctx, *e.ID))
				}
				a.fill = func(out *namespace.Out) bool {
					for len(told) > 0 {
						out.Event([]byte(<-told))
					}
					return false
				}
				return nil
			})
			cl := dial(t, serve(t, namespace.Config{Connect: c.connect}), transport)
			cl.say("0")
			cl.hear(`0{"sid":`)
			a := parttest.Await(t, "a connection", c.made)

			cl.say(`51-7["e","x",{"_placeholder":true,"num":0}]`)
			if err := cl.SendBinary(t.Context(), []byte("attached")); err != nil {
				t.Fatal(err)
			}
			cl.hear(`51-["back","x",{"_placeholder":true,"num":0}]`, "attached", `37[]`)

			told <- `["pulled"]`
			a.socket.Session().Wake() <- struct{}{}
			cl.hear(`2["pulled"]`)

			answer := make(chan asked, 1)
			go func() {
				args, err := a.socket.EmitWithAck(t.Context(), "ask")
				answer <- asked{args, err}
			}()
			cl.hear(`20["ask"]`)
			cl.say(`30["yes"]`)
			if got := parttest.Await(t, "an acknowledgement", answer); got.err != nil || string(got.args[0]) != `"yes"` {
				t.Errorf("got %s, %v", got.args, got.err)
			}

			a.socket.Disconnect()
			cl.hear("1")
			cl.say("0")
			cl.hear(`0{"sid":`)
			a = parttest.Await(t, "another connection", c.made)
			if err := cl.Close(); err != nil {
				t.Error(err)
			}
			if reason := parttest.Await(t, "its end", a.closed); reason != engine.ReasonClient {
				t.Errorf("closed: %s", reason)
			}
		})
	}
}

func TestASessionWithoutANamespaceEnds(t *testing.T) {
	t.Parallel()
	c := newConnector(func(_ context.Context, a *application, _ json.RawMessage) error {
		if a.socket.Namespace() == "/random" {
			return namespace.InvalidNamespace
		}
		return nil
	})
	const timeout = time.Second // longer than an upgrade takes
	url := serve(t, namespace.Config{Connect: c.connect, ConnectTimeout: timeout})
	for _, transport := range transports {
		for name, texts := range map[string][]string{
			"it never connects":  nil,
			"it leaves the last": {"0", "1"},
		} {
			t.Run(transport+", "+name, func(t *testing.T) {
				t.Parallel()
				cl := dial(t, url, transport)
				for _, text := range texts {
					cl.say(text)
					if text == "0" {
						cl.hear("0")
					}
				}
				cl.hearEnd()
			})
		}
		t.Run(transport+", it is refused again and again", func(t *testing.T) {
			t.Parallel()
			cl := dial(t, url, transport)
			ctx, cancel := soon(t)
			defer cancel()
			for cl.Send(ctx, "0/random") == nil {
				if _, err := cl.Next(ctx); err != nil {
					break
				}
			}
			if ctx.Err() != nil {
				t.Error("it goes on for ever")
			}
		})
		t.Run(transport+", it is connected to one", func(t *testing.T) {
			t.Parallel()
			cl := dial(t, url, transport)
			cl.say("0")
			cl.hear(`0{`)
			for started := time.Now(); time.Since(started) < 2*timeout; {
				cl.say("0/random")
				cl.hear(`4/random,`)
			}
			cl.say("1", "0/random", "0") // the time begins anew when it leaves
			cl.hear(`4/random,`, "0{")
		})
	}
}

func TestAFailureToDecideOverAConnectionClosesTheSessionWithoutAWord(t *testing.T) {
	t.Parallel()
	for name, decide := range map[string]func(context.Context) error{
		"it takes too long": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"it fails":          func(context.Context) error { return errors.New("the database is away") },
	} {
		for _, transport := range transports {
			t.Run(name+", "+transport, func(t *testing.T) {
				t.Parallel()
				first := make(chan *application, 1)
				c := newConnector(func(ctx context.Context, a *application, _ json.RawMessage) error {
					if a.socket.Namespace() == "/" {
						first <- a
						return nil
					}
					_ = a.socket.Emit(ctx, "never seen")
					return decide(ctx)
				})
				cl := dial(t, serve(t, namespace.Config{Connect: c.connect, ConnectTimeout: time.Second}), transport)
				cl.say("0")
				cl.hear("0{")
				cl.say("0/a,")
				cl.hearEnd()
				a := parttest.Await(t, "another namespace", first)
				if reason := parttest.Await(t, "its end", a.closed); reason != namespace.ConnectFailed {
					t.Errorf("closed: %s", reason)
				}
			})
		}
	}
}

func TestWhatBreaksTheProtocolEndsTheSessionByEveryTransport(t *testing.T) {
	t.Parallel()
	for _, transport := range transports {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			c := newConnector(nil)
			cl := dial(t, serve(t, namespace.Config{Connect: c.connect}), transport)
			cl.say("0", "0/a,")
			cl.hear("0{", "0/a,{")
			_ = cl.Send(t.Context(), `2{}`) // polling says so at once
			for range 2 {
				a := parttest.Await(t, "a connection", c.made)
				if reason := parttest.Await(t, "its end", a.closed); reason != engine.ReasonProtocol {
					t.Errorf("closed: %s", reason)
				}
			}
		})
	}
}

func TestAConnectionThatBreaksEndsEverythingOfTheSession(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	cl := dial(t, serve(t, namespace.Config{Connect: c.connect}), enginetest.WebSocket)
	cl.say("0")
	cl.hear("0{")
	a := parttest.Await(t, "a connection", c.made)
	answer := make(chan asked, 1)
	go func() {
		args, err := a.socket.EmitWithAck(t.Context(), "ask")
		answer <- asked{args, err}
	}()
	cl.hear(`20["ask"]`)
	cl.Cut()
	if got := parttest.Await(t, "the end of the wait", answer); !errors.Is(got.err, namespace.ErrClosed) {
		t.Errorf("got %s, %v", got.args, got.err)
	}
	if reason := parttest.Await(t, "its end", a.closed); reason != engine.ReasonLost {
		t.Errorf("closed: %s", reason)
	}
}
