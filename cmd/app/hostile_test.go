package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
)

// connect opens a connection on which the client speaks for itself.
func (s *server) connect(t *testing.T) net.Conn {
	t.Helper()
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// Clients that send a byte now and then hold nothing that others need, and not for long.
func TestClientsThatDripAreLetGoAndOthersAreServed(t *testing.T) {
	t.Parallel()
	s := start(t, serverSettings(t, pgtest.Database(t)))
	admin := tokenFor(t, "ada", domain.RoleAdmin)
	const clients = 60 // of each kind: more than requests are worked on
	var dripping sync.WaitGroup
	for name, begin := range map[string]string{
		"the headers": "GET /api/v1/business HTTP/1.1\r\nHost: x\r\nX-Drip: ",
		"the body of a command": "POST /api/v1/products HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nAuthorization: Bearer " + admin +
			"\r\nContent-Length: 5000\r\n\r\n",
		"the body of a webhook":    "POST /api/v1/payments/webhook HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n",
		"a body that nobody reads": "POST /nowhere HTTP/1.1\r\nHost: x\r\nContent-Length: 5000\r\n\r\n",
	} {
		for range clients {
			c := s.connect(t)
			_, _ = io.WriteString(c, begin)
			dripping.Go(func() {
				ended := make(chan struct{})
				go func() {
					defer close(ended)
					_, _ = io.Copy(io.Discard, c)
				}()
				tick := time.NewTicker(200 * time.Millisecond)
				defer tick.Stop()
				limit := time.After(90 * time.Second)
				for {
					select {
					case <-ended:
						return
					case <-limit:
						t.Errorf("%s may be sent without end", name)
						_ = c.Close()
						<-ended
						return
					case <-tick.C:
						_, _ = io.WriteString(c, "x")
					}
				}
			})
		}
	}
	for range 20 { // while they drip
		s.must(t, http.StatusOK, http.MethodGet, "/api/v1/business", admin, nil)
		s.must(t, http.StatusOK, http.MethodPatch, "/api/v1/business/status", admin, map[string]any{"isOpen": true})
	}
	dripping.Wait()
}

// Connections that say nothing are no burden to those who say something, and go by themselves.
func TestConnectionsThatNeverRegister(t *testing.T) {
	t.Parallel()
	s := start(t, serverSettings(t, pgtest.Database(t)))
	admin := tokenFor(t, "ada", domain.RoleAdmin)
	const clients = 1200 // more than may be of one address
	request := "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
	taken, refused := 0, 0
	var conns []net.Conn
	for range clients {
		c := s.connect(t)
		conns = append(conns, c)
		_, _ = io.WriteString(c, request)
		answer := make([]byte, len("HTTP/1.1 101"))
		if _, err := io.ReadFull(c, answer); err != nil {
			t.Fatal(err)
		}
		switch string(answer) {
		case "HTTP/1.1 101":
			taken++
		case "HTTP/1.1 503":
			refused++
		default:
			t.Fatalf("answered %q", answer)
		}
	}
	// On a busy machine the last come so late that the first, who say nothing, make room for them.
	if open := s.unregistered(t); taken < 1000 || open > 1000 {
		t.Errorf("%d are taken and %d refused, and %d are open", taken, refused, open)
	}
	s.must(t, http.StatusOK, http.MethodGet, "/api/v1/business", admin, nil)
	for i, c := range conns { // with 4408, after 10 s
		_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
		if _, err := io.Copy(io.Discard, c); err != nil && strings.Contains(err.Error(), "timeout") {
			t.Fatalf("connection %d is still open: %v", i, err)
		}
		_ = c.Close()
	}
	parttest.Eventually(t, "there is room again", func() bool {
		conn, status := s.handshake(t, nil)
		return conn != nil && status == http.StatusSwitchingProtocols
	})
}

// unregistered is how many WebSockets are open over which nobody has registered, as the metrics tell.
func (s *server) unregistered(t *testing.T) (n int) {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"/metrics", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	response, err := transport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	_, after, found := strings.Cut(string(text), `orderlog_websocket_connections{role="unregistered"} `)
	if _, err := fmt.Sscan(after, &n); !found || err != nil {
		t.Fatalf("the metrics do not tell of unregistered connections: %v", err)
	}
	return n
}
