package ws

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
)

// dialSmall connects with little room for what is not read yet.
func (s *server) dialSmall(t *testing.T, protocol string) *client {
	t.Helper()
	d := websocket.Dialer{Subprotocols: []string{protocol}, NetDialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, network, address)
		if tcp, ok := conn.(*net.TCPConn); ok {
			err = tcp.SetReadBuffer(32 << 10)
		}
		return conn, err
	}}
	conn, resp, err := d.DialContext(t.Context(), s.url, nil)
	if err != nil {
		t.Fatalf("dial: %v", err)
	}
	_ = resp.Body.Close()
	t.Cleanup(func() { _ = conn.Close() })
	return &client{T: t, Conn: conn}
}

// stalled waits until the server has begun to close a connection.
func (s *server) stalled(t *testing.T) {
	eventually(t, "the server gives up a client that does not read", func() bool {
		s.handler.mu.Lock()
		defer s.handler.mu.Unlock()
		for c := range s.handler.conns {
			if c.closed.Load() {
				return true
			}
		}
		return false
	})
}

func TestClientThatReadsNothingIsClosed(t *testing.T) {
	t.Parallel()
	const events = 300
	for _, protocol := range []string{V1, V1Batch} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{
				ws:  func(c *Config) { c.WriteTimeout, c.SocketBuffer = time.Second, 32<<10 },
				hub: func(c *delivery.Config) { c.RingFrames = 10 },
			})
			c := s.dialSmall(t, protocol)
			c.register("ann", domain.RoleCustomer, "")
			for range events {
				s.feed.AddSized(4000, "all")
			}
			s.stalled(t)
			// When it reads on, all that it gets is whole, in order, and ended by the reason.
			last := int64(0)
			for {
				m, err := c.next()
				if err != nil {
					var closed *websocket.CloseError
					if !errors.As(err, &closed) || closed.Code != 4409 || closed.Text != "slow_consumer" {
						t.Fatalf("got %v", err)
					}
					break
				}
				if *m.Prev != last {
					t.Fatalf("got %d after %d, it says %d", m.Seq, last, *m.Prev)
				}
				last = m.Seq
			}
			if last == 0 || last == events {
				t.Fatalf("the last was %d", last)
			}
			// It comes back with its cursor and has lost nothing.
			again := s.dial(t, nil, protocol)
			again.register("ann", domain.RoleCustomer, fmt.Sprintf(`,"lastSeq":%d`, last))
			for last < events {
				again.expectEvents(last, last+1)
				last++
			}
		})
	}
}

func TestClientThatReadsSlowlyLosesNothing(t *testing.T) {
	t.Parallel()
	const events = 150
	s := serve(t, options{
		ws: func(c *Config) { c.WriteTimeout, c.SocketBuffer = 5*time.Second, 32<<10 },
		hub: func(c *delivery.Config) {
			c.RingFrames, c.QueueFrames, c.PageSize = 40, 16, 50
		},
	})
	c := s.dialSmall(t, V1)
	c.register("ann", domain.RoleCustomer, "")
	for range events {
		s.feed.AddSized(16<<10, "all")
	}
	s.reach(t, events)
	// Something gets through all the time, so it is not closed.
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for seq := range int64(events) {
		<-tick.C
		c.expectEvents(seq, seq+1)
	}
	if st := s.hub.Stats(); st.Overflows == 0 || st.ReplayedFeed == 0 {
		t.Errorf("it was not slow enough to show anything: %+v", st)
	}
}

// Checkpoints that are due all the time never run ahead of what is still to come.
func TestCheckpointsKeepTheOrder(t *testing.T) {
	t.Parallel()
	const events = 2000
	s := serve(t, options{
		session: func(c *session.Config) { c.CheckpointInterval = time.Microsecond },
		hub:     func(c *delivery.Config) { c.QueueFrames = 8 },
	})
	c := s.dial(t, nil, V1Batch)
	c.register("ann", domain.RoleCustomer, "")
	var wg sync.WaitGroup
	defer wg.Wait()
	wg.Go(func() {
		for i := range events {
			s.feed.Add([]string{"all", "user:bob"}[i%2])
			if i%10 == 0 {
				s.reach(t, int64(i))
			}
		}
	})
	var prev, last int64
	checkpoints := 0
	for last < events-1 {
		m := c.hear()
		switch m.Event {
		case "checkpoint":
			checkpoints++
			if m.Data.Seq < prev {
				t.Fatalf("got %s after %d", m.raw, prev)
			}
			prev = m.Data.Seq
		default:
			if *m.Prev != prev || m.Seq != last+2 && last > 0 || m.Seq <= prev {
				t.Fatalf("got %s after %d, told %d", m.raw, last, prev)
			}
			last, prev = m.Seq, m.Seq
		}
	}
	if checkpoints == 0 {
		t.Error("there was no checkpoint")
	}
}

func TestQuietConnectionIsToldHowFarItIs(t *testing.T) {
	t.Parallel()
	s := serve(t, options{session: func(c *session.Config) { c.CheckpointInterval = 20 * time.Millisecond }})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	s.feed.Add("user:bob")
	s.feed.Add("user:bob")
	last := int64(0)
	for last < 2 {
		m := c.expect("checkpoint")
		if m.Data.Seq < last {
			t.Fatalf("got %s after %d", m.raw, last)
		}
		last = m.Data.Seq
	}
	s.feed.Add("user:ann")
	m := c.hear()
	for m.Event == "checkpoint" {
		m = c.hear()
	}
	if *m.Prev != 2 || m.Seq != 3 {
		t.Fatalf("got %s", m.raw)
	}
}
