package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/google/uuid"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/bench/peers/peer"
	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/delivery/socketio"
	"github.com/orderlog/orderlog/delivery/ws"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

// serveFanout serves WebSocket and Socket.IO: from a notification log in memory, to which POST /publish appends, or, when
// a database is given, from the one that is in there. Tokens are verified, as at the peers. It prints its address when it
// listens, and ends with ctx.
func serveFanout(ctx context.Context, out io.Writer, databaseURL string) error {
	mux := http.NewServeMux()
	var hub *delivery.Hub
	if databaseURL == "" {
		feed := deliverytest.NewFeed()
		hub = delivery.New(delivery.Config{Feed: feed, Hint: feed.Hint})
		peer.Publishes(mux, func(ctx context.Context, p peer.Plan) error { return publishInto(ctx, feed, p) })
	} else {
		pool, err := newPool(ctx, databaseURL, 16) // as many connections as the program has
		if err != nil {
			return err
		}
		defer pool.Close()
		hub = delivery.New(delivery.Config{Feed: projections.NewFeedLog(pool)})
	}
	verifier, err := peer.Verifier(ctx)
	if err != nil {
		return err
	}
	sessions := session.New(session.Config{Hub: hub, Verifier: verifier, Access: everything{}})
	sockets := socketio.New(socketio.Config{Sessions: sessions, MaxUnknownAddress: stormClients})
	plain := ws.New(ws.Config{Sessions: sessions, MaxUnregisteredAddress: stormClients})
	mux.Handle("/socket.io/", sockets)
	mux.Handle("/ws", plain)
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return hub.Run(ctx) })
	g.Go(func() error {
		return peer.Serve(ctx, out, mux, func(ctx context.Context) error {
			return errors.Join(sockets.Shutdown(ctx), plain.Shutdown(ctx))
		})
	})
	return g.Wait()
}

// publishInto appends notifications, whose numbers are their seqs.
func publishInto(ctx context.Context, feed *deliverytest.Feed, p peer.Plan) error {
	return p.Run(ctx, func(n int, users []int) error {
		channels := []string{projections.ChannelAll}
		if p.Users > 0 {
			channels = make([]string, len(users))
			for i, u := range users {
				channels[i] = projections.ChannelUser(peer.User(u))
			}
		}
		if seq := feed.AddSized(p.Bytes, channels...); seq != int64(n) {
			return fmt.Errorf("its seq is %d", seq)
		}
		return nil
	})
}

// everything may be seen by everybody.
type everything struct{}

func (everything) CanSeeOrder(context.Context, auth.Identity, uuid.UUID) (bool, error) {
	return true, nil
}

func (everything) CanSeeCourier(context.Context, auth.Identity, string) (since int64, ok bool, err error) {
	return 0, true, nil
}
