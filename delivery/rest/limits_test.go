package rest

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strconv"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/proxies"
)

// from asks from an address, and answers the status.
func from(t *testing.T, h http.Handler, address, token string, more ...string) reply {
	t.Helper()
	return askFrom(t, h, address, "GET", prefix+"/business", token, more...)
}

func limited(user, address int) func(*Config) {
	return func(c *Config) { c.UserLimit, c.AddressLimit = user, address }
}

func TestAUserMayAskSoOften(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := newWorld().handler(t, limited(3, -1))
		for i := range 3 {
			if got := from(t, h, "192.0.2.7", "asha"); got.status != 200 || got.header.Get("Retry-After") != "" {
				t.Fatalf("request %d: %d %v", i, got.status, got.header)
			}
		}
		got := from(t, h, "192.0.2.8", "asha", "Origin: https://shop.example") // from elsewhere it is the same user
		refused(t, got, 429, "rate_limited")
		if got.header.Get("Access-Control-Allow-Origin") == "" {
			t.Error("a script in a browser cannot read why")
		}
		if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 20 {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		if got.body["limit"] != 3.0 || got.body["windowSeconds"] != 10.0 || got.body["detail"] == "" {
			t.Errorf("does not say what is allowed: %s", got.text)
		}
		for who, token := range map[string]string{"another user": "ben", "nobody": ""} {
			if got := from(t, h, "192.0.2.7", token); got.status != 200 {
				t.Errorf("%s pays for it: %d", who, got.status)
			}
		}
		if got := ask(t, h, "POST", prefix+"/orders", "asha", place); got.status != 429 {
			t.Errorf("another operation is allowed: %d", got.status)
		}
	})
}

// Two users of one name in two roles are two.
func TestARoleIsPartOfTheUser(t *testing.T) {
	t.Parallel()
	h := newWorld().handler(t, limited(1, -1), func(c *Config) {
		c.Verifier = namesakes{}
	})
	if got := from(t, h, "192.0.2.7", "delivery"); got.status != 200 {
		t.Fatalf("got %d", got.status)
	}
	if got := from(t, h, "192.0.2.7", "customer"); got.status != 200 {
		t.Errorf("the courier's namesake is refused: %d", got.status)
	}
	refused(t, from(t, h, "192.0.2.7", "delivery"), 429, "rate_limited")
}

// namesakes knows people by their role.
type namesakes struct{}

func (namesakes) Verify(_ context.Context, raw string) (auth.Identity, error) {
	return auth.Identity{UserID: "ravi", Role: domain.Role(raw)}, nil
}

func TestWhatRetryAfterSaysIsTrue(t *testing.T) {
	t.Parallel()
	for _, limit := range []int{1, 2, 7, 100} {
		for _, spread := range []time.Duration{0, 300 * time.Millisecond, 3 * time.Second} {
			t.Run(fmt.Sprintf("%d requests, one each %s", limit, spread), func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					h := newWorld().handler(t, limited(limit, -1))
					got := from(t, h, "192.0.2.7", "asha")
					for i := 0; got.status == 200 && i < 3*limit; i++ {
						pass(t, spread)
						got = from(t, h, "192.0.2.7", "asha")
					}
					if got.status == 200 {
						return // so slow that nothing is refused
					}
					seconds, err := strconv.Atoi(got.header.Get("Retry-After"))
					if err != nil || seconds < 1 {
						t.Fatalf("Retry-After %q", got.header.Get("Retry-After"))
					}
					pass(t, time.Duration(seconds)*time.Second)
					if got := from(t, h, "192.0.2.7", "asha"); got.status != 200 {
						t.Errorf("after %d s still %d", seconds, got.status)
					}
				})
			})
		}
	}
}

// pass lets time go by inside synctest.
func pass(t *testing.T, d time.Duration) {
	t.Helper()
	<-time.After(d)
}

func TestAnAddressIsCountedBeforeItsToken(t *testing.T) {
	t.Parallel()
	w := newWorld()
	var verified atomic.Int64
	h := w.handler(t, limited(-1, 2), func(c *Config) { c.Verifier = counting{w, &verified} })
	refused(t, from(t, h, "192.0.2.7", "forged"), 401, "unauthenticated")
	refused(t, from(t, h, "192.0.2.7", "forged"), 401, "unauthenticated")
	refused(t, from(t, h, "192.0.2.7", "forged"), 429, "rate_limited")
	refused(t, from(t, h, "192.0.2.7", "asha"), 429, "rate_limited")
	refused(t, askFrom(t, h, "192.0.2.7", "GET", "/no/such/thing", ""), 429, "rate_limited")
	if n := verified.Load(); n != 2 {
		t.Errorf("%d tokens were verified", n)
	}
	if got := from(t, h, "192.0.2.8", "asha"); got.status != 200 {
		t.Errorf("another address pays for it: %d", got.status)
	}
	for _, path := range []string{"/health", "/ready"} {
		if got := askFrom(t, h, "192.0.2.7", "GET", path, ""); got.status != 200 {
			t.Errorf("%s is refused: the load balancer would take the node out", path)
		}
	}
}

// counting counts what is verified.
type counting struct {
	Verifier
	verified *atomic.Int64
}

func (v counting) Verify(ctx context.Context, raw string) (auth.Identity, error) {
	v.verified.Add(1)
	return v.Verifier.Verify(ctx, raw)
}

