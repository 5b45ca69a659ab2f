// Command gorilla is the least that can broadcast: a gorilla/websocket server that writes each event as a prepared
// message to each connection. It has no channels, no history and no queues, so whoever reads slowly holds up all others.
package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"sync"
	"syscall"

	"github.com/gorilla/websocket"
	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/bench/peers/peer"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	s := server{conns: map[*websocket.Conn]struct{}{}}
	mux := http.NewServeMux()
	mux.HandleFunc("/ws", s.connect)
	peer.Publishes(mux, s.publish)
	err := peer.Serve(ctx, os.Stdout, mux, func(context.Context) error { return nil })
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "gorilla:", err)
		os.Exit(1)
	}
}

type server struct {
	upgrader websocket.Upgrader

	mu    sync.Mutex
	conns map[*websocket.Conn]struct{}
}

func (s *server) connect(w http.ResponseWriter, r *http.Request) {
	c, err := s.upgrader.Upgrade(w, r, nil)
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	// The client waits for this: it is among those who are written to when it comes.
	s.mu.Lock()
	s.conns[c] = struct{}{}
	err = c.WriteMessage(websocket.TextMessage, []byte("{}"))
	s.mu.Unlock()
	for err == nil {
		_, _, err = c.NextReader()
	}
	s.mu.Lock()
	delete(s.conns, c)
	s.mu.Unlock()
}

// publish writes every event to every connection, the connections shared out among as many goroutines as there are cores.
func (s *server) publish(ctx context.Context, p peer.Plan) error {
	messages := make([]*websocket.PreparedMessage, 0, p.Messages)
	for n := p.From; n < p.From+p.Messages; n++ {
		m, err := websocket.NewPreparedMessage(websocket.TextMessage, p.Data(n))
		if err != nil {
			return err
		}
		messages = append(messages, m)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	shares := make([][]*websocket.Conn, runtime.GOMAXPROCS(0))
	i := 0
	for c := range s.conns {
		shares[i%len(shares)] = append(shares[i%len(shares)], c)
		i++
	}
	g, ctx := errgroup.WithContext(ctx)
	for _, share := range shares {
		g.Go(func() error {
			for _, m := range messages {
				for _, c := range share {
					_ = c.WritePreparedMessage(m) // it may be of the round before; a client that misses an event says so itself
				}
				if err := ctx.Err(); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return g.Wait()
}
