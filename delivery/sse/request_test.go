package sse

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

func TestRequestsThatAreRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, options{sse: func(c *Config) { c.MaxRooms = 2 }})
	ann := "Authorization: Bearer " + token("ann", domain.RoleCustomer, time.Hour)
	for name, tc := range map[string]struct {
		query   string
		headers []string
		status  int
		code    string
		says    string
	}{
		"nobody":                  {"", nil, 401, "unauthenticated", "ticket"},
		"nobody, and not well":    {"?lastSeq=x", nil, 401, "unauthenticated", "ticket"},
		"unknown ticket":          {"?ticket=no", nil, 401, "unauthenticated", "get a new one"},
		"ticket and token":        {"?ticket=asha", []string{ann}, 400, "invalid_request", "ticket must be left out"},
		"two tickets":             {"?ticket=asha&ticket=asha", nil, 400, "invalid_request", "once"},
		"empty ticket":            {"?ticket=", []string{ann}, 400, "invalid_request", "ticket must not be empty"},
		"token in the address":    {"?token=x", []string{ann}, 400, "invalid_request", "Authorization"},
		"id that is no number":    {"", []string{ann, "Last-Event-ID: abc"}, 400, "invalid_request", "Last-Event-ID must be"},
		"id of another transport": {"", []string{ann, "Last-Event-ID: 16/1"}, 400, "invalid_request", "Last-Event-ID must be"},
		"negative id":             {"", []string{ann, "Last-Event-ID: -1"}, 400, "invalid_request", "Last-Event-ID must be"},
		"id beyond 64 bits":       {"", []string{ann, "Last-Event-ID: 9223372036854775808"}, 400, "invalid_request", "Last-Event-ID must be"},
		"two ids":                 {"", []string{ann, "Last-Event-ID: 1", "Last-Event-ID: 2"}, 400, "invalid_request", "once"},
		"lastSeq with a sign":     {"?lastSeq=%2B1", []string{ann}, 400, "invalid_request", "lastSeq must be"},
		"bad lastSeq beside id":   {"?lastSeq=1.5", []string{ann, "Last-Event-ID: 1"}, 400, "invalid_request", "lastSeq must be"},
		"empty lastSeq":           {"?lastSeq=", []string{ann}, 400, "invalid_request", "lastSeq must not be empty"},
		"misspelled lastSeq":      {"?lastseq=1", []string{ann}, 400, "invalid_request", "lastseq"},
		"two of them":             {"?lastSeq=1&lastSeq=1", []string{ann}, 400, "invalid_request", "once"},
		"log that is none":        {"?log=main", []string{ann}, 400, "invalid_request", "log must be"},
		"log in another shape":    {"?log=%7B11111111-1111-1111-1111-111111111111%7D", []string{ann}, 400, "invalid_request", "log must be"},
		"room of no kind":         {"?room=kitchen", []string{ann}, 400, "invalid_request", "room must be"},
		"order without an id":     {"?room=order:17", []string{ann}, 400, "invalid_request", "room must be"},
		"nobody's room":           {"?room=delivery:", []string{ann}, 400, "invalid_request", "room must be"},
		"room with a line break":  {"?room=delivery:a%0Ab", []string{ann}, 400, "invalid_request", "room must be"},
		"empty room":              {"?room=", []string{ann}, 400, "invalid_request", "room must not be empty"},
		"too many rooms":          {"?room=delivery:a&room=delivery:b&room=delivery:c", []string{ann}, 400, "invalid_request", "at most 2"},
		"query that is none":      {"?lastSeq=1;room=x", []string{ann}, 400, "invalid_request", "query"},
		"right that can't be had": {"?room=order:" + broken.String(), []string{ann}, 503, "unavailable", "try again"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			said := s.asks(t, tc.query, tc.headers...).refusedWith(tc.status, tc.code)
			if !strings.Contains(said, tc.says) {
				t.Errorf("it is told %q", said)
			}
		})
	}
}

func TestARequestWithABodyIsRefused(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	for _, body := range []http.Header{{"Content-Length": {"2"}}, {"Transfer-Encoding": {"chunked"}}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url, strings.NewReader("{}"))
		if err != nil {
			t.Fatal(err)
		}
		if body.Get("Transfer-Encoding") != "" {
			r.ContentLength = -1
		}
		r.Header.Set("Authorization", "Bearer "+token("ann", domain.RoleCustomer, time.Hour))
		got, err := (&http.Client{Transport: &http.Transport{DisableKeepAlives: true}}).Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if _ = got.Body.Close(); got.StatusCode != 400 {
			t.Errorf("%v: got %s", body, got.Status)
		}
	}
}

