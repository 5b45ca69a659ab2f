package simulation

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/internal/parttest"
)

// endless makes a part of a client.
func endless(c *client) func(context.Context) error {
	return func(ctx context.Context) error {
		c.run(ctx)
		return nil
	}
}

// verdictOn reads the feed of a client and compares.
func (s *fakeServer) verdictOn(c *client, j *journal, upTo int64, rooms map[string][]fact) verdict {
	s.t.Helper()
	a := newAPI(s.url)
	defer a.close()
	var own []fact
	if err := readFeed(s.t.Context(), a, c.user, j.start, upTo, func(f fact) { own = append(own, f) }); err != nil {
		s.t.Fatal(err)
	}
	return judge(j, own, rooms, upTo, func(fact) bool { return false })
}

func (s *fakeServer) reached(c *client, seq int64) {
	s.t.Helper()
	if !c.reaches(s.t.Context(), seq, 30*time.Second) {
		s.t.Fatalf("the client does not come to seq %d", seq)
	}
}

const openNews, openData = "business:status:update", `{"isOpen":true}`

func TestAClientThatIsCutOffMissesNothing(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	s.add(openNews, openData, "all") // before it began
	c, stop := s.connected(someone("customer", "ada"), nil)
	var last int64
	for round := range 4 {
		s.add("order:new", `{"orderId":"x"}`, "role:admin") // not for her
		last = s.add(openNews, openData, "all")
		if round%2 == 0 {
			s.reached(c, last)
		}
		s.cutAll()
		last = s.add("order:status:update", `{"orderId":"o","status":"ready"}`, "user:ada", "role:admin")
		parttest.Eventually(t, "the client to come back", func() bool { return s.registrations() == round+2 })
	}
	s.reached(c, last)
	j := stop()
	if v := s.verdictOn(c, j, last, nil); v != (verdict{events: 8}) {
		t.Errorf("was judged %+v, want all of 8 events and no fault", v)
	}
	if len(j.replays) != 4 || c.stats.resumed.Load() != 4 {
		t.Errorf("it caught up over %v and resumed %d times, want 4", j.replays, c.stats.resumed.Load())
	}
	for _, asked := range s.asked[1:] {
		if !strings.Contains(string(asked), `"log":"L"`) {
			t.Errorf("it came back without naming the log: %s", asked)
		}
	}
}

// The feed, not the client, knows what should have come: each broken promise is found, and called by its name.
func TestBrokenPromisesAreFound(t *testing.T) {
	t.Parallel()
	// Of seven events the fifth is somebody else's. The fourth is tampered with.
	const tampered, others, next = 4, 5, 6
	when := func(seq int64, lines func(prev int64, n news) []string) func(int, int64, news) []string {
		return func(connection int, prev int64, n news) []string {
			if n.seq != seq || connection > 1 {
				return nil
			}
			return lines(prev, n)
		}
	}
	for name, tc := range map[string]struct {
		send func(connection int, prev int64, n news) []string
		want verdict
	}{
		"all are kept": {nil, verdict{events: 6}},
		"one is left out, and nothing shows it": {func(_ int, _ int64, n news) []string {
			switch n.seq {
			case tampered:
				return []string{}
			case next:
				return []string{encoded(tampered-1, n)}
			}
			return nil
		}, verdict{events: 6, missing: 1}},
		"one is lost on the way": {when(tampered, func(int64, news) []string {
			return []string{} // the next one names it as its prev, and the client comes back for it
		}), verdict{events: 6, brokenPrev: 1}},
		"one comes twice": {when(tampered, func(prev int64, n news) []string {
			return []string{encoded(prev, n), encoded(n.seq, n)}
		}), verdict{events: 6, repeated: 1}},
		"one comes after the next": {func(_ int, _ int64, n news) []string {
			switch n.seq {
			case tampered:
				return []string{}
			case next:
				return []string{encoded(tampered-1, n), encoded(next, news{tampered, nil, openNews, openData})}
			}
			return nil
		}, verdict{events: 6, outOfOrder: 1}},
		"one comes after a checkpoint beyond it": {when(tampered, func(_ int64, n news) []string {
			return []string{`{"event":"checkpoint","data":{"seq":4}}`, encoded(4, n)}
		}), verdict{events: 6, outOfOrder: 1}},
		"one has other data": {when(tampered, func(prev int64, n news) []string {
			return []string{strings.Replace(encoded(prev, n), "true", "false", 1)}
		}), verdict{events: 6, wrong: 1}},
		"one has another name": {when(tampered, func(prev int64, n news) []string {
			return []string{strings.Replace(encoded(prev, n), openNews, "offer:new", 1)}
		}), verdict{events: 6, wrong: 1}},
		"one has another time": {when(tampered, func(prev int64, n news) []string {
			return []string{strings.Replace(encoded(prev, n), "03:04", "03:05", 1)}
		}), verdict{events: 6, wrong: 1}},
		"somebody else's comes too": {when(next, func(prev int64, n news) []string {
			return []string{encoded(prev, news{others, nil, "notification:new", `{}`}), encoded(others, n)}
		}), verdict{events: 6, wrong: 1}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFakeServer(t)
			s.send = tc.send
			c, stop := s.connected(someone("customer", "ada"), nil)
			var last int64
			for n := range int64(7) {
				channel := "all"
				if n+1 == others {
					channel = "user:bob"
				}
				last = s.add(openNews, openData, channel)
			}
			s.reached(c, last)
			got := s.verdictOn(c, stop(), last, nil)
			if (got.first == "") == got.bad() {
				t.Errorf("says %q of it", got.first)
			}
			got.first = ""
			if got != tc.want {
				t.Errorf("was judged %+v, want %+v", got, tc.want)
			}
		})
	}
}

