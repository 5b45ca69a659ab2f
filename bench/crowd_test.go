//go:build linux

package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

const fakeUsers = 6

// fakeServer greets everybody, and tells each what script says, in single writes. The last it does is to hang up, unless
// it is silent.
func fakeServer(t *testing.T, silent bool, script []string) *server {
	t.Helper()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = listener.Close() })
	tell := func(conn net.Conn) {
		defer func() { _ = conn.Close() }()
		if _, err := http.ReadRequest(bufio.NewReader(conn)); err != nil {
			return
		}
		_, _ = conn.Write([]byte("HTTP/1.1 101 Switching Protocols\r\n\r\n"))
		for _, text := range append([]string{"{}"}, script...) {
			_, _ = conn.Write(append([]byte{0x81, 126, byte(len(text) >> 8), byte(len(text))}, text...))
		}
		if silent {
			_, _ = conn.Read(make([]byte, 1)) // until the client has gone
		}
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go tell(conn)
		}
	}()
	return &server{name: "fake", speaks: bareProtocol{}, address: "http://" + listener.Addr().String(), stop: func() {}}
}

func events(numbers ...int) (script []string) {
	for _, n := range numbers {
		script = append(script, fmt.Sprintf(`{"n":%d,"pad":"%s"}`, n, strings.Repeat("x", eventPad)))
	}
	return script
}

func published(context.Context) error { return nil }

func TestACrowdNoticesWhatIsNotDelivered(t *testing.T) {
	t.Parallel()
	inOrder := func(c *client) error { return c.expect(4) }
	own := func(c *client) error { return c.expectEach([]int{2, 3, 4}, func(int) {}) }
	for name, tc := range map[string]struct {
		do     func(*client) error
		script []string
		silent bool
		fault  string // empty: none
	}{
		"all":                         {inOrder, events(1, 2, 3, 4), true, ""},
		"all, and then it hangs up":   {inOrder, events(1, 2, 3, 4), false, ""},
		"one is lost":                 {inOrder, events(1, 2, 4), true, "event 4 came where 3 should"},
		"the last is lost":            {inOrder, events(1, 2, 3), false, "EOF"},
		"the last does not come":      {inOrder, events(1, 2, 3), true, "deadline exceeded"},
		"one comes twice":             {inOrder, events(1, 2, 2, 3, 4), true, "event 2 came where 3 should"},
		"two are swapped":             {inOrder, events(1, 3, 2, 4), true, "event 3 came where 2 should"},
		"everybody's own":             {own, events(2, 3, 4), true, ""},
		"own, one is lost":            {own, events(2, 4), true, "event 4 came where 3 should"},
		"own, one comes twice":        {own, events(2, 3, 3), true, "event 3 came where 4 should"},
		"own, two are swapped":        {own, events(3, 2), true, "event 3 came where 2 should"},
		"own, one is somebody else's": {own, events(2, 7, 3), true, "event 7 came where 3 should"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := fakeServer(t, tc.silent, tc.script)
			clients, err := connectCrowd(t.Context(), s, s.speaks, fakeUsers)
			if err != nil {
				t.Fatal(err)
			}
			defer clients.close()
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			if tc.fault == "deadline exceeded" {
				ctx, cancel = context.WithTimeout(t.Context(), 200*time.Millisecond)
			}
			defer cancel()
			err = clients.while(ctx, published, tc.do)
			switch {
			case tc.fault == "" && err != nil:
				t.Fatal(err)
			case tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Fatalf("got %v, want %q", err, tc.fault)
			}
		})
	}
}

func TestACrowdWhoseServerDoesNotPublishFails(t *testing.T) {
	t.Parallel()
	s := fakeServer(t, true, events(1))
	clients, err := connectCrowd(t.Context(), s, s.speaks, fakeUsers)
	if err != nil {
		t.Fatal(err)
	}
	defer clients.close()
	err = clients.while(t.Context(), func(context.Context) error { return errors.New("it answered 500") }, func(c *client) error { return c.expect(1) })
	if err == nil || err.Error() != "it answered 500" {
		t.Fatalf("got %v", err)
	}
}

func TestACrowdThatIsTurnedAwayIsAnError(t *testing.T) {
	t.Parallel()
	refuses := http.NotFoundHandler()
	listener, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	web := &http.Server{Handler: refuses, ReadHeaderTimeout: time.Minute}
	go func() { _ = web.Serve(listener) }()
	t.Cleanup(func() { _ = web.Close() })
	s := &server{name: "fake", speaks: bareProtocol{}, address: "http://" + listener.Addr().String()}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if clients, err := connectCrowd(ctx, s, s.speaks, fakeUsers); err == nil || !strings.Contains(err.Error(), "404") {
		if err == nil {
			clients.close()
		}
		t.Fatalf("got %v", err)
	}
}

