package rest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/gate"
	"github.com/orderlog/orderlog/internal/proxies"
)

// call is what is known of a request before its operation runs.
type call struct {
	id         uuid.UUID // X-Request-Id, the correlation id of what it causes
	method     string
	remoteAddr string          // the client's, without a port; see proxies.Trusted.Client
	secure     bool            // the client's way to here is encrypted
	identity   *auth.Identity  // nil: no token was sent
	left       <-chan struct{} // closed when the client leaves, and not when the request's time is over

	place   gate.Place // while it is worked on
	refused int        // the status of a refusal that was written under another; 0: none was

	// Of requests that may change something:
	key         string // Idempotency-Key; empty: none
	fingerprint []byte // SHA-256 over what is asked
	body        []byte // as it came
	held        int64  // bytes of it in memory
	form        error  // what is wrong with the body's form; told only to who may ask for what it asks
}

type callKey struct{}

func callOf(ctx context.Context) *call {
	c, _ := ctx.Value(callKey{}).(*call)
	return c
}

// user is the caller of an operation that is not public.
func (c *call) user() auth.Identity { return *c.identity }

func newCall(r *http.Request, trusted proxies.Trusted) *call {
	c := &call{method: r.Method, remoteAddr: r.RemoteAddr, secure: trusted.Secure(r), left: r.Context().Done()}
	if client := trusted.Client(r); client.IsValid() {
		c.remoteAddr = client.String()
	}
	// Only the plain form of a UUID: a client's id goes into the log of events and the program's own log.
	if given := r.Header.Get("X-Request-Id"); len(given) == 36 {
		if id, err := uuid.Parse(given); err == nil {
			c.id = id
			return c
		}
	}
	c.id = uuid.Must(uuid.NewV7())
	return c
}

// authenticate finds out who calls. Without a token nobody does, which public operations allow; a token that is no
// good is refused by every operation, so that a client does not take a stranger's answer for its own.
func (s *server) authenticate(ctx context.Context, header http.Header) (*auth.Identity, error) {
	values := header.Values("Authorization")
	if len(values) == 0 {
		return nil, nil //nolint:nilnil // nobody is no error here
	}
	raw, ok := auth.Bearer(values[0])
	if !ok || len(values) > 1 {
		return nil, unauthenticated(domain.CodeUnauthenticated, "send one header Authorization: Bearer TOKEN")
	}
	id, err := s.cfg.Verifier.Verify(ctx, raw)
	if err != nil {
		return nil, err
	}
	return &id, nil
}

const (
	maxBodyBytes    = 64 << 10
	bodyReadTimeout = 10 * time.Second
)

// readBody takes the body in, so that its bytes can be fingerprinted as they came, and hands it on to be decoded.
func (s *server) readBody(w http.ResponseWriter, r *http.Request, c *call) error {
	if err := c.readKey(r.Header); err != nil {
		return err
	}
	control := http.NewResponseController(w)
	_ = control.SetReadDeadline(time.Now().Add(bodyReadTimeout)) // not every writer has one
	body, err := io.ReadAll(metered{http.MaxBytesReader(w, r.Body, maxBodyBytes), s, c})
	if err == nil {
		// Left in place it would cancel a request that waits for its answer. After an error it stays: the server
		// still reads some of what it was not given, and a slow client must not hold it.
		_ = control.SetReadDeadline(time.Time{})
	}
	if errors.Is(err, errBodies) {
		return overloaded().set("Connection", "close")
	}
	if tooLarge := (*http.MaxBytesError)(nil); errors.As(err, &tooLarge) {
		return problem(domain.CodeMessageTooLarge, fmt.Sprintf("the body is larger than %d bytes", maxBodyBytes)).set("Connection", "close")
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return problem(domain.CodeInvalidRequest, fmt.Sprintf("the body took more than %s: send it faster", bodyReadTimeout)).set("Connection", "close")
	}
	if err != nil {
		return problem(domain.CodeInvalidRequest, "the body could not be read to its end").set("Connection", "close")
	}
	c.body, c.form = body, checkForm(r.Header, body)
	hash := sha256.New()
	_, _ = fmt.Fprintf(hash, "%s %s\n", r.Method, r.URL.EscapedPath())
	_, _ = hash.Write(body)
	c.fingerprint = hash.Sum(nil)
	r.Body = io.NopCloser(bytes.NewReader(body))
	return nil
}

func (c *call) readKey(header http.Header) error {
	const name = "Idempotency-Key"
	values := header.Values(name)
	if len(values) == 0 {
		return nil
	}
	key := values[0]
	invisible := func(r rune) bool { return r < '!' || r > '~' }
	if len(values) > 1 || len(key) < 1 || len(key) > 255 || strings.ContainsFunc(key, invisible) {
		const must = "must be one value of 1 to 255 visible ASCII characters"
		return problem(domain.CodeInvalidRequest, name+" "+must).at("header."+name, must)
	}
	c.key = key
	return nil
}
