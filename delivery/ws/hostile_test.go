package ws

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/deliverytest"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/proxies"
)

// silent opens connections that say nothing, until one is refused, and returns how many there are.
func (s *server) silent(t *testing.T, from func(n int) string) (open int) {
	t.Helper()
	for ; ; open++ {
		conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.url, http.Header{"X-Forwarded-For": {from(open)}})
		if err != nil {
			if resp == nil || resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
				t.Fatalf("connection %d: %v, %v", open, resp, err)
			}
			return open
		}
		_ = resp.Body.Close()
		t.Cleanup(func() { _ = conn.Close() })
	}
}

func TestOneAddressDoesNotTakeThePlacesOfAll(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]func(n int) string{
		"one address":                func(int) string { return "192.0.2.7" },
		"one network of IPv6":        func(n int) string { return fmt.Sprintf("2001:db8::%x", n+1) },
		"an address that is made up": func(n int) string { return fmt.Sprintf("10.9.8.%d, 192.0.2.7", n) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{ws: func(c *Config) {
				c.TrustedProxies = proxies.Trusted{netip.MustParsePrefix("127.0.0.0/8")}
				c.MaxUnregistered, c.MaxUnregisteredAddress, c.ToleratedSilence = 50, 20, time.Hour
			}})
			if got := s.silent(t, one); got != 20 {
				t.Fatalf("it has %d connections that have not registered", got)
			}
			other := s.dial(t, http.Header{"X-Forwarded-For": {"198.51.100.1"}})
			other.register("ann", domain.RoleCustomer, "")
			if got := s.silent(t, func(n int) string { return fmt.Sprintf("198.51.100.%d", n+2) }); got != 30 {
				t.Errorf("all others have %d", got)
			}
			s.feed.Add("all")
			other.expectEvents(0, 1) // who is there is served
		})
	}
}

// Whoever holds all places and says nothing makes room for who has something to say, of the same address too.
func TestWhoSaysNothingMakesRoom(t *testing.T) {
	t.Parallel()
	for name, bound := range map[string]func(*Config){
		"of its address": func(c *Config) { c.MaxUnregisteredAddress = 2 },
		"of all":         func(c *Config) { c.MaxUnregistered = 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{ws: func(c *Config) {
				bound(c)
				c.RegisterTimeout, c.ToleratedSilence = time.Hour, 50*time.Millisecond
			}})
			ann := s.dial(t, nil)
			ann.register("ann", domain.RoleCustomer, "")
			eldest := s.dial(t, nil)
			eventually(t, "it is noted before the second", func() bool { return s.handler.Stats().Accepted == 2 })
			second := s.dial(t, nil)
			for n, silent := range []*client{eldest, second} {
				eventually(t, "the next is let in", func() bool {
					conn, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.url, nil)
					if err != nil {
						return false
					}
					_ = resp.Body.Close()
					t.Cleanup(func() { _ = conn.Close() })
					return true
				})
				silent.expectClose(4408, "register_timeout")
				if open := s.handler.Stats().Unregistered; open != 2 {
					t.Errorf("after %d were sent away %d have not registered", n+1, open)
				}
			}
			s.feed.Add("all")
			ann.expectEvents(0, 1)
		})
	}
}

// heldVerifier judges a token when it is let to.
type heldVerifier struct {
	deliverytest.Verifier
	asked, judge chan struct{}
}

func (v heldVerifier) Verify(ctx context.Context, token string) (auth.Identity, error) {
	close(v.asked)
	<-v.judge
	return v.Verifier.Verify(ctx, token)
}

// A crowd that comes back keeps the database busy: those whose registrations take their time are not sent away for it.
func TestWhoIsBeingRegisteredIsLeftInPeace(t *testing.T) {
	t.Parallel()
	v := heldVerifier{asked: make(chan struct{}), judge: make(chan struct{})}
	s := serve(t, options{
		ws:      func(c *Config) { c.MaxUnregisteredAddress, c.ToleratedSilence = 1, time.Nanosecond },
		session: func(c *session.Config) { c.Verifier = v },
	})
	ann := s.dial(t, nil)
	ann.say(`{"event":"register","data":{"token":%q}}`, token("ann", domain.RoleCustomer, time.Hour))
	parttest.Await(t, "her token to be judged", v.asked)
	_, resp, err := websocket.DefaultDialer.DialContext(t.Context(), s.url, nil) //nolint:bodyclose // a refusal's is read
	if err == nil || resp == nil || resp.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("the next is answered %v, %v", resp, err)
	}
	close(v.judge)
	ann.expect("registered")
}