// slowLook answers whether the program is ready when it is told to.
type slowLook struct {
	*world
	looks  atomic.Int64
	answer chan struct{}
}

func (l *slowLook) Ready(ctx context.Context) (Readiness, error) {
	l.looks.Add(1)
	<-l.answer
	return l.world.Ready(ctx)
}

func TestAddresses(t *testing.T) {
	t.Parallel()
	const forwarded = "X-Forwarded-For: "
	for name, tc := range map[string]struct {
		first, second []string // the connection's address, then headers
		same          bool
	}{
		"two ports of one address":        {[]string{"192.0.2.7"}, []string{"192.0.2.7"}, true},
		"two addresses":                   {[]string{"192.0.2.7"}, []string{"192.0.2.8"}, false},
		"two of one IPv6 network":         {[]string{"2001:db8::1"}, []string{"2001:db8::ffff"}, true},
		"two IPv6 networks":               {[]string{"2001:db8::1"}, []string{"2001:db8:0:1::1"}, false},
		"two behind a trusted proxy":      {[]string{"10.0.0.1", forwarded + "192.0.2.7"}, []string{"10.0.0.1", forwarded + "192.0.2.8"}, false},
		"one behind two trusted proxies":  {[]string{"10.0.0.1", forwarded + "192.0.2.7"}, []string{"10.0.0.2", forwarded + "192.0.2.7"}, true},
		"one that makes up addresses":     {[]string{"192.0.2.7", forwarded + "203.0.113.1"}, []string{"192.0.2.7", forwarded + "203.0.113.2"}, true},
		"one that makes up hops to proxy": {[]string{"10.0.0.1", forwarded + "203.0.113.1, 192.0.2.7"}, []string{"10.0.0.1", forwarded + "203.0.113.2, 192.0.2.7"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := newWorld().handler(t, limited(-1, 1), func(c *Config) {
				var err error
				if c.TrustedProxies, err = proxies.Parse("10.0.0.0/8"); err != nil {
					t.Error(err)
				}
			})
			if got := from(t, h, tc.first[0], "", tc.first[1:]...); got.status != 200 {
				t.Fatalf("the first is refused: %d", got.status)
			}
			if got := from(t, h, tc.second[0], "", tc.second[1:]...); (got.status == 429) != tc.same {
				t.Errorf("the second is answered %d", got.status)
			}
		})
	}
}

func TestLimitsAreThereUnlessTurnedOff(t *testing.T) {
	t.Parallel()
	l := newLimits(Frame{})
	if l.user.requests != 5_000 || l.address.requests != 20_000 {
		t.Errorf("the defaults are %d and %d", l.user.requests, l.address.requests)
	}
	h := newWorld().handler(t, limited(-1, -1))
	for range 100 {
		if got := from(t, h, "192.0.2.7", "asha"); got.status != 200 {
			t.Fatalf("got %d", got.status)
		}
	}
}

// A count is never too low, and few are too high: a hundred thousand others do not make a user pay.
func TestCountsOfManyKeys(t *testing.T) {
	t.Parallel()
	c := newCounts()
	c.Config(0, limitWindow)
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	const keys, each = 20_000, 3
	for i := range keys {
		for range each {
			_ = c.Increment(strconv.Itoa(i), now)
		}
	}
	high := 0
	for i := range keys {
		n, prior, _ := c.Get(strconv.Itoa(i), now, now.Add(-limitWindow))
		if n < each || prior != 0 {
			t.Fatalf("key %d came %d times and is counted %d and %d", i, each, n, prior)
		}
		if n > each {
			high++
		}
	}
	if high > keys/5 {
		t.Errorf("%d of %d keys are counted too high", high, keys)
	}
}

func TestCountsAreForgotten(t *testing.T) {
	t.Parallel()
	c := newCounts()
	c.Config(0, limitWindow)
	first := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	at := func(n int) time.Time { return first.Add(time.Duration(n) * limitWindow) }
	holds := func(window, current, prior int) {
		t.Helper()
		if n, p, _ := c.Get("ada", at(window), at(window-1)); n != current || p != prior {
			t.Errorf("in window %d: %d and %d before, want %d and %d", window, n, p, current, prior)
		}
	}
	_ = c.IncrementBy("ada", at(0), 2)
	holds(0, 2, 0)
	_ = c.Increment("ada", at(1))
	holds(1, 1, 2)
	_ = c.Increment("ada", at(0)) // a request that was overtaken
	holds(1, 2, 2)
	holds(2, 0, 2)
	holds(3, 0, 0)
	_ = c.IncrementBy("ada", at(3), 5)
	holds(5, 0, 0)
}

func TestManyWhoAskWhetherItIsReadyShareTheAnswer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		look := &slowLook{world: w, answer: make(chan struct{})}
		h := w.handler(t, func(c *Config) { c.Ready = look })
		answers := make(chan int, 50)
		for range cap(answers) {
			go func() {
				r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/ready", http.NoBody)
				out := httptest.NewRecorder()
				h.ServeHTTP(out, r)
				answers <- out.Code
			}()
		}
		synctest.Wait()
		close(look.answer)
		for range cap(answers) {
			if got := <-answers; got != 200 {
				t.Errorf("got %d", got)
			}
		}
		if n := look.looks.Load(); n != 1 {
			t.Errorf("looked %d times", n)
		}
	})
}
