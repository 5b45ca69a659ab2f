package origins_test

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/internal/origins"
)

// Whatever a browser names as its page's origin, it is let in only when it is on the list or of the server's own host.
func FuzzAPageIsLetInByTheListOrItsHost(f *testing.F) {
	for _, origin := range []string{
		"https://shop.example", "HTTPS://SHOP.example", "https://shop.example/", "https://shop.example.evil.example", "https://shop.example@evil.example",
		"http://api.example:8080", "https://api.example:443", "http://[::1]:80", "null", "", "file://", "https://api.example?x", "https://api.example#", "*", "javascript:1",
	} {
		f.Add(origin, "", "api.example")
		f.Add(origin, origin, "[::1]")
		f.Add(origin, "", "api.example:8080")
	}
	allowed := origins.Allowed{"https://shop.example", "http://localhost:3000/"}
	f.Fuzz(func(t *testing.T, origin, second, host string) {
		r := &http.Request{Host: host, Header: http.Header{"Origin": {origin}}}
		if second != "" {
			r.Header.Add("Origin", second)
		}
		if !allowed.Admit(r) {
			if second == "" && (origin == "" || origin == "https://shop.example") {
				t.Fatalf("%q is kept out", origin)
			}
			return
		}
		if second != "" {
			t.Fatalf("%q and %q are let in together", origin, second)
		}
		if origin == "" || slices.Contains([]string{"https://shop.example", "http://localhost:3000"}, strings.ToLower(origin)) {
			return
		}
		u, err := url.Parse(origin)
		if err != nil {
			t.Fatalf("%q, which is no address, is let in: %v", origin, err)
		}
		own := (&url.URL{Host: host}).Hostname()
		if !strings.EqualFold(u.Hostname(), own) || u.Scheme != "http" && u.Scheme != "https" {
			t.Fatalf("%q is let in by the host %q", origin, host)
		}
		if again := u.Scheme + "://" + u.Host; !strings.EqualFold(again, strings.TrimRight(origin, "#?")) {
			t.Fatalf("%q is let in, which is more than %q", origin, again)
		}
	})
}
