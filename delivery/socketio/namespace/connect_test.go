package namespace_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"testing"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
	"github.com/orderlog/orderlog/delivery/socketio/packet"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestTheAnswerToAConnectComesFirstAndThenWhatWasEmittedAndThenWhatIsPulled(t *testing.T) {
	t.Parallel()
	c := newConnector(func(ctx context.Context, a *application, auth json.RawMessage) error {
		a.socket.SetPID("p1")
		a.fill = once(`["pulled"]`)
		return errors.Join(a.socket.Emit(ctx, "auth", auth), a.socket.Emit(ctx, "second"))
	})
	l := newLine(t, namespace.Config{Connect: c.connect})
	l.expect("nothing was said yet")
	l.send(`0/shop,{"token":"t<&>"}`)
	a := parttest.Await(t, "a connection", c.made)
	l.expect("all of it",
		fmt.Sprintf(`0/shop,{"sid":%q,"pid":"p1"}`, a.socket.ID()),
		`2/shop,["auth",{"token":"t<&>"}]`, `2/shop,["second"]`, `2/shop,["pulled"]`)
}

// once gives an event a single time.
func once(event string) func(*namespace.Out) bool {
	given := false
	return func(out *namespace.Out) bool {
		if !given {
			out.Event([]byte(event))
			given = true
		}
		return false
	}
}

func TestConnectionsHaveIdsOfTheirOwnAndNoPIDUnlessOneIsSet(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect})
	l.send("0", "0/shop,", "1/shop,", "0/shop")
	var sids []string
	for _, text := range l.got() {
		m := regexp.MustCompile(`^0(?:/shop,)?\{"sid":"(\w{20,})"\}$`).FindStringSubmatch(text)
		if m == nil {
			t.Fatalf("an answer to a CONNECT: %s", text)
		}
		sids = append(sids, m[1])
	}
	slices.Sort(sids)
	if len(sids) != 2 || len(slices.Compact(sids)) != 2 { // what waited for the one that was left is not sent
		t.Errorf("two namespaces, one of them again, have the ids %q", sids)
	}
}

func TestARefusalIsToldAndTheSessionGoesOn(t *testing.T) {
	t.Parallel()
	c := newConnector(func(ctx context.Context, a *application, _ json.RawMessage) error {
		switch a.socket.Namespace() {
		case "/random":
			return namespace.InvalidNamespace
		case "/admin":
			_ = a.socket.Emit(ctx, "never seen")
			return fmt.Errorf("wrapped: %w", &namespace.Refusal{Message: "Not you", Data: map[string]string{"code": "forbidden"}})
		}
		return nil
	})
	l := newLine(t, namespace.Config{Connect: c.connect})
	l.send("0/random", "0/admin,", "0/admin,")
	l.expect("three refusals",
		`4/random,{"message":"Invalid namespace"}`,
		`4/admin,{"message":"Not you","data":{"code":"forbidden"}}`,
		`4/admin,{"message":"Not you","data":{"code":"forbidden"}}`)
	l.join(c, "/")
}

func TestARefusalIsToldWithoutDataThatCannotBeEncoded(t *testing.T) {
	t.Parallel()
	c := newConnector(func(context.Context, *application, json.RawMessage) error {
		return &namespace.Refusal{Message: "No", Data: func() {}}
	})
	l := newLine(t, namespace.Config{Connect: c.connect})
	l.send("0")
	l.expect("a refusal", `4{"message":"No"}`)
}

func TestASessionIsConnectedToSoManyNamespacesAndNoMore(t *testing.T) {
	t.Parallel()
	c := newConnector(nil)
	l := newLine(t, namespace.Config{Connect: c.connect, MaxSockets: 2})
	l.join(c, "/", "/a")
	l.send("0/b,")
	l.expect("one too many", `4/b,{"message":"Too many namespaces in one session"}`)
	l.send("1/a,")
	l.join(c, "/b")
}

func TestNoMoreIsHeldForAConnectionThanMayWait(t *testing.T) {
	t.Parallel()
	c := newConnector(func(ctx context.Context, a *application, _ json.RawMessage) error {
		for i := range waiting + 1 {
			if err := a.socket.Emit(ctx, "e"); (err != nil) != (i == waiting) || (err != nil && !errors.Is(err, namespace.ErrOverflow)) {
				t.Errorf("number %d: %v", i, err)
			}
		}
		return nil
	})
	l := newLine(t, namespace.Config{Connect: c.connect, MaxWaiting: waiting})
	l.send("0")
	if got := l.got(); len(got) != 1+waiting {
		t.Errorf("got %q", got)
	}
}

func TestWhatBreaksTheProtocolEndsTheSession(t *testing.T) {
	t.Parallel()
	for name, texts := range map[string][]string{
		"no packet":                             {"abc"},
		"an event before a CONNECT":             {`2["e"]`},
		"an acknowledgement before a CONNECT":   {`31[]`},
		"a DISCONNECT before a CONNECT":         {`1`},
		"an event in another namespace":         {"0", `2/a,["e"]`},
		"an event in a namespace that was left": {"0", "0/a,", "1/a,", `2/a,["e"]`},
		"a second CONNECT":                      {"0", "0"},
		"a CONNECT_ERROR":                       {"0", `4{"message":"no"}`},
		"a payload that is no array":            {"0", `2{}`},
		"an id that is no number":               {"0", `2abc["e"]`},
		"a name that is reserved":               {"0", `2["disconnect"]`},
		"a reserved name in other letters":      {"0", `2["\u0063onnect"]`},
		"a text where an attachment is due":     {"0", `51-["e"]`, `2["e"]`},
		"more attachments than are gathered":    {"0", `53-["e"]`},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			l := newLine(t, namespace.Config{Connect: newConnector(nil).connect, MaxAttachments: 2})
			last := len(texts) - 1
			l.send(texts[:last]...)
			if err := l.try(texts[last]); err == nil {
				t.Error("it does not")
			}
		})
	}
	l := newLine(t, namespace.Config{Connect: newConnector(nil).connect})
	if err := l.peer.Receive(t.Context(), engine.Message{Binary: true, Data: []byte{1}}); !errors.Is(err, packet.ErrInvalid) {
		t.Errorf("an attachment of nothing: %v", err)
	}
}
