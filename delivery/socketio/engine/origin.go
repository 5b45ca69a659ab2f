package engine

import "net/http"

// admit judges the request's Origin and lets the pages of one that is allowed read the answer. It answers the origin,
// and whether it may come in.
func (s *Server) admit(w http.ResponseWriter, r *http.Request) (origin string, ok bool) {
	header := w.Header()
	header.Add("Vary", "Origin")
	origins := r.Header.Values("Origin")
	switch {
	case len(origins) == 0 || len(origins) == 1 && origins[0] == "":
		return "", true // no page of another origin
	case len(origins) > 1 || !s.cfg.AllowOrigin(r):
		return "", false
	}
	header.Set("Access-Control-Allow-Origin", origins[0])
	header.Set("Access-Control-Allow-Credentials", "true")
	return origins[0], true
}

// preflight answers a browser that asks before it sends.
func preflight(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("Access-Control-Allow-Methods", "GET, POST")
	header.Add("Vary", "Access-Control-Request-Headers")
	if asked := r.Header.Get("Access-Control-Request-Headers"); asked != "" {
		header.Set("Access-Control-Allow-Headers", asked)
	}
	header.Set("Access-Control-Max-Age", "600")
	w.WriteHeader(http.StatusNoContent)
}

// sameOrigin says whether a request with this Origin may use the session, so that a page which came to know the id of
// another's session can do nothing with it. Browsers name no Origin when a page polls its own server but do when it
// posts there, so of a session that was opened without one the first that is named counts.
func (s *Session) sameOrigin(origin string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case origin == s.origin:
		return true
	case s.opener != "":
		return false
	case s.origin == "":
		s.origin = origin
		return true
	}
	return origin == ""
}
