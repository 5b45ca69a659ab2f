package rest

import (
	"net/http"
	"time"

	"github.com/orderlog/orderlog/internal/proxies"
)

// Frame is what is around the operations. Its zero value limits by the defaults, trusts no proxy, and serves neither
// metrics nor a description of the sockets.
type Frame struct {
	// UserLimit and AddressLimit are how many requests one user in one role, and one address, may make in 10 s.
	// Zero: 5,000 and 20,000. Less: any number.
	UserLimit, AddressLimit int
	// MaxRequests is how many requests under /api/v1 are worked on at a time; four times as many wait for at most half a
	// second, and those beyond are answered 503 overloaded. Streams of events are bounded otherwise. Zero: 16. Less: any
	// number.
	MaxRequests int
	// TrustedProxies are those whose word for a client's address and for the encryption of its way is taken.
	TrustedProxies proxies.Trusted
	// Metrics answers GET /metrics. Nil: there is nothing at that path.
	Metrics http.Handler
	// AsyncAPI is the document at GET /asyncapi.json. Empty: there is nothing at that path.
	AsyncAPI []byte
	// Observe, if not nil, is told of every request once it is answered, from the request's goroutine. It must not
	// block and has to be safe for concurrent use.
	Observe func(Observation)
}

// Observation is an answered request, in words that are few, so that they can name a metric's series.
type Observation struct {
	// Method is the request's, "other" when it is none that HTTP knows.
	Method string
	// Route is the pattern of its path, such as /api/v1/orders/{id}; "none" when nothing is there.
	Route string
	// Status is the answer's; 499 when the client left before there was one.
	Status   int
	Duration time.Duration
}
