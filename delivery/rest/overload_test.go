package rest

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/menu"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/projections"
)

// busy is a world whose reads of products last until they are let go.
type busy struct {
	*world
	letGo chan struct{}
}

func (b *busy) Products(ctx context.Context, q projections.ProductQuery) (projections.List[menu.Product], error) {
	select {
	case <-b.letGo:
	case <-ctx.Done():
		return projections.List[menu.Product]{}, ctx.Err()
	}
	return b.world.Products(ctx, q)
}

func busyHandler(t *testing.T, places int) (*busy, http.Handler) {
	b := &busy{world: newWorld(), letGo: make(chan struct{})}
	return b, b.handler(t, func(c *Config) { c.Views, c.MaxRequests, c.AddressLimit, c.UserLimit = b, places, -1, -1 })
}

// asking asks for the products in the background, so often.
func asking(t *testing.T, h http.Handler, times int) (answers func() []reply) {
	t.Helper()
	all := make([]reply, times)
	var wg sync.WaitGroup
	for i := range all {
		wg.Go(func() { all[i] = ask(t, h, "GET", prefix+"/products", "asha") })
	}
	synctest.Wait()
	return func() []reply { wg.Wait(); return all }
}

func TestWhatIsTooMuchIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, h := busyHandler(t, 2)
		taken := asking(t, h, 2+2*linePerPlace)
		began := time.Now()
		got := ask(t, h, "POST", prefix+"/orders", "asha", place)
		refused(t, got, 503, "overloaded")
		if waited := time.Since(began); waited > 0 {
			t.Errorf("it took %s", waited)
		}
		if seconds, err := strconv.Atoi(got.header.Get("Retry-After")); err != nil || seconds < 1 || seconds > 3 {
			t.Errorf("Retry-After %q", got.header.Get("Retry-After"))
		}
		if len(b.requests) > 0 {
			t.Error("the command was carried out")
		}
		for _, path := range []string{"/health", "/ready", "/openapi.json"} {
			if got := ask(t, h, "GET", path, ""); got.status != 200 {
				t.Errorf("%s is answered %d", path, got.status)
			}
		}
		close(b.letGo)
		for i, a := range taken() {
			if a.status != 200 {
				t.Errorf("request %d, which was taken, is answered %d: %s", i, a.status, a.text)
			}
		}
		if got := ask(t, h, "POST", prefix+"/orders", "asha", place); got.status != 201 {
			t.Errorf("afterwards it is answered %d", got.status)
		}
	})
}

func TestARequestWaitsForItsTurnForAMomentOnly(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, h := busyHandler(t, 1)
		taken := asking(t, h, 1)
		began := time.Now()
		refused(t, ask(t, h, "POST", prefix+"/orders", "asha", place), 503, "overloaded")
		if waited := time.Since(began); waited != linePatience {
			t.Errorf("it waited %s", waited)
		}
		close(b.letGo)
		taken()
	})
}

// Who is refused anyway is not told so by what would cost more than the refusal.
func TestATokenIsNotVerifiedForNothing(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, h := busyHandler(t, 1)
		taken := asking(t, h, 1+linePerPlace)
		refused(t, ask(t, h, "GET", prefix+"/orders", "expired"), 503, "overloaded")
		close(b.letGo)
		taken()
		refused(t, ask(t, h, "GET", prefix+"/orders", "expired"), 401, "token_expired")
	})
}

// stuck is a client that neither sends nor reads anything until it is closed.
type stuck chan struct{}

func (s stuck) Read([]byte) (int, error)    { <-s; return 0, io.EOF }
func (s stuck) Write(p []byte) (int, error) { <-s; return len(p), nil }

// stuckAnswer is what such a client does not read.
type stuckAnswer struct {
	*httptest.ResponseRecorder
	stuck
}

func (s stuckAnswer) Write(p []byte) (int, error) { return s.stuck.Write(p) }

// What waits for a read model, or for a client to send or to read something, has no place: others need it to work.
func TestWhoOnlyWaitsKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	for name, request := range map[string]func(s stuck) (http.ResponseWriter, *http.Request){
		"for a seq that is far ahead": func(stuck) (http.ResponseWriter, *http.Request) {
			return httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, prefix+"/business?min_seq=1000000", nil)
		},
		"for the rest of a body": func(s stuck) (http.ResponseWriter, *http.Request) {
			return httptest.NewRecorder(), httptest.NewRequest(http.MethodPost, prefix+"/orders", s)
		},
		"for its answer to be read": func(s stuck) (http.ResponseWriter, *http.Request) {
			return stuckAnswer{httptest.NewRecorder(), s}, httptest.NewRequest(http.MethodGet, prefix+"/business", nil)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				_, h := busyHandler(t, 1)
				client := make(stuck)
				var waiting sync.WaitGroup
				for range 20 {
					waiting.Go(func() {
						w, r := request(client)
						h.ServeHTTP(w, asUser(r))
					})
				}
				synctest.Wait()
				if got := ask(t, h, "GET", prefix+"/business", "asha"); got.status != 200 {
					t.Errorf("got %d: %s", got.status, got.text)
				}
				close(client)
				waiting.Wait()
			})
		})
	}
}

