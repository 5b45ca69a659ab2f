package crowd

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/internal/auth"
)

// What a client knows when it was answered so. Only an acknowledgement says that something is in the log, and only a
// problem with a code that promises it says that it is not.
func TestWhatAnAnswerSaysOfTheOutcome(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		status int
		kind   string
		body   string
		want   history.Outcome
	}{
		{200, "application/json", `{}`, history.Acknowledged},
		{201, "application/json", `{}`, history.Acknowledged},
		{409, "application/problem+json", `{"code":"invalid_transition"}`, history.Refused},
		{403, "application/problem+json", `{"code":"forbidden"}`, history.Refused},
		{404, "application/problem+json", `{"code":"not_found"}`, history.Refused},
		{422, "application/problem+json; charset=utf-8", `{"code":"idempotency_mismatch"}`, history.Refused},
		{429, "application/problem+json", `{"code":"rate_limited"}`, history.Refused},
		{503, "application/problem+json", `{"code":"unavailable"}`, history.Refused},
		{503, "application/problem+json", `{"code":"overloaded"}`, history.Refused},
		{503, "application/problem+json", `{"code":"outcome_unknown"}`, history.Unknown},
		{500, "application/problem+json", `{"code":"internal"}`, history.Unknown},
		{409, "application/json", `{"code":"invalid_transition"}`, history.Unknown}, // of whoever stands between
		{502, "text/html", `bad gateway`, history.Unknown},
		{503, "application/problem+json", `{`, history.Unknown},
		{503, "application/problem+json", `{}`, history.Unknown},
	} {
		response := &http.Response{StatusCode: c.status, Header: http.Header{"Content-Type": {c.kind}, "X-Seq": {"7"}}}
		if a := read(response, []byte(c.body)); a.outcome() != c.want || a.seq != 7 {
			t.Errorf("%d %s %s is %v, seq %d", c.status, c.kind, c.body, a.outcome(), a.seq)
		}
	}
	if (answer{}).outcome() != history.Unknown {
		t.Error("no answer is no outcome")
	}
}

// asked is a request as a node got it.
type asked struct {
	node                  int
	id, key, body, signed string
}

// nodes answer as they are told to, one answer after another, whichever node is asked. No answer: the connection is cut.
func nodes(t *testing.T, n int, answers ...string) (c *Crowd, got func() []asked) {
	t.Helper()
	var mu sync.Mutex
	var all []asked
	var urls []string
	for node := range n {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			defer mu.Unlock()
			all = append(all, asked{node, r.Header.Get("X-Request-Id"), r.Header.Get("Idempotency-Key"), string(body), r.Header.Get("X-Signature")})
			status := ""
			if len(all) <= len(answers) {
				status = answers[len(all)-1]
			}
			switch status {
			case "":
				panic(http.ErrAbortHandler)
			case "half":
				w.Header().Set("Content-Length", "100")
				_, _ = io.WriteString(w, `{"id":`)
			case "ok":
				w.Header().Set("X-Seq", "12")
				_, _ = io.WriteString(w, `{"id":"made"}`)
			default:
				w.Header().Set("Content-Type", "application/problem+json")
				w.WriteHeader(http.StatusServiceUnavailable)
				_, _ = io.WriteString(w, `{"code":"`+status+`"}`)
			}
		}))
		t.Cleanup(server.Close)
		urls = append(urls, server.URL)
	}
	c = New(Config{
		URLs: urls, Clients: 1, Seed: 1, History: history.New(1), WebhookSecret: []byte("x"), Patience: 20 * time.Second,
		Sign: func(auth.Identity) (string, error) { return "token", nil },
	})
	t.Cleanup(c.api.client.CloseIdleConnections)
	return c, func() []asked {
		mu.Lock()
		defer mu.Unlock()
		return all
	}
}

func outcomes(done *history.Command) string {
	var all []string
	for _, a := range done.Attempts {
		all = append(all, []string{"unknown", "acknowledged", "refused"}[a.Outcome])
	}
	return strings.Join(all, " ")
}