func TestRoomsAreJudgedToo(t *testing.T) {
	t.Parallel()
	const paid = `{"orderId":"o","amount":1}`
	for name, lost := range map[string]int64{"all comes": 0, "history is lost": 2, "the stream loses one": 4, "a catch-up loses one": 6} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFakeServer(t)
			var truth []fact
			note := func(seq int64) int64 {
				var f frame
				if err := json.Unmarshal([]byte(encoded(0, news{seq, nil, "payment:received", paid})), &f); err != nil {
					t.Fatal(err)
				}
				d, err := digestOf(f)
				if err != nil {
					t.Fatal(err)
				}
				truth = append(truth, fact{seq, d, f.Event, subjectOf(f.Data)})
				return seq
			}
			pay := func() int64 {
				s.mu.Lock()
				next := int64(len(s.log) + 1)
				s.mu.Unlock()
				note(next)
				if next == lost { // the room's log does not have it
					return s.add("payment:received", paid, "nobody")
				}
				return s.add("payment:received", paid, "order:o", "role:admin")
			}
			s.add(openNews, openData, "all")
			pay() // 2
			s.add(openNews, openData, "all")
			c, stop := s.connected(someone("delivery", "ron"), nil)
			room, data := "order:o", map[string]any{"orderId": "o"}
			if ok, err := c.join(t.Context(), room, "join:order", data, 1); !ok || err != nil {
				t.Fatalf("joined %t %v", ok, err)
			}
			pay() // 4
			s.reached(c, s.add(openNews, openData, "all"))
			s.cutAll()
			pay() // 6
			end := s.add(openNews, openData, "all")
			s.reached(c, end)
			if err := c.leave(t.Context(), room, "leave:order", data); err != nil {
				t.Fatal(err)
			}
			pay() // he has left
			end = s.add(openNews, openData, "all")
			s.reached(c, end)
			v := s.verdictOn(c, stop(), end, map[string][]fact{room: truth})
			want := verdict{events: 6}
			if lost > 0 {
				want.missing = 1
			}
			v.first = ""
			if v != want {
				t.Errorf("was judged %+v, want %+v", v, want)
			}
		})
	}
}

func TestAClientGivesUpWhereComingBackIsInVain(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		code    int
		reason  string
		forGood bool
	}{
		"bad message":     {4400, "bad_message", true},
		"forbidden":       {4403, "forbidden", true},
		"too large":       {4413, "message_too_large", true},
		"unauthenticated": {4401, "unauthenticated", true},
		"token expired":   {4401, "token_expired", false},
		"slow consumer":   {4409, "slow_consumer", false},
		"rate limited":    {4429, "rate_limited", false},
		"going away":      {1001, "going_away", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newFakeServer(t)
			s.greet = func(connection int, conn *websocket.Conn) bool {
				if connection > 1 {
					return true
				}
				_ = conn.WriteControl(websocket.CloseMessage, websocket.FormatCloseMessage(tc.code, tc.reason), time.Now().Add(time.Second))
				return false
			}
			c, stop := s.connected(someone("customer", "ada"), nil)
			stop()
			if forGood := c.dead != nil; forGood != tc.forGood || (s.registrations() == 0) != forGood {
				t.Errorf("gave up: %v, registered %d times", c.dead, s.registrations())
			}
		})
	}
}

func TestAServerThatGoesAwaySaysWhenToComeBack(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	const after = 400 * time.Millisecond
	var asked time.Time
	s.greet = func(connection int, conn *websocket.Conn) bool {
		if connection == 1 {
			asked = time.Now()
			_ = conn.WriteMessage(websocket.TextMessage, []byte(`{"event":"reconnect","data":{"afterMs":400}}`))
			return false
		}
		if waited := time.Since(asked); waited < after {
			t.Errorf("it came back after %s, want %s", waited, after)
		}
		return true
	}
	_, stop := s.connected(someone("customer", "ada"), nil)
	stop()
}

