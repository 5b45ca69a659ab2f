package crowd

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/faults/history"
	"github.com/orderlog/orderlog/internal/auth"
)

const (
	askTimeout    = 5 * time.Second
	maxAnswer     = 4 << 20 // bytes
	tokenLifetime = 100 * time.Hour
)

// user is somebody with a token.
type user struct {
	id   string
	name string
	role domain.Role

	mu    sync.Mutex
	token string
}

// bearer is the user's token, made once: the clocks of the nodes go wrong by less than it holds.
func (u *user) bearer(sign func(auth.Identity) (string, error)) string {
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.token == "" {
		token, err := sign(auth.Identity{UserID: u.id, Role: u.role, Name: u.name, ExpiresAt: time.Now().Add(tokenLifetime)})
		if err != nil {
			panic(fmt.Sprintf("crowd: the token of %s cannot be made: %v", u.id, err))
		}
		u.token = token
	}
	return u.token
}

// api asks the nodes over REST.
type api struct {
	urls   []string
	sign   func(auth.Identity) (string, error)
	secret []byte // of the webhook
	client *http.Client
}

func newAPI(cfg Config) *api {
	return &api{urls: cfg.URLs, sign: cfg.Sign, secret: cfg.WebhookSecret, client: newClient()}
}

// ask is one request. Without a user it is the payment provider's, and signed as such.
type ask struct {
	method, path string
	user         *user
	body         []byte
	id, key      string // X-Request-Id and Idempotency-Key; empty: none
}

// answer is what came of a request. Status 0: nothing.
type answer struct {
	status   int
	code     string // of a problem
	seq      int64
	replayed bool
	body     []byte
}

// do asks one node once.
func (a *api) do(ctx context.Context, node int, q ask) answer {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.method, a.urls[node]+"/api/v1"+q.path, bytes.NewReader(q.body))
	if err != nil {
		panic(fmt.Sprintf("crowd: %v", err))
	}
	// A request that is sent again by the transport would be an attempt that nobody wrote down.
	r.GetBody = nil
	if q.user != nil {
		r.Header.Set("Authorization", "Bearer "+q.user.bearer(a.sign))
	} else {
		r.Header.Set("X-Signature", a.signature(q.body))
	}
	if len(q.body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.id != "" {
		r.Header.Set("X-Request-Id", q.id)
	}
	if q.key != "" {
		// The transport takes this name for leave to send a request again by itself; only spelled otherwise it does not.
		r.Header["idempotency-key"] = []string{q.key}
	}
	response, err := a.client.Do(r)
	if err != nil {
		return answer{}
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxAnswer))
	if err != nil { // half an answer is none
		return answer{}
	}
	return read(response, body)
}

func read(response *http.Response, body []byte) answer {
	out := answer{status: response.StatusCode, body: body, replayed: response.Header.Get("Idempotent-Replayed") == "true"}
	out.seq, _ = strconv.ParseInt(response.Header.Get("X-Seq"), 10, 64)
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind == "application/problem+json" {
		var problem struct {
			Code string `json:"code"`
		}
		_ = json.Unmarshal(body, &problem) // without a code it is no problem that anybody promised
		out.code = problem.Code
	}
	return out
}

func (a *api) signature(body []byte) string {
	mac := hmac.New(sha256.New, a.secret)
	mac.Write(body)
	return "sha256=" + hex.EncodeToString(mac.Sum(nil))
}

// outcome is what a client knows when it was answered so.
func (a answer) outcome() history.Outcome {
	switch {
	case a.status/100 == 2:
		return history.Acknowledged
	case a.code == "", a.code == string(domain.CodeOutcomeUnknown), a.code == string(domain.CodeInternal):
		return history.Unknown
	}
	return history.Refused
}

// passing says that a refusal is of the moment, or of one node: the same may be done when another is asked. A node whose
// clock was put back takes a token for one of the future.
func (a answer) passing() bool {
	switch domain.Code(a.code) {
	case domain.CodeUnavailable, domain.CodeOverloaded, domain.CodeRateLimited, domain.CodeProviderUnavailable, domain.CodeUnauthenticated:
		return true
	}
	return false
}
