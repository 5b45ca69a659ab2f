package ws

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/domain"
)

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
		"no UTF-8":     {websocket.TextMessage, "{\"event\":\"ping\",\"id\":\"\xff\"}", 4400, "bad_message"},
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
	s := serve(t, options{ws: func(c *Config) { c.PingInterval, c.PongTimeout = 10*time.Millisecond, time.Second }})
	c := s.dial(t, nil)
	pings := 0
	answer := c.PingHandler()
	c.SetPingHandler(func(payload string) error {
		if pings++; pings == 120 {
			s.feed.Add("all")
		}
		return answer(payload)
	})
	c.register("ann", domain.RoleCustomer, "")
	c.expectEvents(0, 1)
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
