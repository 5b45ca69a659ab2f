package simulation

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
)

const (
	// patience is how long one request is tried again while the server is busy or away. A server that is restarted
	// meanwhile is not noticed by the users.
	patience       = 45 * time.Second
	requestTimeout = 15 * time.Second
	// maxRequests bounds the requests under way; more wait.
	maxRequests = 64

	prefix = "/api/v1"
)

// api calls the server's REST API as its users. It is safe for concurrent use.
type api struct {
	base    string // http://HOST:PORT
	http    *http.Client
	retried atomic.Int64
	newest  atomic.Int64 // the highest X-Seq of a command
}

func newAPI(base string) *api {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxConnsPerHost, transport.MaxIdleConnsPerHost, transport.MaxIdleConns = maxRequests, maxRequests, maxRequests
	return &api{base: base, http: &http.Client{Transport: transport, Timeout: requestTimeout}}
}

func (a *api) close() { a.http.CloseIdleConnections() }

// request is one thing to ask for. as, body and into may be nil.
type request struct {
	as           *user
	method, path string
	body, into   any
	header       http.Header
}

// refusal is an answer that is no success, and not to be tried again.
type refusal struct {
	method, path string
	status       int

	Code       string `json:"code"`
	Detail     string `json:"detail"`
	Rule       string `json:"rule"`
	Refundable *int64 `json:"refundable"`
}

func (r *refusal) Error() string {
	return fmt.Sprintf("%s %s was answered %d %s: %s", r.method, r.path, r.status, r.Code, r.Detail)
}

// refused returns the refusal that err is, if it has one of the codes.
func refused(err error, codes ...string) (*refusal, bool) {
	var r *refusal
	if !errors.As(err, &r) || !slices.Contains(codes, r.Code) {
		return nil, false
	}
	return r, true
}

// errGone says that the server did not answer for too long.
var errGone = errors.New("the server is gone")

// do asks, and asks again while the server is busy or away: with the same Idempotency-Key, so that nothing is done
// twice. It returns the answer's X-Seq.
func (a *api) do(ctx context.Context, r request) (seq int64, err error) {
	var body []byte
	if r.body != nil {
		if body, err = json.Marshal(r.body); err != nil {
			return 0, err
		}
	}
	header := r.header.Clone()
	if header == nil {
		header = http.Header{}
	}
	if r.as != nil && (r.method == http.MethodPost || r.method == http.MethodPatch) {
		header.Set("Idempotency-Key", uuid.NewString())
	}
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	until := time.Now().Add(patience)
	for attempt := 0; ; attempt++ {
		// A request that was begun is ended, so that the simulation always knows what it has done.
		wait, seq, err := a.try(context.WithoutCancel(ctx), r, header, body)
		if err == nil || wait < 0 {
			return seq, err
		}
		wait = max(wait, min(50*time.Millisecond<<min(attempt, 5), time.Second))
		wait += rand.N(wait/2 + 1)
		if time.Now().Add(wait).After(until) {
			var said *refusal
			if errors.As(err, &said) {
				return 0, err
			}
			return 0, fmt.Errorf("%w: %w", errGone, err)
		}
		a.retried.Add(1)
		if !pause(ctx, wait) {
			return 0, ctx.Err()
		}
	}
}

// try asks once. wait is how long to wait before it is asked again, negative for never.
func (a *api) try(ctx context.Context, r request, header http.Header, body []byte) (wait time.Duration, seq int64, err error) {
	req, err := http.NewRequestWithContext(ctx, r.method, a.base+prefix+r.path, bytes.NewReader(body))
	if err != nil {
		return -1, 0, err
	}
	req.Header = header
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.as != nil {
		token, err := r.as.bearer()
		if err != nil {
			return -1, 0, err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := a.http.Do(req)
	if err != nil {
		return 0, 0, err
	}
	defer func() { _ = response.Body.Close() }()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		return 0, 0, err
	}
	if response.StatusCode/100 != 2 {
		said := &refusal{method: r.method, path: r.path, status: response.StatusCode}
		if json.Unmarshal(text, said) != nil || said.Code == "" {
			said.Detail = strings.TrimSpace(string(text[:min(len(text), 200)]))
		}
		return retryAfter(said, response.Header.Get("Retry-After")), 0, said
	}
	seq, _ = strconv.ParseInt(response.Header.Get("X-Seq"), 10, 64)
	if r.method != http.MethodGet {
		a.sawCommand(seq)
	}
	if r.into != nil {
		if err := json.Unmarshal(text, r.into); err != nil {
			return -1, 0, fmt.Errorf("%s %s was answered with what cannot be read: %w", r.method, r.path, err)
		}
	}
	return 0, seq, nil
}

// retryAfter says whether a refusal may be another answer a moment later, and when.
func retryAfter(r *refusal, header string) time.Duration {
	switch {
	case slices.Contains([]int{http.StatusTooManyRequests, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout}, r.status):
	case r.Code == "version_conflict":
	default:
		return -1
	}
	if seconds, err := strconv.Atoi(header); err == nil && seconds >= 0 {
		return time.Duration(seconds) * time.Second
	}
	if at, err := http.ParseTime(header); err == nil {
		return max(0, time.Until(at))
	}
	return 0
}

func (a *api) sawCommand(seq int64) {
	for {
		old := a.newest.Load()
		if seq <= old || a.newest.CompareAndSwap(old, seq) {
			return
		}
	}
}

func (a *api) get(ctx context.Context, as *user, path string, into any) (int64, error) {
	return a.do(ctx, request{as: as, method: http.MethodGet, path: path, into: into})
}

// current gets what a read model says when it has come to all commands that were answered so far.
func (a *api) current(ctx context.Context, as *user, path string, into any) error {
	_, err := a.do(ctx, request{
		as: as, method: http.MethodGet, path: path, into: into,
		header: http.Header{"X-Min-Seq": {strconv.FormatInt(a.newest.Load(), 10)}},
	})
	return err
}

func (a *api) post(ctx context.Context, as *user, path string, body, into any) (int64, error) {
	return a.do(ctx, request{as: as, method: http.MethodPost, path: path, body: body, into: into})
}

func (a *api) patch(ctx context.Context, as *user, path string, body, into any) (int64, error) {
	return a.do(ctx, request{as: as, method: http.MethodPatch, path: path, body: body, into: into})
}

func (a *api) delete(ctx context.Context, as *user, path string) (int64, error) {
	return a.do(ctx, request{as: as, method: http.MethodDelete, path: path})
}

// pause waits, and says whether ctx has not ended meanwhile.
func pause(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
