package engine_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/orderlog/orderlog/delivery/socketio/engine"
	"github.com/orderlog/orderlog/delivery/socketio/enginetest"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestShutdownEndsAllUnderLoadAndHalfDoneUpgradesToo(t *testing.T) {
	t.Parallel()
	w := newWorld(t, nil, func(p *peer) { p.receive = p.echo })
	ctx, cancel := context.WithCancel(t.Context())
	group := errgroup.Group{}
	for i := range 60 {
		transport := []string{enginetest.Polling, enginetest.WebSocket, enginetest.Upgrade}[i%3]
		until := []enginetest.Step{enginetest.All, enginetest.All, enginetest.Handshake, enginetest.Socket, enginetest.Probe}[i%5]
		group.Go(func() error {
			for ctx.Err() == nil {
				c, err := enginetest.Dial(ctx, w.url, enginetest.Options{Transport: transport, Until: until})
				if err != nil {
					var refused *enginetest.RefusedError
					if errors.As(err, &refused) && refused.Status == 503 {
						return nil // as it should be from now on
					}
					continue // its session ended on the way
				}
				for err == nil && until == enginetest.All {
					if err = c.Send(ctx, "x"); err == nil {
						_, err = c.Next(ctx)
					}
				}
				c.Cut()
			}
			return nil
		})
	}
	parttest.Eventually(t, "load", func() bool { return w.server.Stats().Received > 500 })
	stopping, stop := context.WithTimeout(context.Background(), 30*time.Second)
	defer stop()
	if err := w.server.Shutdown(stopping); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if err := group.Wait(); err != nil {
		t.Error(err)
	}
	cancel()
	stats := w.server.Stats()
	if stats.Open[engine.Polling] != 0 || stats.Open[engine.WebSocket] != 0 {
		t.Errorf("after Shutdown the numbers are %+v", stats)
	}
	total := int64(0)
	for _, n := range stats.Closed {
		total += n
	}
	if total != stats.Opened {
		t.Errorf("of %d sessions %d were closed", stats.Opened, total)
	}
	close(w.peers)
	for p := range w.peers {
		select {
		case <-p.closed:
		default:
			t.Error("a peer was not told of the end")
		}
	}
}

func TestShutdownCutsThoseWhoDoNotEnd(t *testing.T) {
	t.Parallel()
	inside := make(chan struct{}, 2)
	w := newWorld(t, func(c *engine.Config) { c.CloseTimeout = time.Hour }, func(p *peer) {
		p.receive = func(ctx context.Context, _ engine.Message) error {
			inside <- struct{}{}
			<-ctx.Done()
			return nil
		}
	})
	polling, p := w.open()
	go func() { _, _ = w.post(polling, "4x") }()
	parttest.Await(t, "the payload", inside)
	ws := w.socket("")
	q := w.peer()
	w.say(ws, "4x")
	parttest.Await(t, "the message", inside)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if err := w.server.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Shutdown: %v", err)
	}
	w.ended(p, engine.ReasonShutdown)
	w.ended(q, engine.ReasonShutdown)
}
