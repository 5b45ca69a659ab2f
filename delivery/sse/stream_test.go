package sse

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/projections"
)

func TestAStreamWithoutACursorIsLive(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(f *deliverytest.Feed) { f.Add("all"); f.Add("user:bob") }})
	c := s.listen(t, "ann", domain.RoleCustomer, "?room=order:"+annsOrder.String()+"&room=order:"+bobsOrder.String()+"&room=delivery:dave")
	r := c.expect("registered")
	// The id is there from the first moment: cut before the first event, the client comes back with it.
	if r.lastID != "2" || r.at.Seq != 2 || r.at.Recovered || r.at.Log != s.feed.ID.String() {
		t.Errorf("got id %s %s", r.lastID, r.data)
	}
	if got := fmt.Sprint(r.at.Channels); got != fmt.Sprintf("[all role:customer user:ann order:%s]", annsOrder) {
		t.Errorf("channels %s", got)
	}
	if got := fmt.Sprint(r.at.Refused); got != fmt.Sprintf("[order:%s delivery:dave]", bobsOrder) {
		t.Errorf("refused %s", got)
	}
	if ms, err := strconv.Atoi(c.retry); err != nil || ms < 1000 || ms > 5000 {
		t.Errorf("retry: %s", c.retry)
	}
	for name, want := range map[string]string{"Cache-Control": "no-store, no-transform", "X-Accel-Buffering": "no", "Content-Encoding": ""} {
		if got := c.answer.Header.Get(name); got != want {
			t.Errorf("%s: %s", name, got)
		}
	}
	s.feed.Add("all")
	s.feed.Add("user:bob")
	s.feed.Add("user:ann", "order:"+annsOrder.String())
	c.expectEvents(3, 5)
}

func TestAnEventHasItsSeq(t *testing.T) {
	t.Parallel()
	for data, want := range map[string]string{
		`{"b":1, "a":"x\ny"}`: `{"b":1,"a":"x\ny","seq":17}`,
		`{}`:                  `{"seq":17}`,
		``:                    `{"seq":17}`,
	} {
		f, err := delivery.NewFrame(projections.Notification{Seq: 17, Event: "order:new", Channels: []string{"all"}, Data: []byte(data)})
		if err != nil {
			t.Fatal(err)
		}
		if got := string(appendFrame([]byte("before"), f)); got != "beforeid: 17\nevent: order:new\ndata: "+want+"\n\n" {
			t.Errorf("got %q", got)
		}
		if one, two := f.Form(form, encodeFrame), f.Form(form, encodeFrame); &one[0] != &two[0] {
			t.Error("it is encoded again for the next client")
		}
	}
}

// Wherever a stream is cut, be it within a line, what the client has and what comes when it is back is everything, once.
func TestAStreamIsResumedAtEveryCut(t *testing.T) {
	t.Parallel()
	const events = 12
	s := serve(t, options{before: func(f *deliverytest.Feed) {
		for i := range events {
			f.Add([][]string{{"all"}, {"user:ann", "role:customer"}, {"user:bob"}, {"order:" + annsOrder.String(), "all"}}[i%4]...)
		}
	}})
	const query = "?lastSeq=0&room=order:11111111-1111-1111-1111-111111111111"
	var want []int64
	for seq := int64(1); seq <= events; seq++ {
		if seq%4 != 3 {
			want = append(want, seq)
		}
	}
	var whole bytes.Buffer
	c := s.listen(t, "ann", domain.RoleCustomer, query)
	c.lines.Reset(io.TeeReader(c.answer.Body, &whole))
	if r := c.expect("registered"); !r.at.Recovered || r.lastID != "" {
		t.Fatalf("got id %q %s", r.lastID, r.data)
	}
	c.expectEvents(want...)
	if e := c.expect("caught_up"); e.at.Seq != events || e.lastID != fmt.Sprint(events) {
		t.Fatalf("got id %s %s", e.lastID, e.data)
	}
	c.cut()

	rest := map[string]int{} // how many events come after an id
	for end := range whole.Len() + 1 {
		r := newReader(strings.NewReader(whole.String()[:end]))
		var got []int64
		for {
			e, err := r.next()
			if err != nil {
				break
			}
			if e.name == "e" {
				got = append(got, e.at.Seq)
			}
		}
		id := r.lastID
		if _, known := rest[id]; !known {
			back := s.listen(t, "ann", domain.RoleCustomer, query)
			if id != "" {
				back = s.back(t, id, query)
			}
			back.expect("registered")
			after := want[len(got):]
			back.expectEvents(after...)
			if e := back.expect("caught_up"); e.at.Seq != events {
				t.Fatalf("got %s", e.data)
			}
			rest[id] = len(after)
		}
		if len(got)+rest[id] != len(want) {
			t.Fatalf("cut after %d bytes, it has %v, and after id %q come %d", end, got, id, rest[id])
		}
	}
	if len(rest) < len(want) {
		t.Errorf("only %d cuts are different: the test looks in the wrong place", len(rest))
	}
}