func TestHowOftenACommandIsAskedFor(t *testing.T) {
	t.Parallel()
	ann := &user{id: "ann", role: domain.RoleAdmin}
	for name, c := range map[string]struct {
		answers []string
		once    bool
		again   int
		want    string
	}{
		"at once":                             {[]string{"ok"}, false, 0, "acknowledged"},
		"until it is known":                   {[]string{"", "half", "outcome_unknown", "internal", "ok"}, false, 0, "unknown unknown unknown unknown acknowledged"},
		"until it is refused":                 {[]string{"", "invalid_transition"}, false, 0, "unknown refused"},
		"again when that may pass":            {[]string{"unavailable", "overloaded", "ok"}, false, 0, "refused refused acknowledged"},
		"again where the clock may be right":  {[]string{"unauthenticated", "ok"}, false, 0, "refused acknowledged"},
		"once without a key":                  {[]string{""}, true, 0, "unknown"},
		"once without a key, what may pass":   {[]string{"unavailable"}, true, 0, "refused"},
		"again although it was done":          {[]string{"ok", "ok", "ok"}, false, 2, "acknowledged acknowledged acknowledged"},
		"no more when repeating is not known": {[]string{"ok", ""}, false, 1, "acknowledged unknown"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			crowd, got := nodes(t, 3, c.answers...)
			w := &wish{name: "order.place", method: http.MethodPost, path: "/orders", body: map[string]any{"a": 1}, once: c.once, again: c.again, made: true}
			done := crowd.insist(t.Context(), ann, w)
			if o := outcomes(done); o != c.want {
				t.Errorf("%s, want %s", o, c.want)
			}
			requests := got()
			if len(requests) != len(done.Attempts) {
				t.Errorf("%d requests came of %d attempts", len(requests), len(done.Attempts))
			}
			for i, r := range requests {
				a := done.Attempts[i]
				if r.node != a.Node || r.id != done.ID || r.key != done.Key || (r.key == "") != c.once || r.body != `{"a":1}` || i > 0 && r.node == requests[i-1].node {
					t.Errorf("attempt %d is %+v, and came as %+v", i, a, r)
				}
				if a.Ended < a.Began {
					t.Errorf("attempt %d took from %v to %v", i, a.Began, a.Ended)
				}
			}
			if ok := done.Acknowledged(); (ok != nil) != (done.Subject == "made") || ok != nil && ok.Seq != 12 {
				t.Errorf("%+v is about %q", ok, done.Subject)
			}
			if h := crowd.cfg.History.Commands(); len(h) != 1 || h[0] != done {
				t.Errorf("the history has %v", h)
			}
		})
	}
}

// The provider's key is in what it signs, and no header.
func TestAWebhookIsSignedAndItsKeyIsItsEventID(t *testing.T) {
	t.Parallel()
	c, got := nodes(t, 1, "", "ok")
	done := c.insist(t.Context(), nil, &wish{name: "payment.webhook", method: http.MethodPost, path: "/payments/webhook", body: map[string]any{"a": 1}, key: "event"})
	for _, r := range got() {
		if r.key != "" || r.signed != c.api.signature([]byte(`{"a":1}`)) {
			t.Errorf("it came as %+v", r)
		}
	}
	if done.Key != "event" || done.Role != "system" || outcomes(done) != "unknown acknowledged" {
		t.Errorf("%+v", done)
	}
}

func TestPatienceEnds(t *testing.T) {
	t.Parallel()
	c, got := nodes(t, 2)
	c.cfg.Patience = 300 * time.Millisecond
	done := c.insist(t.Context(), &user{id: "ann"}, &wish{name: "x", method: http.MethodPost, path: "/x"})
	if n := len(got()); n < 2 || n > 8 || done.Acknowledged() != nil || !done.MayBeStored() {
		t.Errorf("%d requests, %s", n, outcomes(done))
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	c.cfg.Patience = time.Hour
	c.insist(ended, &user{id: "ann"}, &wish{name: "x", method: http.MethodPost, path: "/x"})
}

// On a connection that was used before, Go's transport would send a request with an Idempotency-Key again by itself when the
// connection breaks: an attempt that nobody wrote down.
func TestNothingIsSentAgainByTheTransport(t *testing.T) {
	t.Parallel()
	ann := &user{id: "ann", role: domain.RoleAdmin}
	for _, body := range []any{nil, map[string]any{"a": 1}} {
		c, got := nodes(t, 1, "ok", "", "ok")
		for _, want := range []string{"acknowledged", "unknown acknowledged"} {
			done := c.insist(t.Context(), ann, &wish{name: "x", method: http.MethodPost, path: "/x", body: body})
			if o := outcomes(done); o != want {
				t.Errorf("%s, want %s", o, want)
			}
		}
		if n := len(got()); n != 3 {
			t.Errorf("%d requests came of 3 attempts", n)
		}
	}
}

// What is judged of a location is whether it was kept, which its answer says.
func TestWhetherALocationWasKeptIsNoted(t *testing.T) {
	t.Parallel()
	for answer, want := range map[string]string{`{"kept":true}`: "true", `{"kept":false}`: "false", `{}`: "", `no`: ""} {
		w := &wish{wanted: map[string]string{}}
		if w.noteKept([]byte(answer)); w.wanted["kept"] != want {
			t.Errorf("%s: noted %q", answer, w.wanted["kept"])
		}
	}
}
