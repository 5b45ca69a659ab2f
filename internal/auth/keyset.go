package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/MicahParks/keyfunc/v3"
	"github.com/golang-jwt/jwt/v5"
	"golang.org/x/time/rate"
)

const (
	loadTimeout    = 5 * time.Second
	maxKeySetBytes = 1 << 20
)

// keySet is the published keys as last loaded. A failed load keeps what was there: an issuer's outage must not lock
// everybody out. It is the storage behind keyfunc, which matches a token's kid and alg with a key.
//
// The library's own HTTP storage is not used because nothing can join its goroutine, it does not bound what it reads,
// and after a failure it waits for the whole interval.
type keySet struct {
	*jwkset.MemoryJWKSet

	url      string
	client   *http.Client
	log      *slog.Logger
	interval time.Duration
	retry    time.Duration
	limiter  *rate.Limiter
	turn     chan struct{} // holds one token: who has it may load
	loaded   atomic.Bool
}

func newKeySet(cfg Config) *keySet {
	return &keySet{
		MemoryJWKSet: jwkset.NewMemoryStorage(),
		url:          cfg.JWKSURL,
		client:       cfg.HTTPClient,
		log:          cfg.Logger.With("component", "auth"),
		interval:     cfg.RefreshInterval,
		retry:        cfg.RetryInterval,
		limiter:      rate.NewLimiter(rate.Every(cfg.UnknownKeyInterval), 1),
		turn:         make(chan struct{}, 1),
	}
}

func (k *keySet) keyfunc(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		if !k.loaded.Load() && !k.reload(ctx, k.loaded.Load) {
			return nil, ErrUnavailable
		}
		found, err := keyfunc.New(keyfunc.Options{Ctx: ctx, Storage: k})
		if err != nil {
			return nil, err
		}
		return found.KeyfuncCtx(ctx)(token)
	}
}

// KeyRead asks the issuer when a key is unknown: it may have changed its keys since the last load.
func (k *keySet) KeyRead(ctx context.Context, kid string) (jwkset.JWK, error) {
	key, err := k.MemoryJWKSet.KeyRead(ctx, kid)
	if !errors.Is(err, jwkset.ErrKeyNotFound) {
		return key, err
	}
	known := func() bool {
		key, err = k.MemoryJWKSet.KeyRead(ctx, kid)
		return err == nil
	}
	k.reload(ctx, known)
	return key, err
}

// reload loads the set for a token that needs it, as far as the limiter allows, and answers what done says at the end.
// Tokens that come meanwhile wait for the same load.
func (k *keySet) reload(ctx context.Context, done func() bool) bool {
	select {
	case k.turn <- struct{}{}:
		defer func() { <-k.turn }()
	case <-ctx.Done():
		return done()
	}
	if done() || !k.limiter.Allow() {
		return done()
	}
	// Not the caller's context: a client that leaves must not have used up the one load allowed for the others.
	if err := k.load(context.WithoutCancel(ctx)); err != nil {
		k.log.WarnContext(ctx, "the key set could not be loaded for a token with an unknown key", "url", k.url, "error", err)
	}
	return done()
}

func (k *keySet) loadFirst(ctx context.Context) {
	if err := k.load(ctx); err != nil {
		k.log.ErrorContext(ctx, "the key set could not be loaded; tokens signed with its keys are refused until it is",
			"url", k.url, "error", err, "retry", k.retry)
	}
}

// run loads the set at its interval, and sooner after a failure, until ctx ends.
func (k *keySet) run(ctx context.Context) {
	wait := k.interval
	if !k.loaded.Load() {
		wait = k.retry
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	failed := !k.loaded.Load()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		err := k.load(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			k.log.ErrorContext(ctx, "the key set could not be loaded; what was known before stays in use", "url", k.url, "error", err, "retry", k.retry)
			wait = k.retry
		default:
			if failed {
				k.log.InfoContext(ctx, "the key set is loaded", "url", k.url)
			}
			wait = k.interval
		}
		failed = err != nil
		timer.Reset(wait)
	}
}

func (k *keySet) load(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, loadTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, k.url, http.NoBody)
	if err != nil {
		return err
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	resp, err := k.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("the issuer answered %s", resp.Status)
	}
	var set jwkset.JWKSMarshal
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxKeySetBytes)).Decode(&set); err != nil {
		return fmt.Errorf("read the key set: %w", err)
	}
	var keys []jwkset.JWK
	for _, m := range set.Keys {
		key, err := usable(m)
		if err != nil {
			k.log.WarnContext(ctx, "a key of the key set is left out", "kid", m.KID, "error", err)
			continue
		}
		keys = append(keys, key)
	}
	if len(keys) == 0 {
		return errors.New("the key set holds no RSA, P-256 or Ed25519 key for signatures")
	}
	if err := k.KeyReplaceAll(ctx, keys); err != nil {
		return err
	}
	k.loaded.Store(true)
	return nil
}

// usable takes the keys that an accepted algorithm can use. A symmetric key in a published set is the classic trap and
// is left out like every other kind.
func usable(m jwkset.JWKMarshal) (jwkset.JWK, error) {
	if m.USE != "" && m.USE != jwkset.UseSig {
		return jwkset.JWK{}, fmt.Errorf("its use is %q", m.USE)
	}
	// Without Private only public parts are taken, also from an issuer that publishes too much.
	key, err := jwkset.NewJWKFromMarshal(m, jwkset.JWKMarshalOptions{}, jwkset.JWKValidateOptions{})
	if err != nil {
		return jwkset.JWK{}, err
	}
	switch pub := key.Key().(type) {
	case *rsa.PublicKey:
		if pub.N.BitLen() < 2048 {
			return jwkset.JWK{}, errors.New("an RSA key of less than 2048 bits")
		}
	case *ecdsa.PublicKey:
		if pub.Curve != elliptic.P256() {
			return jwkset.JWK{}, errors.New("an elliptic curve other than P-256")
		}
	case ed25519.PublicKey:
	default:
		return jwkset.JWK{}, fmt.Errorf("a %s key", m.KTY)
	}
	return key, nil
}
