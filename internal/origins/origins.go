// Package origins judges which pages may connect from a browser.
package origins

import (
	"net"
	"net/http"
	"net/url"
	"strings"
)

// Allowed are origins, such as "https://shop.example"; "*" is every one.
type Allowed []string

// Admit says whether a request may come in by its Origin header (RFC 6454). One without the header comes from no page. One
// that names the host that it was sent to comes from the server's own pages, or from an app: React Native names that on
// every WebSocket.
//
// Nothing here tells who somebody is: no cookie is looked at anywhere, so a page can do nothing by whoever visits it.
func (a Allowed) Admit(r *http.Request) bool {
	headers := r.Header.Values("Origin")
	if len(headers) == 0 || (len(headers) == 1 && headers[0] == "") {
		return true
	}
	if len(headers) > 1 {
		return false
	}
	for _, one := range a {
		if one == "*" || strings.EqualFold(strings.TrimSuffix(one, "/"), headers[0]) {
			return true
		}
	}
	return sameHost(headers[0], r.Host)
}

// sameHost says whether an origin is of a host, as a request names it. The scheme is not compared: behind a proxy that
// encrypts, the request does not tell it.
func sameHost(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") || u.User != nil || u.Path != "" || u.RawQuery != "" || u.Fragment != "" {
		return false
	}
	return strings.EqualFold(withoutPort(u.Host), withoutPort(host))
}

// withoutPort leaves a port out that is a scheme's own, since some name it and some do not.
func withoutPort(host string) string {
	name, port, err := net.SplitHostPort(host)
	if err != nil || (port != "80" && port != "443") {
		return host
	}
	if strings.Contains(name, ":") {
		return "[" + name + "]"
	}
	return name
}
