package main

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/internal/proxies"
)

func TestAProxyThatWasNotNamedIsToldOfOnce(t *testing.T) {
	t.Parallel()
	trusted, err := proxies.Parse("10.0.0.0/8")
	if err != nil {
		t.Fatal(err)
	}
	var log bytes.Buffer
	served := 0
	h := warnOfProxies(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { served++ }), trusted,
		slog.New(slog.NewTextHandler(&log, nil)))
	from := func(peer, forwarded string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.RemoteAddr = peer
		if forwarded != "" {
			r.Header.Set("X-Forwarded-For", forwarded)
		}
		h.ServeHTTP(httptest.NewRecorder(), r)
	}
	from("10.1.2.3:4711", "198.51.100.1")
	from("192.0.2.7:4711", "")
	if log.Len() > 0 {
		t.Errorf("of a proxy that was named, and of a client: %s", log.String())
	}
	from("192.0.2.7:4711", "198.51.100.1")
	from("192.0.2.8:4711", "198.51.100.1")
	if got := log.String(); strings.Count(got, "TRUSTED_PROXIES") != 1 || !strings.Contains(got, "level=WARN") || !strings.Contains(got, "from=192.0.2.7:4711") {
		t.Errorf("it is said: %s", got)
	}
	if served != 4 {
		t.Errorf("%d of 4 were served", served)
	}
}
