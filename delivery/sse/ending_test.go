package sse

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
)

func TestANodeThatStopsAsksItsClientsBack(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	clients := make([]*client, 6)
	for i := range clients {
		clients[i] = s.listen(t, "ann", domain.RoleCustomer, "")
		clients[i].expect("registered")
	}
	s.feed.Add("all")
	s.reach(t, 1)
	if err := s.handler.Shutdown(t.Context()); err != nil {
		t.Fatal(err)
	}
	apart := map[int64]bool{}
	for _, c := range clients {
		e := c.hear()
		if e.name == "e" { // or it was cut before, and comes back for it
			e = c.hear()
		}
		if e.name != "reconnect" || c.retry != fmt.Sprint(e.at.AfterMs) || e.at.AfterMs < 1000 || e.at.AfterMs > 5000 {
			t.Errorf("got %s %s, retry: %s", e.name, e.data, c.retry)
		}
		apart[e.at.AfterMs] = true
		c.expectEnd()
	}
	if len(apart) < 3 {
		t.Errorf("they come back at once: %v", apart)
	}
	if st := s.handler.Stats(); st.Open != 0 || st.Ended["going_away"] != 6 {
		t.Errorf("got %+v", st)
	}
	s.asks(t, "", "Authorization: Bearer "+token("ann", domain.RoleCustomer, time.Hour)).refusedWith(503, "unavailable")
}

// manyEvents of 16 KiB are more than fits on the way to a client.
const manyEvents = 120

// stuck opens a stream whose client reads nothing, and waits until nothing more gets through.
func (s *server) stuck(t *testing.T) *client {
	t.Helper()
	c := s.listen(t, "ann", domain.RoleCustomer, "?lastSeq=0")
	for range manyEvents {
		s.feed.AddSized(16<<10, "all")
	}
	s.reach(t, manyEvents)
	var before delivery.Stats
	looks := 0
	eventually(t, "the client is behind", func() bool {
		now := s.hub.Stats()
		if now.Sent["e"] == before.Sent["e"] && now.Sent["e"] > 0 && now.Readings == 0 {
			looks++
		} else {
			looks = 0
		}
		before = now
		return looks == 20 // or it may only be between two readings
	})
	return c
}

func small(c *Config) { c.SocketBuffer = 32 << 10 }

// deaf is the way to a client that reads nothing at all, with no buffers between.
type deaf struct {
	net.Conn // nobody is at its other end
	header   http.Header
	begun    chan struct{} // has one when a write is under way
}

func (d deaf) Header() http.Header { return d.header }
func (d deaf) WriteHeader(int)     {}

func (d deaf) Write(p []byte) (int, error) {
	d.begun <- struct{}{}
	return d.Conn.Write(p)
}

func TestANodeThatStopsDoesNotWaitForWhoDoesNotRead(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		closeTimeout, limit time.Duration
		err                 error
	}{
		"as long as may be":   {50 * time.Millisecond, patience, nil},
		"when it has no time": {time.Hour, 50 * time.Millisecond, context.DeadlineExceeded},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{sse: func(c *Config) { c.CloseTimeout = tc.closeTimeout }})
			near, far := net.Pipe()
			t.Cleanup(func() { _ = errors.Join(near.Close(), far.Close()) })
			client := deaf{near, http.Header{}, make(chan struct{}, 1)}
			served := make(chan error, 1)
			go func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events", http.NoBody)
				served <- s.handler.Serve(client, r, &auth.Identity{UserID: "ann", Role: domain.RoleCustomer}, "192.0.2.7")
			}()
			parttest.Await(t, "a write", client.begun)
			limited, cancel := context.WithTimeout(t.Context(), tc.limit)
			defer cancel()
			if err := s.handler.Shutdown(limited); !errors.Is(err, tc.err) {
				t.Errorf("got %v", err)
			}
			if st := s.handler.Stats(); st.Open != 0 {
				t.Errorf("got %+v", st)
			}
			if err := <-served; err != nil {
				t.Error(err)
			}
		})
	}
}