func TestATokenIsRefreshedBeforeItExpires(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	c, _ := s.connected(someone("customer", "ada"), func(c *client) { c.life = 2 * time.Second })
	parttest.Eventually(t, "two refreshed tokens", func() bool { return c.stats.refreshed.Load() >= 2 })
	if c.stats.resumed.Load() > 0 {
		t.Error("it had to come back")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.heard[0] != "refresh" {
		t.Errorf("it sent %v", s.heard)
	}
}

func TestConnectionsAreCutAsPlannedAndResume(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	e := &evening{cfg: Config{Seed: 7}}
	c, stop := s.connected(someone("customer", "ada"), func(c *client) { c.cuts = newCuts(e.random(ofCuts), 0) })
	planned := int64(e.random(ofCuts).IntN(4) + 2)
	parttest.Eventually(t, "all cuts", func() bool {
		s.add(openNews, openData, "all")
		return c.stats.cut.Load() == planned
	})
	last := s.add(openNews, openData, "all")
	s.reached(c, last)
	v := s.verdictOn(c, stop(), last, nil)
	if v.bad() || v.events == 0 || c.stats.resumed.Load() < 2 {
		t.Errorf("was judged %+v after it resumed %d times", v, c.stats.resumed.Load())
	}
}

func TestWhatWasAskedIsSettledWhenTheConnectionIsLost(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	c, _ := s.connected(someone("customer", "ada"), nil)
	answered := make(chan frame, 1)
	c.mu.Lock()
	c.asked[99] = func(f frame) { answered <- f }
	c.mu.Unlock()
	s.cutAll()
	if f := parttest.Await(t, "the answer", answered); f.Error == nil || f.Error.Code != lost {
		t.Errorf("was answered %+v", f)
	}
}

func TestARoomThatIsRefusedIsNotAskedForAgain(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	s.refuse = []string{"order:o"}
	c, stop := s.connected(someone("delivery", "ron"), nil)
	if ok, err := c.join(t.Context(), "order:o", "join:order", map[string]any{"orderId": "o"}, 0); !ok || err != nil {
		t.Fatalf("joined %t %v", ok, err)
	}
	for n := range 2 {
		s.cutAll()
		parttest.Eventually(t, "another registration", func() bool { return s.registrations() == n+2 })
		s.reached(c, s.add(openNews, openData, "all"))
	}
	stop()
	for n, want := range []string{`"rooms":[]`, `"rooms":["order:o"]`, `"rooms":[]`} {
		if !strings.Contains(string(s.asked[n]), want) {
			t.Errorf("registration %d was %s, want %s", n+1, s.asked[n], want)
		}
	}
}

func TestAHistoryThatIsBrokenIsNotTaken(t *testing.T) {
	t.Parallel()
	event := func(prev, seq int64) string {
		return encoded(prev, news{seq, nil, "payment:received", `{"orderId":"o"}`})
	}
	for name, tc := range map[string]struct {
		room, events, more string
		ok                 bool
	}{
		"whole":              {"order:o", event(2, 3) + "," + event(3, 5), "false", true},
		"one left out":       {"order:o", event(2, 3) + "," + event(4, 5), "false", false},
		"in the wrong order": {"order:o", event(2, 3) + "," + event(3, 3), "false", false},
		"beyond its end":     {"order:o", event(2, 7), "false", false},
		"of another room":    {"order:p", event(2, 3), "false", false},
		"cut short":          {"order:o", event(2, 3), "true", false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := &client{journal: newJournal()}
			c.journal.registered("L", 2, false, nil)
			c.journal.joining("order:o", false)
			data := fmt.Sprintf(`{"room":%q,"seq":6,"events":[%s],"more":%s}`, tc.room, tc.events, tc.more)
			if err := c.joined("order:o", 2, frame{Data: json.RawMessage(data)}); (err == nil) != tc.ok || c.journal.inRoom("order:o") != tc.ok {
				t.Errorf("is taken with %v", err)
			}
		})
	}
}

// Whoever asked may have gone when the answer comes; what it says still counts.
func TestAnAnswerThatComesLate(t *testing.T) {
	t.Parallel()
	s := newFakeServer(t)
	c, stop := s.connected(someone("customer", "ada"), nil)
	for range 20 {
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if ok, err := c.join(ctx, "order:o", "join:order", map[string]any{"orderId": "o"}, 0); ok != (err == nil) {
			t.Fatalf("joined %t %v", ok, err)
		}
		inside := func() bool { return c.journal.inRoom("order:o") }
		if !c.await(t.Context(), 10*time.Second, inside) {
			t.Fatal("the answer does not count")
		}
		if err := c.leave(t.Context(), "order:o", "leave:order", map[string]any{"orderId": "o"}); err != nil {
			t.Fatal(err)
		}
	}
	stop()
}
