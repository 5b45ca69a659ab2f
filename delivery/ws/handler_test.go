package ws

import (
	"context"
	"errors"
	"net/http"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/domain"
)

func TestShutdownAsksClientsToComeBackApart(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.ReconnectSpread = 2 * time.Second }})
	var wg sync.WaitGroup
	var mu sync.Mutex
	delays := map[int64]bool{}
	for range 8 {
		c := s.dial(t, nil)
		c.register("ann", domain.RoleCustomer, "")
		wg.Go(func() {
			m, err := c.next()
			if err != nil || m.Event != "reconnect" || m.Data.AfterMs < 200 || m.Data.AfterMs > 2200 {
				t.Errorf("got %s, %v", m.raw, err)
			}
			mu.Lock()
			delays[m.Data.AfterMs] = true
			mu.Unlock()
			var closed *websocket.CloseError
			if _, err := c.next(); !errors.As(err, &closed) || closed.Code != 1001 {
				t.Errorf("got %v", err)
			}
		})
	}
	if err := s.handler.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if len(delays) < 2 {
		t.Errorf("all come back at once: %v", delays)
	}
	if _, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.url, nil); err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("a handshake was taken after the shutdown: %v", err)
	} else {
		_ = resp.Body.Close()
	}
}

func TestShutdownCutsClientsThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	s.dial(t, nil).register("ann", domain.RoleCustomer, "") // and reads no more
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.handler.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Fatalf("got %v", err)
	}
}

func TestHandshakesThatAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.MaxUnregistered, c.MaxConnections = 2, 3 }})
	status := func(header http.Header) int {
		t.Helper()
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.url, header)
		if err == nil {
			t.Cleanup(func() { _ = conn.Close() })
		}
		if resp == nil {
			t.Fatal(err)
		}
		_ = resp.Body.Close()
		return resp.StatusCode
	}
	if got := status(http.Header{"Origin": {"https://evil.example"}}); got != http.StatusForbidden {
		t.Errorf("another origin: %d", got)
	}
	if got := status(http.Header{"Origin": {"https://shop.example"}}); got != http.StatusSwitchingProtocols {
		t.Errorf("the allowed origin: %d", got)
	}
	c := s.dial(t, nil)
	if got := status(nil); got != http.StatusServiceUnavailable {
		t.Errorf("too many that have not registered: %d", got)
	}
	c.register("ann", domain.RoleCustomer, "")
	c = s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	if got := status(nil); got != http.StatusServiceUnavailable {
		t.Errorf("too many connections: %d", got)
	}
}