// waiter is a world whose orders wait for their turn until they are let go.
type waiter struct {
	*world
	letGo chan struct{}
}

func (w *waiter) PlaceOrder(ctx context.Context, req commands.Request, cmd commands.PlaceOrder) (commands.Outcome[order.Order], error) {
	back := commands.Aside(ctx)
	<-w.letGo
	back()
	return w.world.PlaceOrder(ctx, req, cmd)
}

func TestACommandThatWaitsKeepsNobodyOut(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := &waiter{newWorld(), make(chan struct{})}
		h := w.handler(t, func(c *Config) { c.Commands, c.MaxRequests, c.AddressLimit, c.UserLimit = w, 1, -1, -1 })
		var waiting sync.WaitGroup
		for range 20 {
			waiting.Go(func() {
				if got := ask(t, h, "POST", prefix+"/orders", "asha", place); got.status != 201 {
					t.Errorf("who waited for a turn is answered %d: %s", got.status, got.text)
				}
			})
			synctest.Wait() // all at once would be more than may be in line
		}
		if got := ask(t, h, "GET", prefix+"/business", "asha"); got.status != 200 {
			t.Errorf("got %d: %s", got.status, got.text)
		}
		close(w.letGo)
		waiting.Wait()
		if got := ask(t, h, "GET", prefix+"/business", "asha"); got.status != 200 {
			t.Errorf("afterwards: %d: %s", got.status, got.text)
		}
	})
}

func asUser(r *http.Request) *http.Request {
	r.Header.Set("Authorization", "Bearer asha")
	r.Header.Set("Content-Type", "application/json")
	return r
}

// dripping sends so many large bodies from each of so many addresses, of which the last byte does not come before the
// client is closed.
func dripping(h http.Handler, client stuck, bodies, addresses int) (wait func()) {
	var waiting sync.WaitGroup
	for i := range bodies * addresses {
		waiting.Go(func() {
			body := io.MultiReader(strings.NewReader(strings.Repeat(" ", maxBodyBytes-1)), client)
			r := asUser(httptest.NewRequest("POST", prefix+"/orders", body))
			r.RemoteAddr = fmt.Sprintf("198.51.100.%d:4711", i%addresses)
			h.ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	synctest.Wait()
	return waiting.Wait
}

func (b *bodies) held() (all int64, addresses int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.all, len(b.of)
}

func TestTheMemoryOfBodiesIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, h := busyHandler(t, 4)
		s, _ := h.(*server)
		const many, addresses = maxBodies / maxBodyBytes, maxBodies / maxAddressBodies
		client := make(stuck)
		wait := dripping(h, client, many/addresses, addresses)
		if got, _ := s.bodies.held(); got < maxBodies-many || got > maxBodies {
			t.Errorf("%d bytes are counted", got)
		}
		refused(t, ask(t, h, "POST", prefix+"/orders", "asha", strings.Repeat(" ", 2*many)), 503, "overloaded")
		if got := ask(t, h, "GET", prefix+"/business", "asha"); got.status != 200 {
			t.Errorf("who sends no body is answered %d", got.status)
		}
		close(client)
		wait()
		if got, addresses := s.bodies.held(); got != 0 || addresses != 0 {
			t.Errorf("%d bytes of %d addresses are still counted", got, addresses)
		}
		if got := ask(t, h, "POST", prefix+"/orders", "asha", place); got.status != 201 {
			t.Errorf("afterwards: %d", got.status)
		}
		close(b.letGo)
	})
}

func TestOneAddressDoesNotTakeTheMemoryOfAllBodies(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		b, h := busyHandler(t, 4)
		client := make(stuck)
		wait := dripping(h, client, maxAddressBodies/maxBodyBytes, 1)
		refused(t, askFrom(t, h, "198.51.100.0", "POST", prefix+"/orders", "asha", strings.Repeat(" ", maxBodyBytes)), 503, "overloaded")
		large := strings.Repeat(" ", maxBodyBytes-len(place)) + place
		if got := ask(t, h, "POST", prefix+"/orders", "asha", large); got.status != 201 {
			t.Errorf("who comes from elsewhere is answered %d: %s", got.status, got.text)
		}
		close(client)
		wait()
		close(b.letGo)
	})
}

func TestRefusalsAskClientsBackAtDifferentTimes(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for range 200 {
		seen[overloaded().headers.Get("Retry-After")] = true
	}
	if fmt.Sprint(len(seen)) != "3" {
		t.Errorf("only after %v", seen)
	}
}
