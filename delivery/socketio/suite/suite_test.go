package main

import (
	"bufio"
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// The server gives what the public suites expect of it: what a client says and what it hears, a step a line.
func TestTheServerGivesWhatThePublicSuitesExpect(t *testing.T) {
	t.Parallel()
	s := newServer()
	web := httptest.NewServer(s.handler())
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
		defer cancel()
		if err := s.shutdown(ctx); err != nil {
			t.Errorf("shutting down: %v", err)
		}
		web.Close()
	})
	for name, c := range map[string]struct {
		path  string
		steps []string // > says, < hears; what is binary behind a b
	}{
		"an echo of texts and of what is binary": {"/engine.io/", []string{">hello", "<hello", ">b\x01\x02", "<b\x01\x02", ">", "<"}},
		"the main namespace":                     {"/socket.io/", []string{">0", "<0{", `<2["auth",{}]`}},
		"the main namespace with a payload":      {"/socket.io/", []string{`>0{"token":"t"}`, "<0{", `<2["auth",{"token":"t"}]`}},
		"another namespace":                      {"/socket.io/", []string{">0/custom,", "<0/custom,{", `<2/custom,["auth",{}]`}},
		"a namespace that there is not":          {"/socket.io/", []string{">0/other", `<4/other,{"message":"Invalid namespace"}`}},
		"leaving one of two": {"/socket.io/", []string{
			">0", "<0{", `<2["auth"`, ">0/custom", "<0/custom,{", `<2/custom,["auth"`, ">1/custom", `>2["message","m"]`, `<2["message-back","m"]`,
		}},
		"an event":           {"/socket.io/", []string{">0", "<0{", `<2["auth"`, `>2["message",1,{"a":[null]}]`, `<2["message-back",1,{"a":[null]}]`}},
		"an acknowledgement": {"/socket.io/", []string{">0", "<0{", `<2["auth"`, `>27["message-with-ack",1,"x"]`, `<37[1,"x"]`}},
		"attachments": {"/socket.io/", []string{
			">0", "<0{", `<2["auth"`,
			`>51-["message",{"_placeholder":true,"num":0}]`, ">b\x01", `<51-["message-back",{"_placeholder":true,"num":0}]`, "<b\x01",
			`>51-8["message-with-ack",{"_placeholder":true,"num":0}]`, ">b\x02", `<61-8[{"_placeholder":true,"num":0}]`, "<b\x02",
		}},
		"a placeholder that stands for nothing": {"/socket.io/", []string{
			">0", "<0{", `<2["auth"`, `>2["message",{"_placeholder":true,"num":3}]`, `<2["message-back",{"_placeholder":true,"num":3}]`,
		}},
	} {
		for _, transport := range []string{enginetest.Polling, enginetest.WebSocket, enginetest.Upgrade} {
			t.Run(name+", "+transport, func(t *testing.T) {
				t.Parallel()
				ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
				defer cancel()
				client, err := enginetest.Dial(ctx, web.URL, enginetest.Options{Transport: transport, Path: c.path})
				if err != nil {
					t.Fatal(err)
				}
				defer client.Cut()
				for _, step := range c.steps {
					take(ctx, t, client, step)
				}
			})
		}
	}
}

// take takes a step: it says something, or hears what begins so.
func take(ctx context.Context, t *testing.T, client *enginetest.Client, step string) {
	t.Helper()
	text := step[1:]
	data, binary := strings.CutPrefix(text, "b")
	switch {
	case step[0] == '<':
		m, err := client.Next(ctx)
		if err != nil || m.Binary != binary || !strings.HasPrefix(string(m.Data), data) {
			t.Fatalf("%q: got %q, %v", step, m.Data, err)
		}
	case binary:
		if err := client.SendBinary(ctx, []byte(data)); err != nil {
			t.Fatalf("%q: %v", step, err)
		}
	default:
		if err := client.Send(ctx, text); err != nil {
			t.Fatalf("%q: %v", step, err)
		}
	}
}

func TestTheProgramServesUntilItIsStopped(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	said, says := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- run(ctx, []string{"-listen", "127.0.0.1:0"}, says, io.Discard) }()
	line, err := bufio.NewReader(said).ReadString('\n')
	address, ok := strings.CutPrefix(strings.TrimSpace(line), "listening on ")
	if err != nil || !ok {
		t.Fatalf("it said %q, %v", line, err)
	}
	client, err := enginetest.Dial(ctx, address, enginetest.Options{Transport: enginetest.WebSocket})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Cut()
	stop()
	if err := parttest.Await(t, "the program to end", done); err != nil {
		t.Error(err)
	}
}

func TestAWrongFlagIsExplained(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	if err := run(t.Context(), []string{"-port", "3"}, &out, &out); err == nil || !strings.Contains(out.String(), "-listen") {
		t.Errorf("%v, %s", err, out.String())
	}
}
