package ws

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

// Clients are cut off at random moments, mid-frame and mid-replay too, and come back with the last seq they saw.
func TestClientsThatAreCutOffMissNothing(t *testing.T) {
	t.Parallel()
	const events, clients = 1500, 12
	s := serve(t, options{hub: func(c *delivery.Config) { c.RingFrames, c.QueueFrames, c.PageSize = 100, 8, 40 }})
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range events {
			seq := s.feed.Add(fmt.Sprintf("user:%d", i%3), fmt.Sprintf("user:%d", i%5))
			if i%50 == 0 {
				s.reach(t, seq)
			}
		}
		s.feed.Add("all")
	})
	for i := range clients {
		wg.Go(func() {
			user, last, cuts := fmt.Sprint(i%5), int64(0), 0
			var got []int64
			for last <= events {
				cuts++
				last = s.readUntilCut(t, user, last, 1+rand.IntN(120), &got)
			}
			var want []int64
			for _, n := range s.feed.Items() {
				for _, c := range n.Channels {
					if c == "all" || c == "user:"+user {
						want = append(want, n.Seq)
						break
					}
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(want) {
				t.Errorf("client %d, cut off %d times, got %d events, want %d", i, cuts, len(got), len(want))
			}
		})
	}
	wg.Wait()
}

// readUntilCut connects with a cursor and goes away after some messages. It returns the new cursor.
func (s *server) readUntilCut(t *testing.T, user string, last int64, messages int, got *[]int64) int64 {
	conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.url, nil)
	if err != nil {
		t.Errorf("dial: %v", err)
		return 1 << 40
	}
	_ = resp.Body.Close()
	defer conn.Close()
	if tcp, ok := conn.NetConn().(*net.TCPConn); ok {
		_ = tcp.SetLinger(0)
	}
	if err := conn.WriteMessage(websocket.TextMessage, fmt.Appendf(nil,
		`{"event":"register","data":{"token":%q,"lastSeq":%d}}`, token(user, domain.RoleCustomer, time.Hour), last)); err != nil {
		t.Errorf("register: %v", err)
		return 1 << 40
	}
	prev := last
	for range messages {
		_ = conn.SetReadDeadline(time.Now().Add(patience))
		_, text, err := conn.ReadMessage()
		if err != nil {
			t.Errorf("read after %d: %v", last, err)
			return 1 << 40
		}
		var m message
		if err := json.Unmarshal(text, &m); err != nil {
			t.Errorf("%s: %v", text, err)
			return 1 << 40
		}
		switch {
		case m.Seq > 0:
			if *m.Prev != prev || m.Seq <= last {
				t.Errorf("%s after %d", text, prev)
			}
			*got, last, prev = append(*got, m.Seq), m.Seq, m.Seq
		case m.Event == "caught_up" || m.Event == "checkpoint":
			prev, last = m.Data.Seq, max(last, m.Data.Seq)
		}
		if last > 1500 {
			return last
		}
	}
	return last
}
