package rest

import (
	"fmt"
	"math"
	"net/http"
	"time"

	"github.com/go-chi/httprate"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// limitWindow is the time in which requests are counted. It slides: what came in the window before counts as far as
// that still reaches into the last limitWindow.
const limitWindow = 10 * time.Second

const (
	defaultUserLimit    = 5_000
	defaultAddressLimit = 20_000
)

// limits hold what one user and one address may ask. Each node counts for itself.
type limits struct{ user, address *limit }

func newLimits(f Frame) limits {
	return limits{user: newLimit(f.UserLimit, defaultUserLimit), address: newLimit(f.AddressLimit, defaultAddressLimit)}
}

// limit is a number of requests in limitWindow. Nil: any number.
type limit struct {
	requests int
	limiter  *httprate.RateLimiter
	counts   *counts
}

func newLimit(requests, byDefault int) *limit {
	if requests < 0 {
		return nil
	}
	if requests == 0 {
		requests = byDefault
	}
	l := &limit{requests: requests, counts: newCounts()}
	l.limiter = httprate.NewRateLimiter(requests, limitWindow, httprate.WithLimitCounter(l.counts),
		httprate.WithResponseHeaders(httprate.ResponseHeaders{})) // no header on an answer that nothing is wrong with
	return l
}

// check counts a request, or answers the problem that says why not and when to come back.
func (l *limit) check(w http.ResponseWriter, r *http.Request, key, whose string) error {
	if l == nil || !l.limiter.OnLimit(w, r, key) {
		return nil
	}
	after := l.retryAfter(key, time.Now())
	return problem(domain.CodeRateLimited, fmt.Sprintf("more than %d requests in %d seconds from %s: wait %d s, and ask less often",
		l.requests, int(limitWindow.Seconds()), whose, after)).
		set("Retry-After", fmt.Sprint(after)).with("limit", l.requests).with("windowSeconds", int(limitWindow.Seconds()))
}

// retryAfter is in how many whole seconds the next request gets through, when none is sent until then. It reckons as
// httprate does.
func (l *limit) retryAfter(key string, now time.Time) int {
	window := now.UTC().Truncate(limitWindow)
	current, prior, _ := l.counts.Get(key, window, window.Add(-limitWindow)) // it never fails
	const longest = int(2 * limitWindow / time.Second)
	for seconds := 1; seconds < longest; seconds++ {
		passed := now.Add(time.Duration(seconds) * time.Second).Sub(window)
		before, since := prior, current
		if passed >= limitWindow {
			before, since, passed = current, 0, passed-limitWindow
		}
		rate := float64(before)*float64(limitWindow-passed)/float64(limitWindow) + float64(since)
		if int(math.Round(rate))+1 <= l.requests {
			return seconds
		}
	}
	return longest
}

// checkAddress counts a request for the address it came from, before anything is done for it. A client with IPv6 is
// counted by its network of 64 bits, of which it may use any address. Whether the process is alive and ready is told
// to anybody at any time: a load balancer that is refused would take the node out.
func (s *server) checkAddress(w http.ResponseWriter, r *http.Request, c *call) error {
	if r.URL.Path == healthPath || r.URL.Path == readyPath {
		return nil
	}
	return s.limits.address.check(w, r, c.address(), "your address")
}

// address is what a client is counted by.
func (c *call) address() string { return httprate.CanonicalizeIP(c.remoteAddr) }

// checkUser counts a request for whom its token speaks. The payment provider has none and is counted by its address.
func (s *server) checkUser(w http.ResponseWriter, r *http.Request, id auth.Identity) error {
	return s.limits.user.check(w, r, string(id.Role)+":"+id.UserID, "you")
}
