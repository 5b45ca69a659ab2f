package main

import (
	"log/slog"
	"net/http"
	"sync"

	"github.com/orderlog/orderlog/internal/proxies"
)

// warnOfProxies says once that requests come through a proxy that was not named. Nothing else would tell: all works, until
// all clients together reach what one address is allowed.
func warnOfProxies(next http.Handler, trusted proxies.Trusted, log *slog.Logger) http.Handler {
	var once sync.Once
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if trusted.Unknown(r) {
			once.Do(func() {
				log.Warn("a request has X-Forwarded-For and is not of a proxy in TRUSTED_PROXIES: if it came through yours, "+
					"name it there, or all its clients share what one address is allowed; else a client made it up, and nothing is wrong",
					"from", r.RemoteAddr)
			})
		}
		next.ServeHTTP(w, r)
	})
}
