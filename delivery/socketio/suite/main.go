// Command suite is a small server for the public test suites of the Engine.IO protocol 4 and the Socket.IO protocol 5.
// It serves what these expect of a server under test: an echo at /engine.io/, and at /socket.io/ the namespaces "/" and
// "/custom" with a few events.
//
// The suites are in the repositories of the protocols, github.com/socketio/engine.io-protocol and
// github.com/socketio/socket.io-protocol, in the directory test-suite. To run one:
//
//	go run ./delivery/socketio/suite          # in one terminal
//	cd test-suite && npm ci && npm test       # in another
//
// They connect to http://localhost:3000. On another port (-listen 127.0.0.1:3210) the address at the top of
// test-suite.js has to be changed accordingly.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/namespace"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	switch {
	case errors.Is(err, flag.ErrHelp):
	case err != nil:
		fmt.Fprintln(os.Stderr, "suite:", err)
		os.Exit(1)
	}
}

// run serves until the context ends.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("suite", flag.ContinueOnError)
	flags.SetOutput(stderr)
	address := flags.String("listen", "localhost:3000", "the address to listen on")
	if err := flags.Parse(args); err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", *address)
	if err != nil {
		return err
	}
	s := newServer()
	server := &http.Server{Handler: s.handler(), ReadHeaderTimeout: 10 * time.Second}
	served := make(chan error, 1)
	go func() { served <- server.Serve(listener) }()
	fmt.Fprintf(stdout, "listening on http://%s\n", listener.Addr())
	select {
	case err = <-served:
	case <-ctx.Done():
	}
	stopping, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
	defer cancel()
	return errors.Join(err, s.shutdown(stopping), server.Shutdown(stopping))
}

// server is what the suites test.
type server struct {
	echo, sockets *engine.Server
}

// newServer has the times and sizes that the suites expect.
func newServer() *server {
	config := engine.Config{
		AllowOrigin:  func(*http.Request) bool { return true }, // the suites run in browsers, too
		PingInterval: 300 * time.Millisecond,
		PingTimeout:  200 * time.Millisecond,
		MaxPayload:   1_000_000,
	}
	echoes, sockets := config, config
	echoes.Accept = acceptEcho
	sockets.Accept = namespace.New(namespace.Config{
		// The suite's own server gives a client one second. But it polls for 0.9 s without connecting in one test, which
		// on a busy machine is too near.
		Connect: connect, ConnectTimeout: 1500 * time.Millisecond, MaxBytes: config.MaxPayload,
	}).Accept
	return &server{echo: engine.New(echoes), sockets: engine.New(sockets)}
}

func (s *server) handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/engine.io/", s.echo)
	mux.Handle("/socket.io/", s.sockets)
	return mux
}

func (s *server) shutdown(ctx context.Context) error {
	return errors.Join(s.echo.Shutdown(ctx), s.sockets.Shutdown(ctx))
}
