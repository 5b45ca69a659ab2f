// Package proxies finds out where a request comes from when it passed through proxies on its way.
//
// Guarantee: what a header says is believed only of what a trusted proxy added to it, so a client cannot choose the
// address it is counted by. Nothing is looked up; no method keeps anything.
package proxies

import (
	"fmt"
	"net/http"
	"net/netip"
	"strings"
)

// Trusted are the networks of the proxies whose headers are believed. Empty: none, and the address of a request is
// that of its connection.
type Trusted []netip.Prefix

// Parse reads IP addresses and CIDR networks, separated by commas. The error names the first that is neither.
func Parse(list string) (Trusted, error) {
	var t Trusted
	for entry := range strings.SplitSeq(list, ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		network, err := netip.ParsePrefix(entry)
		if err != nil {
			one, errOne := netip.ParseAddr(entry)
			if errOne != nil || one.Zone() != "" {
				return nil, fmt.Errorf("%q is neither an IP address nor a network", entry)
			}
			one = one.Unmap()
			network = netip.PrefixFrom(one, one.BitLen())
		}
		if network.Addr().Is4In6() {
			return nil, fmt.Errorf("%q is an IPv4 network in IPv6 letters: write it as IPv4", entry)
		}
		t = append(t, network.Masked())
	}
	return t, nil
}

// Include says whether an address is one of the proxies.
func (t Trusted) Include(address netip.Addr) bool {
	for _, network := range t {
		if network.Contains(address) {
			return true
		}
	}
	return false
}

// Client is the address of who asked: that of the connection, or, when that is a trusted proxy, the right-most one in
// X-Forwarded-For that is none. Each proxy adds the address it was called from at the right, so what stands further
// left is the client's own invention. The zero Addr when the connection has no IP address, as over a Unix socket.
func (t Trusted) Client(r *http.Request) netip.Addr {
	client := peer(r)
	if !t.Include(client) {
		return client
	}
	for hop := range hopsFromTheRight(r.Header.Values("X-Forwarded-For")) {
		address, ok := parseHop(hop)
		if !ok {
			return client // the proxy did not say; its own address is the last that is known to be true
		}
		client = address
		if !t.Include(client) {
			return client
		}
	}
	return client
}

// Unknown says whether a request has passed through a proxy that is not one of these, or says so of itself.
func (t Trusted) Unknown(r *http.Request) bool {
	return len(r.Header.Values("X-Forwarded-For")) > 0 && !t.Include(peer(r))
}

// Secure says whether the client's way to the program is encrypted: its connection is, or a trusted proxy says that
// the client's connection to it was (X-Forwarded-Proto: https).
func (t Trusted) Secure(r *http.Request) bool {
	if r.TLS != nil {
		return true
	}
	if !t.Include(peer(r)) {
		return false
	}
	values := r.Header.Values("X-Forwarded-Proto")
	if len(values) == 0 {
		return false
	}
	said := values[len(values)-1]
	said = said[strings.LastIndexByte(said, ',')+1:]
	return strings.EqualFold(strings.TrimSpace(said), "https")
}

func peer(r *http.Request) netip.Addr {
	withPort, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return withPort.Addr().Unmap().WithZone("")
}

// hopsFromTheRight goes through a list that may be spread over several headers, without taking it apart as a whole: a
// client may make it long.
func hopsFromTheRight(values []string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for i := len(values) - 1; i >= 0; i-- {
			rest := values[i]
			for {
				comma := strings.LastIndexByte(rest, ',')
				if !yield(strings.TrimSpace(rest[comma+1:])) {
					return
				}
				if comma < 0 {
					break
				}
				rest = rest[:comma]
			}
		}
	}
}

// parseHop reads an address, with a port where the proxy writes one.
func parseHop(hop string) (netip.Addr, bool) {
	address, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	if err != nil {
		withPort, err := netip.ParseAddrPort(hop)
		if err != nil {
			return netip.Addr{}, false
		}
		address = withPort.Addr()
	}
	return address.Unmap().WithZone(""), true
}
