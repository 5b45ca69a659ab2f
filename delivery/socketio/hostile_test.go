package socketio

import (
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/proxies"
	"github.com/orderlog/orderlog/internal/quota"
)

// handshakes opens polling connections until one is refused, and returns their ids. They show no token.
func (n *node) handshakes(from func(i int) string) (sids []string) {
	n.Helper()
	for {
		req, err := http.NewRequestWithContext(n.Context(), http.MethodGet, n.url+"/socket.io/?EIO=4&transport=polling", nil)
		must(n.T, err)
		req.Header.Set("X-Forwarded-For", from(len(sids)))
		resp, err := http.DefaultClient.Do(req)
		must(n.T, err)
		body, err := io.ReadAll(resp.Body)
		must(n.T, err)
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusServiceUnavailable && resp.Header.Get("Retry-After") != "" {
			return sids
		}
		_, rest, found := strings.Cut(string(body), `"sid":"`)
		if !found || len(sids) > 100 {
			n.Fatalf("handshake %d is answered %d %s", len(sids), resp.StatusCode, body)
		}
		sids = append(sids, rest[:strings.IndexByte(rest, '"')])
	}
}

func (n *node) post(sid, body string) {
	n.Helper()
	req, err := http.NewRequestWithContext(n.Context(), http.MethodPost, n.url+"/socket.io/?EIO=4&transport=polling&sid="+sid, strings.NewReader(body))
	must(n.T, err)
	resp, err := http.DefaultClient.Do(req)
	must(n.T, err)
	_ = resp.Body.Close()
}

// Whoever shows no token is one of so many at an address, and of fewer before it is let in anywhere.
func TestOneAddressHasSoManyConnectionsWithoutAToken(t *testing.T) {
	t.Parallel()
	for name, one := range map[string]func(i int) string{
		"one address":         func(int) string { return "192.0.2.7" },
		"one network of IPv6": func(i int) string { return fmt.Sprintf("2001:db8::%x", i+1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			n := newWorld().node(t, options{handler: func(c *Config) {
				c.MaxUnknownAddress, c.MaxAnonymousAddress = 5, 2
				c.TrustedProxies = proxies.Trusted{netip.MustParsePrefix("127.0.0.0/8")}
			}})
			sids := n.handshakes(one)
			if len(sids) != 5 {
				t.Fatalf("there are %d", len(sids))
			}
			for _, sid := range sids[:3] { // into / without a token, where two may be
				n.post(sid, "40")
			}
			parttest.Eventually(t, "they are let in", func() bool { return n.handler.Stats().Anew == 3 })
			more := n.handshakes(one)
			if len(more) != 2 {
				t.Fatalf("there are %d more", len(more))
			}
			if got := n.handshakes(func(int) string { return "198.51.100.1" }); len(got) != 5 {
				t.Errorf("another address has %d", len(got))
			}
			n.post(more[0], fmt.Sprintf(`40{"token":%q}`, tokenOf("asha", domain.RoleCustomer)))
			n.post(more[1], "1") // it goes
			parttest.Eventually(t, "two places are free", func() bool {
				if !n.handler.unknown.Take(quota.Address(one(0))) {
					return false
				}
				n.handler.unknown.Give(quota.Address(one(0)))
				return true
			})
		})
	}
}
