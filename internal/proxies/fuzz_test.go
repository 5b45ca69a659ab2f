package proxies

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

// Whatever a client writes into its headers, it is counted by an address that a trusted proxy saw, as a simple reading of
// the whole list finds it.
func FuzzAClientIsWhoTheLastTrustedProxySaw(f *testing.F) {
	f.Add("10.0.0.1:4711", "203.0.113.9, 198.51.100.7", "10.1.2.3")
	f.Add("192.0.2.1:1", "203.0.113.9", "")
	f.Add("[::ffff:10.0.0.1]:1", "[2001:db8::1]:443", "10.0.0.2:80, ")
	f.Add("[fd00::1%eth0]:1", "fe80::1%eth0", "unknown")
	f.Add("", "a", "b")
	f.Add("10.0.0.1:1", "10.0.0.2,10.0.0.3", "10.0.0.4")
	trusted, err := Parse("10.0.0.0/8, fd00::/8")
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, connection, first, second string) {
		r := &http.Request{RemoteAddr: connection, Header: http.Header{"X-Forwarded-For": {first, second}}}
		got := trusted.Client(r)
		want := peer(r)
		hops := strings.Split(first+","+second, ",")
		for i := len(hops) - 1; i >= 0 && trusted.Include(want); i-- {
			hop, ok := parseHop(strings.TrimSpace(hops[i]))
			if !ok {
				break
			}
			want = hop
		}
		if got != want {
			t.Fatalf("%q with %q and %q is %s, want %s", connection, first, second, got, want)
		}
		if got.Zone() != "" || got.Is4In6() {
			t.Fatalf("%s is one of several ways to write an address", got)
		}
		if !trusted.Include(peer(r)) && got != peer(r) {
			t.Fatalf("%q, whom nobody trusts, is believed to be %s", connection, got)
		}
	})
}

// Whatever is taken for proxies is the same networks when they are written down and read again.
func FuzzProxiesAreReadAsTheyAreWritten(f *testing.F) {
	for _, list := range []string{"", "10.0.0.0/8", "10.1.2.3/8,fd00::1 , ::ffff:192.0.2.1", "::ffff:10.0.0.0/104", "fe80::1%eth0", "0.0.0.0/0", "1.2.3.4/33", "x,", "10.0.0.1/08"} {
		f.Add(list)
	}
	f.Fuzz(func(t *testing.T, list string) {
		trusted, err := Parse(list)
		if err != nil {
			return
		}
		var written []string
		for _, network := range trusted {
			if !network.IsValid() || network != network.Masked() || network.Addr().Is4In6() {
				t.Fatalf("%q names %s", list, network)
			}
			if first := network.Addr(); !trusted.Include(first) || first != netip.MustParseAddr(first.String()) {
				t.Fatalf("%q does not trust %s", list, first)
			}
			written = append(written, network.String())
		}
		again, err := Parse(strings.Join(written, ","))
		if err != nil || len(again) != len(trusted) {
			t.Fatalf("%q is %v, then %v: %v", list, trusted, again, err)
		}
		for i := range again {
			if again[i] != trusted[i] {
				t.Fatalf("%q is %v, then %v", list, trusted, again)
			}
		}
	})
}
