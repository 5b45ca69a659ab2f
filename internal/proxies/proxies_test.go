package proxies

import (
	"crypto/tls"
	"net/http"
	"testing"
)

func request(remote string, headers ...string) *http.Request {
	r := &http.Request{RemoteAddr: remote, Header: http.Header{}}
	for i := 0; i < len(headers); i += 2 {
		r.Header.Add(headers[i], headers[i+1])
	}
	return r
}

func trusted(t *testing.T, list string) Trusted {
	t.Helper()
	got, err := Parse(list)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestWhoseAddressCounts(t *testing.T) {
	t.Parallel()
	const forwarded = "X-Forwarded-For"
	for name, tc := range map[string]struct {
		trusted string
		request *http.Request
		want    string
	}{
		"nobody is trusted":                   {"", request("192.0.2.7:4711", forwarded, "198.51.100.1"), "192.0.2.7"},
		"not from a trusted proxy":            {"10.0.0.0/8", request("192.0.2.7:4711", forwarded, "198.51.100.1"), "192.0.2.7"},
		"from a trusted proxy":                {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "198.51.100.1"), "198.51.100.1"},
		"what the client made up is left":     {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "203.0.113.9, 198.51.100.1"), "198.51.100.1"},
		"a header of the client's own":        {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "203.0.113.9", forwarded, "198.51.100.1"), "198.51.100.1"},
		"two proxies":                         {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "203.0.113.9, 198.51.100.1, 10.9.9.9"), "198.51.100.1"},
		"proxies in two headers":              {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "198.51.100.1", forwarded, "10.9.9.9"), "198.51.100.1"},
		"only proxies":                        {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "10.9.9.9"), "10.9.9.9"},
		"the proxy does not say":              {"10.0.0.0/8", request("10.1.2.3:4711"), "10.1.2.3"},
		"the proxy says nonsense":             {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "198.51.100.1, unknown"), "10.1.2.3"},
		"nonsense further left":               {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "'; drop, 198.51.100.1"), "198.51.100.1"},
		"one address as a proxy":              {"10.1.2.3", request("10.1.2.3:4711", forwarded, "198.51.100.1"), "198.51.100.1"},
		"the address next to it":              {"10.1.2.3", request("10.1.2.4:4711", forwarded, "198.51.100.1"), "10.1.2.4"},
		"a port, as some proxies write it":    {"10.0.0.0/8", request("10.1.2.3:4711", forwarded, "198.51.100.1:52000"), "198.51.100.1"},
		"IPv6":                                {"fd00::/8", request("[fd00::1]:4711", forwarded, "2001:db8::7"), "2001:db8::7"},
		"IPv6 in brackets and with a port":    {"fd00::/8", request("[fd00::1]:4711", forwarded, "[2001:db8::7]:52000"), "2001:db8::7"},
		"IPv6 in brackets":                    {"fd00::/8", request("[fd00::1]:4711", forwarded, "[2001:db8::7]"), "2001:db8::7"},
		"IPv4 on a socket for both":           {"10.0.0.0/8", request("[::ffff:10.1.2.3]:4711", forwarded, "198.51.100.1"), "198.51.100.1"},
		"a zone is not part of the address":   {"fe80::/10", request("[fe80::1%eth0]:4711", forwarded, "198.51.100.1"), "198.51.100.1"},
		"no IP address at all":                {"10.0.0.0/8", request("@", forwarded, "198.51.100.1"), "invalid IP"},
		"everything is a proxy, which is odd": {"0.0.0.0/0", request("192.0.2.7:1", forwarded, "203.0.113.9, 198.51.100.1"), "203.0.113.9"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := trusted(t, tc.trusted).Client(tc.request).String(); got != tc.want {
				t.Errorf("got %s, want %s", got, tc.want)
			}
		})
	}
}

func TestWhetherTheWayIsEncrypted(t *testing.T) {
	t.Parallel()
	const proto = "X-Forwarded-Proto"
	direct := request("192.0.2.7:4711")
	direct.TLS = &tls.ConnectionState{}
	for name, tc := range map[string]struct {
		request *http.Request
		want    bool
	}{
		"TLS":                              {direct, true},
		"no TLS":                           {request("192.0.2.7:4711"), false},
		"a client says so of itself":       {request("192.0.2.7:4711", proto, "https"), false},
		"a trusted proxy says so":          {request("10.1.2.3:4711", proto, "https"), true},
		"in other letters":                 {request("10.1.2.3:4711", proto, "HTTPS"), true},
		"a trusted proxy says otherwise":   {request("10.1.2.3:4711", proto, "http"), false},
		"the client first, then the proxy": {request("10.1.2.3:4711", proto, "https, http"), false},
		"in two headers":                   {request("10.1.2.3:4711", proto, "https", proto, "http"), false},
		"the proxy does not say":           {request("10.1.2.3:4711"), false},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if got := trusted(t, "10.0.0.0/8").Secure(tc.request); got != tc.want {
				t.Errorf("got %v", got)
			}
		})
	}
}

func TestListsOfProxies(t *testing.T) {
	t.Parallel()
	for list, want := range map[string]int{"": 0, " ": 0, "10.0.0.1": 1, "10.0.0.0/8, ::1 ,fd00::/8,": 3} {
		if got, err := Parse(list); err != nil || len(got) != want {
			t.Errorf("%q: got %v, %v", list, got, err)
		}
	}
	for _, list := range []string{"10.0.0.0/33", "proxy.example", "10.0.0.1:80", "10.0.0.1;10.0.0.2", "*", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if got, err := Parse(list); err == nil {
			t.Errorf("%q was taken for %v", list, got)
		}
	}
}