// A storm is over for a client when it was told of all that it missed, not when it is told so.
func TestAClientThatIsToldTooEarlyThatItHasCaughtUpIsNoticed(t *testing.T) {
	t.Parallel()
	s := storm{speaks: orderlogDialect("orderlog.v1"), after: point{n: 900}}
	c := &client{frames: &frames{}, speaks: s.speaks, user: 1, caughtUp: true}
	c.question = s.speaks.question(c, &s.after)
	if err := s.recovered(c); err == nil || !strings.Contains(err.Error(), "up to 900, not 1000") {
		t.Fatalf("got %v", err)
	}
	c.last = 1000
	if err := s.recovered(c); err != nil {
		t.Fatal(err)
	}
}

func TestWhatCentrifugeDoesNotRecoverIsNoticed(t *testing.T) {
	t.Parallel()
	publication := func(n int) string { return fmt.Sprintf(`{"data":{"n":%d,"pad":"x"},"offset":%d}`, n, n) }
	for name, tc := range map[string]struct{ answer, fault string }{
		"all":             {`{"id":1,"connect":{"subs":{"all":{"recovered":true,"publications":[` + publication(6) + `,` + publication(7) + `]}}}}`, ""},
		"nothing":         {`{"id":1,"connect":{"subs":{"all":{}}}}`, "nothing was recovered"},
		"one is lost":     {`{"id":1,"connect":{"subs":{"all":{"recovered":true,"publications":[` + publication(7) + `]}}}}`, "event 7 came where 6 should"},
		"one comes twice": {`{"id":1,"connect":{"subs":{"all":{"recovered":true,"publications":[` + publication(6) + `,` + publication(6) + `]}}}}`, "event 6 came where 7 should"},
		"refused":         {`{"id":1,"error":{"code":109}}`, "109"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			read := append([]byte{0x81, 126, byte(len(tc.answer) >> 8), byte(len(tc.answer))}, tc.answer...)
			c := &client{frames: &frames{buf: read, end: len(read)}, speaks: centrifugeDialect, last: 5}
			err := centrifugeDialect.recovered(c)
			switch {
			case tc.fault == "" && (err != nil || c.last != 7):
				t.Fatal(err, c.last)
			case tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Fatalf("got %v, want %q", err, tc.fault)
			}
		})
	}
}

// The follower is the client of the latency and the resumes.
func TestAFollowerNoticesWhatIsNotAsItShouldBe(t *testing.T) {
	t.Parallel()
	told := func(prev, seq int) string {
		return fmt.Sprintf(`{"prev":%d,"seq":%d,"event":"e","data":{}}`, prev, seq)
	}
	caughtUp := `{"event":"caught_up","data":{"seq":9}}`
	m := missed{all: []int64{5, 6, 8}, must: []int64{5, 8}}
	for name, tc := range map[string]struct {
		script []string
		fault  string
	}{
		"all":                      {[]string{told(4, 5), told(5, 6), told(6, 8), caughtUp}, ""},
		"what need not come":       {[]string{told(4, 5), told(5, 8), caughtUp}, ""},
		"one is lost":              {[]string{told(4, 5), told(5, 6), caughtUp}, "caught up without seq 8"},
		"one is lost, and told so": {[]string{told(4, 5), told(6, 8)}, "after seq 5 came"},
		"one is passed over":       {[]string{told(4, 6)}, "and 5 before it did not"},
		"one comes twice":          {[]string{told(4, 5), told(4, 5)}, "after seq 5 came"},
		"two are swapped":          {[]string{told(4, 6), told(6, 5)}, "and 5 before it did not"},
		"one is somebody else's":   {[]string{told(4, 5), told(5, 7)}, "seq 7 came, which was not missed"},
		"to be read anew":          {[]string{`{"event":"resync","data":{"seq":4,"reason":"expired"}}`}, "resync"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var read []byte
			for _, text := range tc.script {
				read = append(append(read, 0x81, byte(len(text))), text...)
			}
			f := &follower{frames: &frames{buf: read, end: len(read)}, last: 4}
			err := f.catchUp(m)
			switch {
			case tc.fault == "" && err != nil:
				t.Fatal(err)
			case tc.fault != "" && (err == nil || !strings.Contains(err.Error(), tc.fault)):
				t.Fatalf("got %v, want %q", err, tc.fault)
			}
		})
	}
}