func TestATicketOpensOneStream(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	expires := time.Now().Add(500 * time.Millisecond)
	s.tickets.left["asha"] = auth.Identity{UserID: "asha", Role: domain.RoleCustomer, ExpiresAt: expires}
	// What is refused for another reason does not use it up.
	s.asks(t, "?ticket=asha&lastSeq=x").refusedWith(400, "invalid_request")
	s.asks(t, "?ticket=asha", "Authorization: Bearer "+token("ann", domain.RoleCustomer, time.Hour)).refusedWith(400, "invalid_request")
	if got := s.asks(t, "?ticket=asha", http.MethodHead).answer.StatusCode; got != 400 {
		t.Errorf("a HEAD is answered %d", got)
	}
	s.tickets.mu.Lock()
	s.tickets.fail = errors.New("the database is away")
	s.tickets.mu.Unlock()
	s.asks(t, "?ticket=asha").refusedWith(500, "internal") // which what is around a stream knows better
	s.tickets.mu.Lock()
	s.tickets.fail = nil
	s.tickets.mu.Unlock()

	c := s.asks(t, "?ticket=asha")
	if r := c.expect("registered"); fmt.Sprint(r.at.Channels) != "[all role:customer user:asha]" {
		t.Errorf("got %s", r.data)
	}
	s.asks(t, "?ticket=asha").refusedWith(401, "unauthenticated")
	if e := c.expect("error"); e.at.Code != "token_expired" || time.Now().Before(expires) { // its token's end is the stream's
		t.Errorf("got %s", e.data)
	}
}

func TestAHeadOpensNoStream(t *testing.T) {
	t.Parallel()
	s := serve(t, options{})
	c := s.asks(t, "", http.MethodHead, "Authorization: Bearer "+token("ann", domain.RoleCustomer, time.Hour))
	if c.answer.StatusCode != 200 || c.answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Errorf("got %s %v", c.answer.Status, c.answer.Header)
	}
	c.expectEnd()
	if st := s.handler.Stats(); st.Accepted != 0 {
		t.Errorf("got %+v", st)
	}
}

func TestThereAreOnlySoManyStreams(t *testing.T) {
	t.Parallel()
	s := serve(t, options{sse: func(c *Config) { c.MaxStreams = 2 }})
	first := s.listen(t, "ann", domain.RoleCustomer, "")
	s.listen(t, "ann", domain.RoleCustomer, "").expect("registered")
	s.asks(t, "", "Authorization: Bearer "+token("ann", domain.RoleCustomer, time.Hour)).refusedWith(503, "overloaded")
	first.cut()
	eventually(t, "there is a place again", func() bool { return s.handler.Stats().Open == 1 })
	s.listen(t, "ann", domain.RoleCustomer, "").expect("registered")
}

// FuzzRequest holds that whatever is asked is refused as invalid, or is a start that a session can take.
func FuzzRequest(f *testing.F) {
	for _, query := range []string{
		"", "lastSeq=17&log=11111111-1111-1111-1111-111111111111&room=order:11111111-1111-1111-1111-111111111111&room=delivery:dave&ticket=abc",
		"lastSeq=-1", "lastSeq=1;room=x", "room=%zz", "lastSeq=99999999999999999999", "room=delivery:%FF", "token=x", "&&=&",
	} {
		f.Add(query, "", false)
		f.Add(query, "17", true)
		f.Add(query, "0x10", true)
	}
	f.Fuzz(func(t *testing.T, query, id string, given bool) {
		r := &http.Request{Method: http.MethodGet, URL: &url.URL{RawQuery: query}, Header: http.Header{}}
		if given {
			r.Header.Set(lastEventID, id)
		}
		a, err := parse(r, 3)
		if err != nil {
			var refusal *domain.Error
			if !errors.As(err, &refusal) || refusal.Code != domain.CodeInvalidRequest || refusal.Message == "" {
				t.Fatalf("got %v", err)
			}
			return
		}
		if len(a.start.Rooms) > 3 || a.start.LastSeq != nil && *a.start.LastSeq < 0 {
			t.Fatalf("got %+v", a)
		}
		if given && id != "" && (a.start.LastSeq == nil || strings.TrimLeft(id, "0") != strings.TrimLeft(fmt.Sprint(*a.start.LastSeq), "0")) {
			t.Fatalf("the id %q became %v", id, a.start.LastSeq)
		}
		if a.ticket != "" && !strings.Contains(query, "=") {
			t.Fatalf("the ticket of %q became %q", query, a.ticket)
		}
	})
}