func TestTheLastEventIDCountsBeforeLastSeq(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(f *deliverytest.Feed) {
		for range 5 {
			f.Add("all")
		}
	}})
	for query, want := range map[string][]int64{"?lastSeq=1": {4, 5}, "?lastSeq=99": {4, 5}, "": {4, 5}} {
		c := s.back(t, "3", query)
		c.expect("registered")
		c.expectEvents(want...)
	}
	c := s.listen(t, "ann", domain.RoleCustomer, "?lastSeq=4", "Last-Event-ID: ")
	c.expect("registered")
	c.expectEvents(5)
}

func TestALossIsToldInTheStream(t *testing.T) {
	t.Parallel()
	s := serve(t, options{before: func(f *deliverytest.Feed) {
		for range 9 {
			f.Add("all")
		}
		f.Drop(5)
	}})
	log := "&log=" + s.feed.ID.String()
	for query, reason := range map[string]string{
		"?lastSeq=2":       "expired",
		"?lastSeq=2" + log: "expired",
		"?lastSeq=77":      "ahead",
		"?lastSeq=9&log=11111111-1111-1111-1111-111111111111": "different_log",
		"?lastSeq=0&log=11111111-1111-1111-1111-111111111111": "different_log",
	} {
		t.Run(query, func(t *testing.T) {
			t.Parallel()
			c := s.listen(t, "ann", domain.RoleCustomer, query)
			if r := c.expect("registered"); r.at.Recovered || r.lastID != "" {
				t.Errorf("got id %q %s", r.lastID, r.data)
			}
			if e := c.expect("resync"); e.at.Reason != reason || e.at.Seq != 9 || e.lastID != "9" {
				t.Errorf("got id %s %s", e.lastID, e.data)
			}
		})
	}
	for _, query := range []string{"?lastSeq=5", "?lastSeq=0" + log} {
		c := s.listen(t, "ann", domain.RoleCustomer, query)
		c.expect("registered")
		c.expectEvents(6, 7, 8, 9)
	}
}

func TestTheEndOfARightIsTold(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	room := "order:" + annsOrder.String()
	c := s.listen(t, "dave", domain.RoleDelivery, "?room="+room)
	c.expect("registered")
	s.feed.Add(room)
	c.expectEvents(1)
	s.feed.Append(projections.Notification{
		Event: "e", Channels: []string{room}, Endings: []projections.Ending{{Channel: room, User: "dave", Role: string(domain.RoleDelivery)}},
	})
	if e := c.expect("left"); e.at.Room != room || e.lastID != "1" {
		t.Errorf("got id %s %s", e.lastID, e.data)
	}
	s.feed.Add(room)
	s.feed.Add("all")
	c.expectEvents(4)
}

func TestATokenThatExpiresEndsTheStream(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.asks(t, "", "Authorization: Bearer "+token("ann", domain.RoleCustomer, 300*time.Millisecond))
	c.expect("registered")
	if e := c.expect("error"); e.at.Code != "token_expired" || e.at.Message == "" {
		t.Errorf("got %s", e.data)
	}
	c.expectEnd()
	eventually(t, "it is counted", func() bool { return s.handler.Stats().Ended["token_expired"] == 1 })
}

func TestAQuietStreamIsKeptAlive(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		sse:     func(c *Config) { c.KeepAlive = 20 * time.Millisecond },
		session: func(c *session.Config) { c.CheckpointInterval = 30 * time.Millisecond },
	})
	c := s.listen(t, "ann", domain.RoleCustomer, "")
	c.expect("registered")
	s.feed.Add("user:bob")
	s.reach(t, 1)
	told := 0
	for seq := int64(0); c.comments < 5 || told < 5; told++ {
		e := c.expect("checkpoint")
		if e.at.Seq < seq || e.lastID != fmt.Sprint(e.at.Seq) {
			t.Fatalf("after %d got id %s %s", seq, e.lastID, e.data)
		}
		seq = e.at.Seq
	}
	if c.lastID != "1" {
		t.Errorf("it does not learn that there is nothing: %s", c.lastID)
	}
}

// slowFeed is a log whose channels are not read before wait is closed.
type slowFeed struct {
	*deliverytest.Feed
	wait chan struct{}
}

