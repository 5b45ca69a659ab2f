package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"

	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

// serveFanout serves Socket.IO from a notification log in memory: POST /publish?messages=N&bytes=B appends N
// notifications for everybody. It prints its address when it listens, and ends with ctx.
func serveFanout(ctx context.Context, out io.Writer) error {
	feed := deliverytest.NewFeed()
	hub := delivery.New(delivery.Config{Feed: feed, Hint: feed.Hint})
	sessions := session.New(session.Config{Hub: hub, Verifier: nobody{}})
	sockets := socketio.New(socketio.Config{Sessions: sessions})
	mux := http.NewServeMux()
	mux.Handle("/socket.io/", sockets)
	mux.HandleFunc("POST /publish", func(_ http.ResponseWriter, r *http.Request) {
		messages, _ := strconv.Atoi(r.URL.Query().Get("messages"))
		size, _ := strconv.Atoi(r.URL.Query().Get("bytes"))
		for range messages {
			feed.AddSized(size, projections.ChannelAll)
		}
	})
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux} //nolint:gosec // its clients are this program's
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return hub.Run(ctx) })
	g.Go(func() error {
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
		return nil
	})
	g.Go(func() error {
		<-ctx.Done()
		ended := context.WithoutCancel(ctx)
		return errors.Join(sockets.Shutdown(ended), server.Shutdown(ended))
	})
	fmt.Fprintf(out, "ready on http://%s\n", listener.Addr())
	return g.Wait()
}

// nobody lets nobody in by a token: the benchmark's clients have none.
type nobody struct{}

func (nobody) Verify(context.Context, string) (auth.Identity, error) {
	return auth.Identity{}, auth.ErrUnauthenticated
}
