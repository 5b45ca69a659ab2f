package origins_test

import (
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/orderlog/orderlog/internal/origins"
)

func TestWhichPagesMayConnect(t *testing.T) {
	t.Parallel()
	const host = "api.shop.example"
	listed := origins.Allowed{"https://shop.example", "http://localhost:3000/"}
	for _, tc := range []struct {
		what    string
		allowed origins.Allowed
		host    string
		origin  []string
		admit   bool
	}{
		{"no page", nil, host, nil, true},
		{"no page, said by an empty header", nil, host, []string{""}, true},
		{"a page that is listed", listed, host, []string{"https://shop.example"}, true},
		{"in other letters", listed, host, []string{"https://SHOP.example"}, true},
		{"one that is listed with a slash", listed, host, []string{"http://localhost:3000"}, true},
		{"every page", origins.Allowed{"*"}, host, []string{"https://any.example"}, true},
		{"another page", listed, host, []string{"https://evil.example"}, false},
		{"another scheme", listed, host, []string{"http://shop.example"}, false},
		{"another port", listed, host, []string{"https://shop.example:8443"}, false},
		{"a host that begins alike", listed, host, []string{"https://shop.example.evil.example"}, false},
		{"a page in a sandbox", listed, host, []string{"null"}, false},
		{"nobody is listed", nil, host, []string{"https://shop.example"}, false},
		{"the server's own page", nil, host, []string{"https://api.shop.example"}, true},
		{"an app, which names the server", nil, "10.0.0.7:5000", []string{"http://10.0.0.7:5000"}, true},
		{"with the port that goes without saying", nil, host, []string{"https://api.shop.example:443"}, true},
		{"which the request names", nil, host + ":80", []string{"http://api.shop.example"}, true},
		{"an IPv6 address", nil, "[::1]:80", []string{"http://[::1]"}, true},
		{"the server's host at another port", nil, host + ":5000", []string{"http://api.shop.example:6000"}, false},
		{"a subdomain", nil, host, []string{"https://evil.api.shop.example"}, false},
		{"no origin but an address", nil, host, []string{"https://api.shop.example/path"}, false},
		{"a name before the host", nil, host, []string{"https://x@api.shop.example"}, false},
		{"another kind of address", nil, host, []string{"file://api.shop.example"}, false},
		{"no host on either side", nil, "", []string{"null"}, false},
		{"two at once", origins.Allowed{"*"}, host, []string{"https://shop.example", "https://evil.example"}, false},
	} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Host = tc.host
		r.Header["Origin"] = tc.origin
		if got := tc.allowed.Admit(r); got != tc.admit {
			t.Errorf("%s: %v", tc.what, got)
		}
	}
}