// Who has registered makes room for the next of that address, and so does who was sent away.
func TestAnAddressGetsItsPlacesBack(t *testing.T) {
	t.Parallel()
	s := serve(t, options{ws: func(c *Config) { c.MaxUnregisteredAddress, c.RegisterTimeout = 1, time.Second }})
	for range 3 {
		s.dial(t, nil).register("ann", domain.RoleCustomer, "")
	}
	s.dial(t, nil).expectClose(4408, "register_timeout")
	eventually(t, "its place is free", func() bool { return s.handler.Stats().Unregistered == 0 })
	s.dial(t, nil).register("ann", domain.RoleCustomer, "")
}

func TestAUserHasSoManyConnections(t *testing.T) {
	t.Parallel()
	s := serve(t, options{session: func(c *session.Config) { c.MaxUserConnections = 2 }})
	first := s.dial(t, nil)
	first.register("ann", domain.RoleCustomer, "")
	s.dial(t, nil).register("ann", domain.RoleCustomer, "")
	third := s.dial(t, nil)
	third.say(`{"event":"register","data":{"token":%q}}`, token("ann", domain.RoleCustomer, time.Hour))
	third.expectClose(4429, "rate_limited")
	s.dial(t, nil).register("bob", domain.RoleCustomer, "")
	_ = first.Close()
	eventually(t, "the first has ended", func() bool { return s.handler.Stats().Open <= 2 })
	s.dial(t, nil).register("ann", domain.RoleCustomer, "")
}

// Pings, pongs and the parts of a message are no messages, and without a bound would be any number.
func TestFramesThatSayNothingAreBounded(t *testing.T) {
	t.Parallel()
	for name, send := range map[string]func(c *client) error{
		"pings": func(c *client) error { return c.WriteControl(websocket.PingMessage, []byte("p"), time.Time{}) },
		"pongs": func(c *client) error { return c.WriteControl(websocket.PongMessage, nil, time.Time{}) },
		"empty parts of a message": func(c *client) error {
			_, err := c.NetConn().Write([]byte{0x00, 0x80, 1, 2, 3, 4})
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := serve(t, options{})
			c, other := s.dial(t, nil), s.dial(t, nil)
			c.register("ann", domain.RoleCustomer, "")
			other.register("bob", domain.RoleCustomer, "")
			if name == "empty parts of a message" { // which has to begin
				if _, err := c.NetConn().Write([]byte{0x01, 0x80, 1, 2, 3, 4}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2000 {
				if send(c) != nil {
					break // it was closed meanwhile
				}
			}
			c.expectClose(4429, "rate_limited")
			s.feed.Add("all")
			other.expectEvents(0, 1)
		})
	}
}

func TestSlowReadersByTheHundredCostLittle(t *testing.T) {
	t.Parallel()
	const readers, events, size = 200, 400, 4000
	s := serve(t, options{
		ws:  func(c *Config) { c.SocketBuffer = 32 << 10 },
		hub: func(c *delivery.Config) { c.RingFrames = 10 },
	})
	for n := range readers {
		s.dialSmall(t, V1).register(fmt.Sprintf("slow-%d", n), domain.RoleCustomer, "")
	}
	reads := s.dial(t, nil)
	reads.register("ann", domain.RoleCustomer, "")
	before := heap()
	for n := range int64(events) {
		s.feed.AddSized(size, "all")
		reads.expectEvents(n, n+1) // while nobody else reads
	}
	// Each has megabytes to read. What other tests take meanwhile is in the figure too.
	if grown := int64(heap()) - int64(before); grown > readers*events*size/4 {
		t.Errorf("%d clients that read nothing take %d bytes each", readers, grown/readers)
	}
}

func heap() uint64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}
