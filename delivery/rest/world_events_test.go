package rest

import (
	"context"
	"net/http"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// Serve is a stream of one event that ends at once, for who has a token or the ticket "good".
func (w *world) Serve(out http.ResponseWriter, r *http.Request, user *auth.Identity, remoteAddr string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.listeners = append(w.listeners, listener{user, remoteAddr})
	if w.fail != nil {
		return w.fail
	}
	if user == nil && r.URL.Query().Get("ticket") != "good" {
		return domain.Errorf(domain.CodeUnauthenticated, "a token is needed")
	}
	if stream := w.stream; stream != nil {
		return stream(out, r)
	}
	out.Header().Set("Content-Type", "text/event-stream")
	_, _ = out.Write([]byte("id: 42\nevent: registered\ndata: {}\n\n"))
	return nil
}

// listener is whom a stream was served to.
type listener struct {
	user       *auth.Identity
	remoteAddr string
}

func (w *world) Issue(_ context.Context, user auth.Identity) (string, time.Time, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return "ticket-of-" + user.UserID, someTime, w.fail
}
