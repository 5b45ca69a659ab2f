package rest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/proxies"
)

const asEventSource = "Accept: text/event-stream"

func TestATicketIsIssuedToWhoHasAToken(t *testing.T) {
	t.Parallel()
	w := newWorld()
	h := w.handler(t)
	for _, key := range []string{"X-Request-Id: none", "Idempotency-Key: k"} {
		got := ask(t, h, "POST", eventsPath+"/ticket", "asha", key)
		if got.status != 201 || got.body["ticket"] != "ticket-of-asha" || got.body["expiresAt"] != "2026-03-01T12:00:00.123456Z" {
			t.Errorf("got %d %s", got.status, got.text)
		}
		if got.header.Get("Cache-Control") != "no-store" {
			t.Errorf("it may be kept: %q", got.header.Get("Cache-Control"))
		}
	}
	w.fail = context.DeadlineExceeded
	refused(t, ask(t, h, "POST", eventsPath+"/ticket", "asha"), 503, "unavailable")
	nothing := newWorld().handler(t, func(c *Config) { c.Events, c.Tickets = nil, nil })
	refused(t, ask(t, nothing, "POST", eventsPath+"/ticket", "asha"), 503, "unavailable")
	refused(t, ask(t, nothing, "GET", eventsPath, "asha"), 503, "unavailable")
}

func TestAStreamIsServedToWhomItsRequestIsFrom(t *testing.T) {
	t.Parallel()
	w := newWorld()
	trusted, err := proxies.Parse("192.0.2.7")
	if err != nil {
		t.Fatal(err)
	}
	h := w.handler(t, func(c *Config) { c.TrustedProxies = trusted })
	if got := ask(t, h, "GET", eventsPath+"?room=order:1", "asha", "X-Forwarded-For: 203.0.113.9"); got.status != 200 || got.header.Get("X-Request-Id") == "" {
		t.Fatalf("got %d %v", got.status, got.header)
	}
	if got := ask(t, h, "GET", eventsPath+"?ticket=good", ""); got.status != 200 {
		t.Fatalf("got %d %s", got.status, got.text)
	}
	if len(w.listeners) != 2 || w.listeners[0].user.UserID != "asha" || w.listeners[0].remoteAddr != "203.0.113.9" || w.listeners[1].user != nil {
		t.Errorf("got %+v", w.listeners)
	}
	// What holds for every operation is looked at before.
	refused(t, ask(t, h, "GET", eventsPath+"?ticket=good", "expired"), 401, "token_expired")
	refused(t, ask(t, h, "GET", eventsPath+"?ticket=good", "", "Authorization: Basic YTpi"), 401, "unauthenticated")
	refused(t, ask(t, h, "DELETE", eventsPath, "asha"), 405, "method_not_allowed")
	if len(w.listeners) != 2 {
		t.Errorf("%d streams were asked for", len(w.listeners))
	}
}

func TestAStreamHasNoTimeLimit(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.stream = func(out http.ResponseWriter, r *http.Request) error {
			time.Sleep(time.Second) //nolint:forbidigo // the time of a bubble
			out.WriteHeader(http.StatusOK)
			time.Sleep(time.Hour) //nolint:forbidigo // the time of a bubble
			return r.Context().Err()
		}
		var seen []Observation
		h := w.handler(t, func(c *Config) { c.Observe = func(o Observation) { seen = append(seen, o) } })
		r := httptest.NewRequestWithContext(t.Context(), "GET", eventsPath, http.NoBody)
		r.Header.Set("Authorization", "Bearer asha")
		out := httptest.NewRecorder()
		h.ServeHTTP(out, r)
		if out.Code != 200 || out.Body.Len() > 0 {
			t.Errorf("got %d %s", out.Code, out.Body)
		}
		// What is measured is how long it took to begin.
		if len(seen) != 1 || seen[0] != (Observation{Method: "GET", Route: eventsPath, Status: 200, Duration: time.Second}) {
			t.Errorf("observed %+v", seen)
		}

		leaving, leave := context.WithCancel(t.Context())
		w.stream = func(_ http.ResponseWriter, r *http.Request) error {
			leave()
			<-r.Context().Done()
			return r.Context().Err()
		}
		h.ServeHTTP(httptest.NewRecorder(), r.WithContext(leaving)) // comes back, for the client left
		if strings.Contains(w.log.String(), "ERROR") {
			t.Errorf("that is nothing for the log: %s", w.log.String())
		}
	})
}

func TestAStreamThatCannotBeginIsRefusedAsOthers(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		err      error
		status   int
		code     string
		location string
	}{
		"header":    {domain.Invalid("Last-Event-ID", "must be a seq"), 400, "invalid_request", "header.Last-Event-ID"},
		"parameter": {domain.Invalid("lastSeq", "must be a seq"), 400, "invalid_request", "query.lastSeq"},
		"body":      {domain.Invalid("body", "must not be there"), 400, "invalid_request", "body"},
		"ticket":    {domain.Errorf(domain.CodeUnauthenticated, "the ticket was used"), 401, "unauthenticated", ""},
		"expired":   {domain.Errorf(delivery.CodeTokenExpired, "the token has expired"), 401, "token_expired", ""},
		"full":      {domain.Errorf(domain.CodeOverloaded, "too many"), 503, "overloaded", ""},
		"database":  {context.DeadlineExceeded, 503, "unavailable", ""},
		"given up":  {fmt.Errorf("open: %w", context.Canceled), 503, "unavailable", ""},
		"fault":     {errSecret, 500, "internal", ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.fail = tc.err
			got := ask(t, w.handler(t), "GET", eventsPath, "asha")
			refused(t, got, tc.status, tc.code)
			faultAt(t, got, tc.location)
			if strings.Contains(got.text, "hunter2") {
				t.Errorf("shows the inside: %s", got.text)
			}
			if (got.header.Get("WWW-Authenticate") != "") != (tc.code == "unauthenticated") && tc.status != 401 {
				t.Errorf("challenge %q", got.header.Get("WWW-Authenticate"))
			}
		})
	}
	got := ask(t, newWorld().handler(t), "GET", eventsPath, "")
	refused(t, got, 401, "unauthenticated")
	if got.header.Get("WWW-Authenticate") == "" {
		t.Error("no challenge")
	}
}

