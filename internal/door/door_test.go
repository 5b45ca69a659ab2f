package door

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/proxies"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// serve serves within bounds, and returns where.
func serve(t *testing.T, cfg Config) (*Listener, string) {
	t.Helper()
	inner, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Bound(inner, cfg)
	server := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = io.WriteString(w, "served")
	})}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	t.Cleanup(func() {
		_ = server.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Error(err)
		}
		if n := l.open.Load(); n != 0 {
			t.Errorf("%d connections are still counted", n)
		}
	})
	return l, inner.Addr().String()
}

// dial connects from an address of this machine, and asks for something.
func dial(t *testing.T, from, to string) (net.Conn, *http.Response) {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_, _ = fmt.Fprint(c, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resp, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil { // what was sent to a connection that is closed may break off the answer
		return c, &http.Response{StatusCode: http.StatusServiceUnavailable}
	}
	_, _ = io.Copy(io.Discard, resp.Body)
	_ = resp.Body.Close()
	return c, resp
}

func status(t *testing.T, from, to string) int {
	t.Helper()
	_, resp := dial(t, from, to) //nolint:bodyclose // it is closed there
	return resp.StatusCode
}

func TestAnAddressHasSoManyConnections(t *testing.T) {
	t.Parallel()
	l, to := serve(t, Config{MostAddress: 3})
	first, _ := dial(t, "127.0.0.1", to) //nolint:bodyclose // as above
	for range 2 {
		if got := status(t, "127.0.0.1", to); got != 200 {
			t.Fatalf("got %d", got)
		}
	}
	for range 20 { // they idle, and hold their places
		if got := status(t, "127.0.0.1", to); got != 503 {
			t.Errorf("one too many is answered %d", got)
		}
	}
	if l.Refused() != 20 {
		t.Errorf("%d are counted as refused", l.Refused())
	}
	if got := status(t, "127.0.0.2", to); got != 200 {
		t.Errorf("another address is answered %d", got)
	}
	_ = first.Close()
	parttest.Eventually(t, "its place is free", func() bool { return status(t, "127.0.0.1", to) == 200 })
}

func TestThereAreSoManyConnections(t *testing.T) {
	t.Parallel()
	_, to := serve(t, Config{Most: 2})
	first, _ := dial(t, "127.0.0.1", to) //nolint:bodyclose // as above
	if got := status(t, "127.0.0.2", to); got != 200 {
		t.Fatalf("got %d", got)
	}
	if got := status(t, "127.0.0.3", to); got != 503 {
		t.Errorf("one too many is answered %d", got)
	}
	_ = first.Close()
	parttest.Eventually(t, "a place is free", func() bool { return status(t, "127.0.0.3", to) == 200 })
}

func TestATrustedProxyHasAnyNumber(t *testing.T) {
	t.Parallel()
	_, to := serve(t, Config{MostAddress: 1, Proxies: proxies.Trusted{netip.MustParsePrefix("127.0.0.9/32")}})
	for range 5 {
		if got := status(t, "127.0.0.9", to); got != 200 {
			t.Errorf("got %d", got)
		}
	}
}

func TestFilesAreLeftForTheProcessItself(t *testing.T) {
	t.Parallel()
	for _, tc := range []struct{ files, beside, want int }{
		{1024, 0, 1024 - ownFiles},
		{1024, 300, 724 - ownFiles},
		{64, 17, 1},
		{1, 0, 1}, // and none would be any number
	} {
		if got := most(tc.files, tc.beside); got != tc.want {
			t.Errorf("of %d files, with %d connections of its own: %d, want %d", tc.files, tc.beside, got, tc.want)
		}
	}
}

// Whoever is not let in is sent nothing: an EventSource that hears a 503 never comes back.
func TestWhoIsNotLetInIsToldNothing(t *testing.T) {
	t.Parallel()
	_, to := serve(t, Config{Most: 1})
	if got := status(t, "127.0.0.1", to); got != 200 {
		t.Fatalf("got %d", got)
	}
	c, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", to)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if text, err := io.ReadAll(c); len(text) > 0 || err != nil {
		t.Errorf("it is told %q, %v", text, err)
	}
}

func TestWithoutABoundThereAreAsManyAsFiles(t *testing.T) {
	t.Parallel()
	l := Bound(nil, Config{})
	if l.cfg.Most != files()-ownFiles || l.cfg.Most < 1 {
		t.Errorf("%d of %d files", l.cfg.Most, files())
	}
}
