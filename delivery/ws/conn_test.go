package ws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
)

func TestQuietConnectionIsToldHowFarItIs(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.CheckpointInterval = 20 * time.Millisecond }})
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

func TestCloseCodesOfWhatAClientDoesWrong(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	for name, tc := range map[string]struct {
		kind   int
		say    string
		code   int
		reason string
	}{
		"not JSON":     {websocket.TextMessage, `{`, 4400, "bad_message"},
		"not a object": {websocket.TextMessage, `[]`, 4400, "bad_message"},
		"null":         {websocket.TextMessage, `null`, 4400, "bad_message"},
		"no event":     {websocket.TextMessage, `{"data":{}}`, 4400, "bad_message"},
		"odd event":    {websocket.TextMessage, `{"event":1}`, 4400, "bad_message"},
		"odd id":       {websocket.TextMessage, `{"event":"ping","id":{}}`, 4400, "bad_message"},
		"binary":       {websocket.BinaryMessage, `{"event":"ping"}`, 4400, "bad_message"},
		"too large":    {websocket.TextMessage, `{"event":"` + strings.Repeat("x", 64<<10) + `"}`, 4413, "message_too_large"},
		"much too large": {
			websocket.TextMessage, strings.Repeat("x", 8<<20), 4413, "message_too_large",
		},
	} {
		for _, registered := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, registered: %v", name, registered), func(t *testing.T) {
				t.Parallel()
				c := s.dial(t, nil)
				if registered {
					c.register("ann", domain.RoleCustomer, "")
				}
				if err := c.WriteMessage(tc.kind, []byte(tc.say)); err != nil {
					t.Fatal(err)
				}
				c.expectClose(tc.code, tc.reason)
			})
		}
	}
}

func TestLargestMessageIsTaken(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	frame := `{"event":"ping","data":""}`
	c.say(`{"event":"ping","data":"%s"}`, strings.Repeat("x", 64<<10-len(frame)))
	c.expect("pong")
}

func TestFramesThatBreakTheProtocolEndTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	if _, err := c.NetConn().Write([]byte{0x81, 0x01, 'x'}); err != nil { // not masked
		t.Fatal(err)
	}
	c.expectClose(4400, "bad_message")
}

func TestTooManyMessagesEndTheConnection(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "") // the first
	for range 99 {
		c.say(`{"event":"ping"}`)
	}
	for range 99 {
		c.expect("pong")
	}
	c.say(`{"event":"ping"}`)
	c.expectClose(4429, "rate_limited")
}

func TestWindowSlides(t *testing.T) {
	t.Parallel()
	w := window{limit: 3, span: 10 * time.Second}
	start := time.Now()
	for _, step := range []struct {
		at    time.Duration
		allow bool
	}{{0, true}, {4, true}, {8, true}, {9, false}, {10, true}, {13, false}, {14, true}, {15, false}, {40, true}} {
		if got := w.allow(start.Add(step.at * time.Second)); got != step.allow {
			t.Errorf("at %d s: %v", step.at, got)
		}
	}
}

func TestBatchHoldsSeveralObjectsOneALine(t *testing.T) {
	t.Parallel()
	const events = 300
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		for range events {
			m.Add("all")
		}
	}})
	c := s.dial(t, nil, V1Batch, V1)
	if c.Subprotocol() != V1Batch {
		t.Fatalf("subprotocol %q", c.Subprotocol())
	}
	c.register("ann", domain.RoleCustomer, `,"lastSeq":0`)
	want := make([]int64, events)
	most := 0
	for i := range want {
		want[i] = int64(i + 1)
		most = max(most, len(c.lines))
		c.expectEvents(int64(i), want[i])
	}
	c.expect("caught_up")
	if most < 2 {
		t.Errorf("no message held more than one object")
	}
	c.say("%s\n%s\n", `{"event":"ping","id":1}`, `{"event":"ping","id":2}`)
	for _, id := range []float64{1, 2} {
		c.expect("pong")
		if m := c.hear(); m.Ack != id {
			t.Fatalf("got %s", m.raw)
		}
	}
}

func TestMessagesOfEverySizeArriveWhole(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(m *deliverytest.Feed) {
		for size := range 120 {
			m.AddSized(size, "all") // around the first step of the length's encoding
		}
		for size := 65350; size < 65600; size += 5 { // and the second
			m.AddSized(size, "all")
		}
	}})
	for _, protocol := range []string{V1, V1Batch} {
		c := s.dial(t, nil, protocol)
		c.register("ann", domain.RoleCustomer, `,"lastSeq":0`)
		for seq := range s.hub.Position() {
			c.expectEvents(seq, seq+1)
		}
		c.expect("caught_up")
	}
}

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
				ws:  func(c *Config) { c.WriteTimeout, c.SocketBuffer = 100*time.Millisecond, 32<<10 },
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
		ws: func(c *Config) { c.WriteTimeout, c.SocketBuffer = 400*time.Millisecond, 32<<10 },
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
	// One write of what waits takes longer than the timeout, but something gets through all the time.
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
		ws:  func(c *Config) { c.CheckpointInterval = time.Microsecond },
		hub: func(c *delivery.Config) { c.QueueFrames = 8 },
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

func TestConnectionThatIsHalfOpenIsDropped(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.PingInterval, c.PongTimeout = 20*time.Millisecond, 100*time.Millisecond }})
	silent := s.dial(t, nil)
	silent.SetPingHandler(func(string) error { return nil })
	silent.register("ann", domain.RoleCustomer, "")
	if _, err := silent.next(); err == nil {
		t.Fatal("it is still served")
	}
}

func TestConnectionThatAnswersPingsIsKept(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.PingInterval, c.PongTimeout = 10*time.Millisecond, 150*time.Millisecond }})
	c := s.dial(t, nil)
	pings := 0
	answer := c.PingHandler()
	c.SetPingHandler(func(payload string) error {
		if pings++; pings == 50 {
			s.feed.Add("all")
		}
		return answer(payload)
	})
	c.register("ann", domain.RoleCustomer, "")
	c.expectEvents(0, 1)
}

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

func TestClientThatClosesIsAnswered(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.dial(t, nil)
	c.register("ann", domain.RoleCustomer, "")
	if err := c.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(1000, "bye"), time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c.expectClose(1000, "")
	eventually(t, "the connection is gone", func() bool { return s.handler.Stats().Open == 0 })
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
	if !originAllowed([]string{"*"}, "https://any.example") || originAllowed(nil, "https://any.example") {
		t.Error("origins")
	}
}

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
