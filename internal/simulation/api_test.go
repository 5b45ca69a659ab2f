package simulation

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/parttest"
)

// asked is a request as a server saw it.
type asked struct {
	key, token, signature, body string
	at                          time.Time
}

// answering runs a server that gives one answer after another, the last again and again.
func answering(t *testing.T, answers ...func(http.ResponseWriter)) (*api, chan asked) {
	seen := make(chan asked, 100)
	n := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		seen <- asked{r.Header.Get("Idempotency-Key"), r.Header.Get("Authorization"), r.Header.Get("X-Signature"), string(body), time.Now()}
		answers[min(n, len(answers)-1)](w)
		n++ // the client here asks one thing at a time
	}))
	a := newAPI(server.URL)
	t.Cleanup(func() {
		a.close()
		server.Close()
	})
	return a, seen
}

func status(code int, body string, header ...string) func(http.ResponseWriter) {
	return func(w http.ResponseWriter) {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		_, _ = io.WriteString(w, body)
	}
}

func TestABusyServerIsAskedAgainWithTheSameKey(t *testing.T) {
	t.Parallel()
	a, seen := answering(t,
		status(429, `{"code":"rate_limited"}`, "Retry-After", "1"),
		status(503, `{"code":"overloaded"}`),
		status(409, `{"code":"version_conflict"}`),
		status(200, `{"id":"x"}`, "X-Seq", "7"),
	)
	var made struct{ ID string }
	seq, err := a.post(t.Context(), someone("customer", "ada"), "/orders", map[string]any{"a": 1}, &made)
	if err != nil || seq != 7 || made.ID != "x" || a.retried.Load() != 3 || a.newest.Load() != 7 {
		t.Fatalf("ended with %v, seq %d, %+v, after %d retries", err, seq, made, a.retried.Load())
	}
	first := <-seen
	if first.key == "" || first.token != "Bearer customer:ada" || first.body != `{"a":1}` {
		t.Errorf("asked %+v", first)
	}
	for n := range 3 {
		again := <-seen
		if again.key != first.key || again.body != first.body {
			t.Errorf("asked again %+v, want the same as %+v", again, first)
		}
		if waited := again.at.Sub(first.at); n == 0 && waited < time.Second {
			t.Errorf("asked again after %s, and was told to wait a second", waited)
		}
	}
}

func TestARefusalIsNotAskedAgain(t *testing.T) {
	t.Parallel()
	a, seen := answering(t, status(409, `{"code":"offer_not_applicable","detail":"used up","rule":"max_uses"}`))
	_, err := a.post(t.Context(), someone("customer", "ada"), "/orders", nil, nil)
	said, ok := refused(err, "forbidden", "offer_not_applicable")
	if !ok || said.Rule != "max_uses" || said.status != 409 || len(seen) != 1 {
		t.Errorf("ended with %v after %d requests", err, len(seen))
	}
	if _, ok := refused(err, "forbidden"); ok {
		t.Error("a refusal passes for another")
	}
}

func TestAskingEndsWithItsContextButARequestIsNotTorn(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	a, seen := answering(t,
		func(w http.ResponseWriter) { cancel(); status(200, `{}`, "X-Seq", "3")(w) },
		status(503, `{}`),
	)
	if seq, err := a.get(ctx, nil, "/x", nil); err != nil || seq != 3 {
		t.Errorf("what was under way ended with %d %v", seq, err)
	}
	if _, err := a.get(ctx, nil, "/x", nil); !errors.Is(err, context.Canceled) || len(seen) != 1 {
		t.Errorf("what was not begun ended with %v after %d requests", err, len(seen))
	}
	ctx, cancel = context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		_, err := a.get(ctx, nil, "/x", nil)
		done <- err
	}()
	<-seen
	parttest.Await(t, "a request", seen)
	cancel()
	if err := parttest.Await(t, "the end", done); !errors.Is(err, context.Canceled) {
		t.Errorf("asking again ended with %v", err)
	}
}

// A provider signs the bytes that it sends, and needs no token.
func TestTheProviderSignsWhatItSends(t *testing.T) {
	t.Parallel()
	a, seen := answering(t, status(200, `{}`))
	e := &evening{api: a, cfg: Config{WebhookSecret: []byte("key")}}
	if err := e.notify(t.Context(), notice{"e1", "p1", "payment.captured", 950, "EUR"}); err != nil {
		t.Fatal(err)
	}
	const body = `{"eventId":"e1","paymentId":"p1","type":"payment.captured","amount":950,"currency":"EUR"}`
	got := <-seen
	if got.body != body || got.token != "" || got.key != "" {
		t.Errorf("sent %+v", got)
	}
	// printf %s BODY | openssl dgst -sha256 -hmac key
	const signature = "sha256=aca7f23d002501f9da58906460b8cd21c9da6a471e2724123b9c0ac8cde0d7ad"
	if got.signature != signature {
		t.Errorf("signed as %s", got.signature)
	}
}

func TestWhatAPaymentBeganIsEndedAlthoughTheEveningIsBrokenOff(t *testing.T) {
	t.Parallel()
	ctx, breakOff := context.WithCancel(t.Context())
	a, seen := answering(t, func(w http.ResponseWriter) {
		breakOff() // the server has taken the money in
		status(http.StatusOK, "{}")(w)
	})
	e := &evening{api: a, cfg: Config{WebhookSecret: []byte("k")}, stats: &stats{}}
	o := &order{payment: paid{ID: "p", Amount: 500}, plan: plan{twice: true}}
	if err := e.capture(ctx, o); err != nil || o.captured != 500 || len(seen) != 2 {
		t.Errorf("captured %d after %d messages: %v", o.captured, len(seen), err)
	}
	if err := e.capture(ctx, o); !errors.Is(err, context.Canceled) || o.captured != 500 || len(seen) != 2 {
		t.Errorf("behind the end: captured %d after %d messages: %v", o.captured, len(seen), err)
	}
}

func TestNoServer(t *testing.T) {
	t.Parallel()
	server := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(server.Close)
	if err := Reachable(t.Context(), server.URL); err == nil || err.Error() != server.URL+"/health answered 404 Not Found: is it the address of an Orderlog server?" {
		t.Errorf("another server gives %v", err)
	}
	if err := Reachable(t.Context(), "http://127.0.0.1:1"); err == nil {
		t.Error("a port where nobody listens is reachable")
	}
}