// An EventSource comes back after a stream that ended, and after no other status than 200.
func TestWhatPassesDoesNotEndAnEventSource(t *testing.T) {
	t.Parallel()
	shape := regexp.MustCompile(`^retry: ([0-9]+)\nevent: error\ndata: (\{.*\})\n\n$`)
	asked := func(t *testing.T, h http.Handler, code string, least int) {
		t.Helper()
		spread := map[int]bool{}
		for range 8 {
			got := ask(t, h, "GET", eventsPath, "asha", asEventSource)
			parts := shape.FindStringSubmatch(got.text)
			if got.status != 200 || got.header.Get("Content-Type") != "text/event-stream" || parts == nil {
				t.Fatalf("got %d %s: %s", got.status, got.header.Get("Content-Type"), got.text)
			}
			after, _ := strconv.Atoi(parts[1])
			spread[after] = true
			var failure struct{ Code, Message string }
			if err := json.Unmarshal([]byte(parts[2]), &failure); err != nil || failure.Code != code || failure.Message == "" {
				t.Errorf("got %s", parts[2])
			}
			if after < least || after > 26_000 {
				t.Errorf("it is to come back after %d ms", after)
			}
		}
		if len(spread) < 2 {
			t.Error("all come back at once")
		}
	}
	for _, code := range []domain.Code{domain.CodeOverloaded, domain.CodeUnavailable} {
		w := newWorld()
		var seen []Observation
		h := w.handler(t, func(c *Config) { c.Observe = func(o Observation) { seen = append(seen, o) } })
		w.fail = domain.Errorf(code, "come back\nin a moment")
		asked(t, h, string(code), 1_000)
		if seen[0].Status != 503 {
			t.Errorf("the operator sees %d", seen[0].Status)
		}
		refused(t, ask(t, h, "GET", eventsPath, "asha"), 503, string(code)) // a program that takes anything
		refused(t, ask(t, h, "GET", eventsPath, "asha", "Accept: text/event-stream;q=0, */*"), 503, string(code))
		refused(t, ask(t, h, "POST", eventsPath+"/ticket", "asha", asEventSource), 503, string(code))
		w.fail = domain.Errorf(domain.CodeUnauthenticated, "the ticket was used")
		refused(t, ask(t, h, "GET", eventsPath, "asha", asEventSource), 401, "unauthenticated") // which does not pass
	}
	h := newWorld().handler(t, limited(-1, 1))
	ask(t, h, "GET", eventsPath, "asha", asEventSource)
	asked(t, h, "rate_limited", 1_000)
}

func TestPagesOfOtherOriginsMayListen(t *testing.T) {
	t.Parallel()
	const ours, theirs = "Origin: https://shop.example", "Origin: https://evil.example"
	h := newWorld().handler(t)
	got := ask(t, h, "OPTIONS", eventsPath, "", ours, "Access-Control-Request-Method: GET",
		"Access-Control-Request-Headers: authorization, last-event-id, cache-control")
	allowed := strings.ToLower(got.header.Get("Access-Control-Allow-Headers"))
	for _, header := range []string{"authorization", "last-event-id", "cache-control"} {
		if got.status != 204 || !strings.Contains(allowed, header) {
			t.Errorf("got %d, %s is not among %s", got.status, header, allowed)
		}
	}
	credentials := func(h http.Handler, path, origin string) string {
		got := ask(t, h, "GET", path, "asha", origin)
		return got.header.Get("Access-Control-Allow-Origin") + " " + got.header.Get("Access-Control-Allow-Credentials")
	}
	if got := credentials(h, eventsPath, ours); got != "https://shop.example true" {
		t.Errorf("an EventSource with credentials hears nothing: %q", got)
	}
	if got := credentials(h, prefix+"/feed", ours); got != "https://shop.example " {
		t.Errorf("got %q", got)
	}
	if got := credentials(h, eventsPath, theirs); got != " " {
		t.Errorf("got %q", got)
	}
	everyone := newWorld().handler(t, func(c *Config) { c.Origins = []string{"*"} })
	if got := credentials(everyone, eventsPath, theirs); got != "* " {
		t.Errorf("got %q", got)
	}
}

func TestATicketIsNotLogged(t *testing.T) {
	t.Parallel()
	for name, stream := range map[string]func(http.ResponseWriter, *http.Request) error{
		"served":  nil,
		"refused": func(http.ResponseWriter, *http.Request) error { return errSecret },
		"panics":  func(http.ResponseWriter, *http.Request) error { panic(errors.New("oh")) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld()
			w.stream = stream
			h := w.handler(t, func(c *Config) {
				c.Logger = slog.New(slog.NewTextHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
			})
			ask(t, h, "GET", eventsPath+"?ticket=good", "")
			if logged := w.log.String(); strings.Contains(logged, "good") || !strings.Contains(logged, eventsPath) {
				t.Errorf("logged: %s", logged)
			}
		})
	}
}