func TestANodeThatStopsDoesNotWaitForWhoIsBeingLetIn(t *testing.T) {
	t.Parallel()
	s := serve(t, options{sse: func(c *Config) { c.Tickets = waiting{} }})
	refused := make(chan string, 1)
	go func() {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url+"?ticket=x", http.NoBody)
		if err != nil {
			panic(err)
		}
		got, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			panic(err)
		}
		body, _ := io.ReadAll(got.Body)
		_ = got.Body.Close()
		refused <- got.Status + string(body)
	}()
	eventually(t, "it waits", func() bool {
		s.handler.mu.Lock()
		defer s.handler.mu.Unlock()
		return len(s.handler.streams) == 1
	})
	if err := s.handler.Shutdown(t.Context()); err != nil {
		t.Error(err)
	}
	if got := <-refused; !strings.HasPrefix(got, "503") || !strings.Contains(got, "stopping") {
		t.Errorf("got %s", got)
	}
}

// waiting are tickets of a database that does not answer.
type waiting struct{}

func (waiting) Redeem(ctx context.Context, _ string) (auth.Identity, error) {
	<-ctx.Done()
	return auth.Identity{}, ctx.Err()
}

func TestAClientThatReadsNothingIsLetGo(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		sse: func(c *Config) { small(c); c.WriteTimeout = 2 * time.Second }, // time enough for who reads on
		hub: func(c *delivery.Config) { c.RingFrames = 10 },
	})
	c := s.stuck(t)
	eventually(t, "it is let go", func() bool { return s.handler.Stats().Ended["slow_consumer"] == 1 })
	// When it reads on, what it gets is whole, and in order; the rest is there when it is back.
	var got int64
	for {
		e, err := c.next()
		if err != nil {
			break
		}
		if e.name == "e" {
			if got++; e.at.Seq != got {
				t.Fatalf("got %s after %d", e.lastID, got-1)
			}
		}
	}
	if got == 0 || got == manyEvents {
		t.Fatalf("it got %d", got)
	}
	again := s.back(t, c.lastID, "?lastSeq=0")
	again.expect("registered")
	for got < manyEvents {
		got++
		again.expectEvents(got)
	}
}

func TestAClientThatReadsSlowlyLosesNothing(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		sse: small,
		hub: func(c *delivery.Config) { c.RingFrames, c.QueueFrames, c.PageSize = 40, 16, 50 },
	})
	c := s.stuck(t)
	c.expect("registered")
	for seq := int64(1); seq <= manyEvents; seq++ {
		e := c.hear()
		if e.name == "caught_up" { // at what there was when it came
			e = c.hear()
		}
		if e.at.Seq != seq {
			t.Fatalf("got %s, want %d", e.lastID, seq)
		}
	}
}

// By HTTP/1.0 the stream ends with its connection, which is as good: an event that is cut short is no event.
func TestAStreamOverHTTP10(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", strings.TrimPrefix(s.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := fmt.Fprintf(conn, "GET /api/v1/events HTTP/1.0\r\nAuthorization: Bearer %s\r\n\r\n", token("ann", domain.RoleCustomer, time.Hour)); err != nil {
		t.Fatal(err)
	}
	if err := conn.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	r := newReader(conn)
	length := ""
	for line := "."; strings.TrimSpace(line) != ""; {
		if line, err = r.lines.ReadString('\n'); err != nil {
			t.Fatal(err)
		}
		if name, value, _ := strings.Cut(line, ":"); name == "Content-Length" || name == "Transfer-Encoding" {
			length = value
		}
	}
	c := &client{T: t, reader: r}
	c.expect("registered")
	s.feed.Add("all")
	c.expectEvents(1)
	if length != "" {
		t.Errorf("its length is %s", strconv.Quote(length))
	}
}
