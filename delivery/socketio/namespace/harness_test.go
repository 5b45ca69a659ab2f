package namespace_test

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// application is what a test connects. What is nil does nothing.
type application struct {
	socket *namespace.Socket
	event  func(ctx context.Context, e namespace.Event) error
	fill   func(out *namespace.Out) (again bool)
	closed chan engine.Reason
}

func (a *application) Event(ctx context.Context, e namespace.Event) error {
	if a.event == nil {
		return nil
	}
	return a.event(ctx, e)
}

func (a *application) Fill(_ context.Context, out *namespace.Out) (next time.Time, again bool) {
	if a.fill == nil {
		return time.Time{}, false
	}
	return time.Time{}, a.fill(out)
}

func (a *application) Close(reason engine.Reason) { a.closed <- reason }

// connector accepts every connection, by whatever a test makes of it first.
type connector struct {
	accept func(ctx context.Context, a *application, auth json.RawMessage) error
	made   chan *application
}

func newConnector(accept func(ctx context.Context, a *application, auth json.RawMessage) error) *connector {
	return &connector{accept: accept, made: make(chan *application, 64)}
}

func (c *connector) connect(ctx context.Context, s *namespace.Socket, auth json.RawMessage) (namespace.Application, error) {
	a := &application{socket: s, closed: make(chan engine.Reason, 2)}
	if c.accept != nil {
		if err := c.accept(ctx, a, auth); err != nil {
			return nil, err
		}
	}
	c.made <- a
	return a, nil
}

// line is a session without a transport: what the client sends is handed over, and what it gets is asked for.
type line struct {
	t    testing.TB
	peer engine.Peer
	ends func()
}

func newLine(t testing.TB, cfg namespace.Config) *line {
	t.Helper()
	cfg.ConnectTimeout = time.Hour // there is no session that could be closed
	peer, err := namespace.New(cfg).Accept(nil, &engine.Session{})
	if err != nil {
		t.Fatal(err)
	}
	l := &line{t: t, peer: peer}
	ended := false
	l.ends = func() {
		if !ended {
			ended = true
			peer.Close(engine.ReasonLost)
		}
	}
	t.Cleanup(l.ends)
	return l
}

// send hands texts of the client over.
func (l *line) send(texts ...string) {
	l.t.Helper()
	for _, text := range texts {
		if err := l.try(text); err != nil {
			l.t.Fatalf("%s: %v", text, err)
		}
	}
}

func (l *line) try(text string) error {
	return l.peer.Receive(l.t.Context(), engine.Message{Data: []byte(text)})
}

// join connects to namespaces, and forgets the answers.
func (l *line) join(c *connector, namespaces ...string) []*application {
	l.t.Helper()
	var made []*application
	for _, n := range namespaces {
		l.send("0" + n + ",")
		made = append(made, parttest.Await(l.t, "a connection", c.made))
	}
	for range namespaces {
		l.got()
	}
	return made
}

// got is what one batch holds, without the four of Engine.IO; an attachment is in base64, behind a b.
func (l *line) got() []string {
	l.t.Helper()
	var b engine.Batch
	_, _ = l.peer.Fill(l.t.Context(), &b)
	return messages(&b)
}

// messages are those of a batch as polling has it.
func messages(b *engine.Batch) []string {
	payload := string(b.Begin()) // all there is, and the beginning of one more
	payload = strings.TrimSuffix(payload, "4")
	if payload == "" {
		return nil
	}
	all := strings.Split(strings.TrimSuffix(payload, "\x1e"), "\x1e")
	for i := range all {
		all[i] = strings.TrimPrefix(all[i], "4")
	}
	return all
}

func (l *line) expect(what string, want ...string) {
	l.t.Helper()
	if got := l.got(); !slices.Equal(got, want) {
		l.t.Fatalf("%s: got %q, not %q", what, got, want)
	}
}