func (f slowFeed) Read(ctx context.Context, readings []projections.Reading) ([]projections.Page, error) {
	select {
	case <-f.wait:
		return f.Feed.Read(ctx, readings)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

func TestWhatIsThereDoesNotWaitForTheDatabase(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	s := serve(t, options{
		before: func(f *deliverytest.Feed) { f.Add("all"); f.Add("all") },
		hub: func(c *delivery.Config) {
			feed, _ := c.Feed.(*deliverytest.Feed)
			c.RingFrames, c.Feed = 1, slowFeed{feed, wait}
		},
	})
	begun := time.Now()
	c := s.listen(t, "ann", domain.RoleCustomer, "?lastSeq=0")
	c.expect("registered")
	if took := time.Since(begun); took > 8*time.Second { // at 10 s there would be a checkpoint
		t.Errorf("it begins after %s", took)
	}
	close(wait)
	c.expectEvents(1, 2)
}

// The comments come though the database does not answer.
func TestAStreamThatWaitsForTheDatabaseIsKeptAlive(t *testing.T) {
	t.Parallel()
	wait := make(chan struct{})
	s := serve(t, options{
		sse:     func(c *Config) { c.KeepAlive = 20 * time.Millisecond },
		session: func(c *session.Config) { c.CheckpointInterval = 2 * time.Millisecond },
		before: func(f *deliverytest.Feed) {
			for range 9 {
				f.Add("all")
			}
		},
		hub: func(c *delivery.Config) {
			feed, _ := c.Feed.(*deliverytest.Feed)
			c.RingFrames, c.Feed = 1, slowFeed{feed, wait}
		},
	})
	c := s.listen(t, "ann", domain.RoleCustomer, "?lastSeq=1")
	c.expect("registered")
	for c.comments < 3 {
		if e := c.expect("checkpoint"); e.at.Seq != 1 {
			t.Fatalf("it was told more than it got: %s", e.data)
		}
	}
	close(wait)
	for {
		e := c.hear()
		if e.name == "checkpoint" {
			continue
		}
		if e.at.Seq != 2 {
			t.Fatalf("got %s", e.data)
		}
		break
	}
}

func TestAStreamOutlivesTheServersLimits(t *testing.T) {
	t.Parallel()
	s := serve(t, options{
		http:    func(h *http.Server) { h.ReadTimeout, h.WriteTimeout = 500*time.Millisecond, 500*time.Millisecond },
		session: func(c *session.Config) { c.CheckpointInterval = 100 * time.Millisecond },
	})
	c := s.listen(t, "ann", domain.RoleCustomer, "")
	c.expect("registered")
	for begun := time.Now(); time.Since(begun) < time.Second; {
		c.expect("checkpoint")
	}
	s.feed.Add("all")
	for {
		if e := c.hear(); e.name == "e" {
			break
		}
	}
}

func TestAClientThatLeavesIsForgotten(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.listen(t, "ann", domain.RoleCustomer, "")
	c.expect("registered")
	if st := s.handler.Stats(); st.Open != 1 || st.Accepted != 1 || s.sessions.Users() != 1 {
		t.Fatalf("got %+v", st)
	}
	c.cut()
	eventually(t, "it is noticed", func() bool {
		st := s.handler.Stats()
		return st.Open == 0 && st.Ended["client_left"] == 1 && s.sessions.Users() == 0
	})
}

// counter counts what gets to a client.
type counter struct {
	http.ResponseWriter
	flushed chan int // bytes that went out together
	waiting int
}

func (c *counter) Write(p []byte) (int, error) { c.waiting += len(p); return len(p), nil }
func (c *counter) WriteHeader(int)             {}
func (c *counter) Header() http.Header         { return http.Header{} }
func (c *counter) FlushError() error           { c.flushed <- c.waiting; c.waiting = 0; return nil }

func TestWhatWaitsGoesOutTogether(t *testing.T) {
	t.Parallel()
	const events = 100
	s := serve(t, options{before: func(f *deliverytest.Feed) {
		for range events {
			f.Add("all")
		}
	}})
	out := &counter{flushed: make(chan int)}
	ann, err := verifier{}.Verify(t.Context(), token("ann", domain.RoleCustomer, time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "/api/v1/events?lastSeq=0", http.NoBody)
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error)
	go func() { ended <- s.handler.Serve(out, r, &ann, "") }()
	if n := <-out.flushed; n < events*len("id: 1\nevent: e\ndata: {}\n\n") {
		t.Errorf("the first %d bytes go out by themselves", n)
	}
	go func() {
		for range out.flushed { // the goodbye
		}
	}()
	if err := errors.Join(s.handler.Shutdown(t.Context()), <-ended); err != nil {
		t.Error(err)
	}
	close(out.flushed)
}
