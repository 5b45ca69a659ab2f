// Command centrifuge is a server that does nothing but publish, with the centrifuge library: its defaults, history in
// memory, JSON over WebSocket. Who connects is subscribed, with recovery, to a channel that is everybody's and to one of
// the user's own. Tokens are verified, and expire, as ours do.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/centrifugal/centrifuge"

	"github.com/orderlog/orderlog/bench/peers/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, len(os.Args) > 1 && os.Args[1] == "-small")
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "centrifuge:", err)
		os.Exit(1)
	}
}

// run serves. With small, it is set up for many connections that are idle, as its documentation advises.
func run(ctx context.Context, small bool) error {
	node, err := centrifuge.New(centrifuge.Config{})
	if err != nil {
		return err
	}
	verifier, err := peer.Verifier(ctx)
	if err != nil {
		return err
	}
	node.OnConnecting(func(ctx context.Context, e centrifuge.ConnectEvent) (centrifuge.ConnectReply, error) {
		id, err := verifier.Verify(ctx, e.Token)
		if err != nil {
			return centrifuge.ConnectReply{}, centrifuge.DisconnectInvalidToken
		}
		return centrifuge.ConnectReply{
			Credentials: &centrifuge.Credentials{UserID: id.UserID, ExpireAt: id.ExpiresAt.Unix()},
			Subscriptions: map[string]centrifuge.SubscribeOptions{
				"all": {EnableRecovery: true}, "user:" + id.UserID: {EnableRecovery: true},
			},
		}, nil
	})
	node.OnConnect(func(*centrifuge.Client) {})
	if err := node.Run(); err != nil {
		return err
	}
	// What is kept is what our ring keeps.
	history := centrifuge.WithHistory(16384, time.Hour)
	mux := http.NewServeMux()
	peer.Publishes(mux, func(ctx context.Context, p peer.Plan) error {
		return p.Run(ctx, func(n int, users []int) error {
			data := p.Data(n)
			if p.Users == 0 {
				_, err := node.Publish("all", data, history)
				return err
			}
			for _, u := range users {
				if _, err := node.Publish("user:"+peer.User(u), data, history); err != nil {
					return err
				}
			}
			return nil
		})
	})
	cfg := centrifuge.WebsocketConfig{}
	if small {
		cfg.ReadBufferSize, cfg.UseWriteBufferPool, cfg.ProcessCommandsOffReadLoop = 512, true, true
	}
	mux.Handle("/connection/websocket", centrifuge.NewWebsocketHandler(node, cfg))
	return peer.Serve(ctx, os.Stdout, mux, node.Shutdown)
}
