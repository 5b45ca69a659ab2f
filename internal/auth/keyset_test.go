package auth

import (
	"bytes"
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

var (
	rsaKey   = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	otherRSA = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 2048)) })
	weakRSA  = sync.OnceValue(func() *rsa.PrivateKey { return must(rsa.GenerateKey(rand.Reader, 1024)) })
	ecKey    = sync.OnceValue(func() *ecdsa.PrivateKey { return must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader)) })
	edKey    = sync.OnceValue(func() ed25519.PrivateKey {
		_, key, err := ed25519.GenerateKey(rand.Reader)
		return must(key, err)
	})
)

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func publicPEM(t *testing.T) []byte {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(rsaKey().Public())
	if err != nil {
		t.Fatal(err)
	}
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der})
}

// issuer publishes a key set that a test can change or switch off.
type issuer struct {
	*httptest.Server
	mu    sync.Mutex
	keys  map[string]any // kid → public key, or []byte for a symmetric one
	down  bool
	loads atomic.Int64
}

func newIssuer(t *testing.T, keys map[string]any) *issuer {
	t.Helper()
	i := &issuer{keys: keys}
	i.Server = httptest.NewServer(http.HandlerFunc(i.serve))
	t.Cleanup(i.Close)
	return i
}

func (i *issuer) publish(keys map[string]any) {
	i.mu.Lock()
	defer i.mu.Unlock()
	i.keys, i.down = keys, keys == nil
}

func (i *issuer) serve(w http.ResponseWriter, _ *http.Request) {
	i.loads.Add(1)
	i.mu.Lock()
	defer i.mu.Unlock()
	if i.down {
		http.Error(w, "down", http.StatusServiceUnavailable)
		return
	}
	var set jwkset.JWKSMarshal
	for kid, key := range i.keys {
		options := jwkset.JWKOptions{Metadata: jwkset.JWKMetadataOptions{KID: kid}, Marshal: jwkset.JWKMarshalOptions{Private: true}}
		switch kid {
		case "encryption":
			options.Metadata.USE = jwkset.UseEnc
		case "rs512":
			options.Metadata.ALG = jwkset.AlgRS512
		}
		set.Keys = append(set.Keys, must(jwkset.NewJWKFromKey(key, options)).Marshal())
	}
	_ = json.NewEncoder(w).Encode(set)
}

func (i *issuer) verifier(t *testing.T, cfg Config) *Verifier {
	t.Helper()
	cfg.JWKSURL, cfg.HTTPClient, cfg.Logger = i.URL, i.Client(), slog.New(slog.DiscardHandler)
	return verifier(t, cfg)
}

func publicOf(key crypto.Signer) any { return key.Public() }

func TestPublishedKeys(t *testing.T) {
	t.Parallel()
	keys := map[string]any{
		"rsa": publicOf(rsaKey()), "ec": publicOf(ecKey()), "ed": publicOf(edKey()),
		"weak": publicOf(weakRSA()), "encryption": publicOf(otherRSA()), "rs512": publicOf(rsaKey()), "shared": secret,
	}
	v := newIssuer(t, keys).verifier(t, Config{})
	modulus := rsaKey().N.Bytes()
	for name, tc := range map[string]struct {
		raw  string
		want error
	}{
		"RS256":                            {signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "rsa"), nil},
		"ES256":                            {signed(t, jwt.SigningMethodES256, ecKey(), good(), "kid", "ec"), nil},
		"EdDSA":                            {signed(t, jwt.SigningMethodEdDSA, edKey(), good(), "kid", "ed"), nil},
		"RS256 that names no key":          {signed(t, jwt.SigningMethodRS256, rsaKey(), good()), nil},
		"expired":                          {signed(t, jwt.SigningMethodES256, ecKey(), with("exp", now.Unix()), "kid", "ec"), ErrTokenExpired},
		"RS512":                            {signed(t, jwt.SigningMethodRS512, rsaKey(), good(), "kid", "rsa"), ErrUnauthenticated},
		"PS256":                            {signed(t, jwt.SigningMethodPS256, rsaKey(), good(), "kid", "rsa"), ErrUnauthenticated},
		"RS256 with a key kept for RS512":  {signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "rs512"), ErrUnauthenticated},
		"RS256 that names the ES256 key":   {signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "ec"), ErrUnauthenticated},
		"another RSA key":                  {signed(t, jwt.SigningMethodRS256, otherRSA(), good(), "kid", "rsa"), ErrUnauthenticated},
		"an RSA key of 1024 bits":          {signed(t, jwt.SigningMethodRS256, weakRSA(), good(), "kid", "weak"), ErrUnauthenticated},
		"a key for encryption":             {signed(t, jwt.SigningMethodRS256, otherRSA(), good(), "kid", "encryption"), ErrUnauthenticated},
		"HS256 with a published secret":    {signed(t, jwt.SigningMethodHS256, secret, good(), "kid", "shared"), ErrUnauthenticated},
		"HS256 with the RSA key's PEM":     {signed(t, jwt.SigningMethodHS256, publicPEM(t), good(), "kid", "rsa"), ErrUnauthenticated},
		"HS256 with the RSA key's modulus": {signed(t, jwt.SigningMethodHS256, modulus, good(), "kid", "rsa"), ErrUnauthenticated},
		"alg none":                         {signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good(), "kid", "rsa"), ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), tc.raw)
			expect(t, err, tc.want)
		})
	}
}

func TestASecretAndAKeySetStayApart(t *testing.T) {
	t.Parallel()
	v := newIssuer(t, map[string]any{"rsa": publicOf(rsaKey())}).verifier(t, Config{Secret: secret})
	for name, tc := range map[string]struct {
		raw  string
		want error
	}{
		"HS256 with the secret":                 {signed(t, jwt.SigningMethodHS256, secret, good()), nil},
		"RS256 with the published key":          {signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "rsa"), nil},
		"HS256 with the public key as a secret": {signed(t, jwt.SigningMethodHS256, publicPEM(t), good(), "kid", "rsa"), ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := v.Verify(t.Context(), tc.raw)
			expect(t, err, tc.want)
		})
	}
}

func TestPublishedKeysAreNotTakenWithoutAURL(t *testing.T) {
	t.Parallel()
	_, err := verifier(t, Config{Secret: secret}).Verify(t.Context(), signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "rsa"))
	expect(t, err, ErrUnauthenticated)
}

func TestANewKeyIsLoadedWhenATokenNamesIt(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, map[string]any{"old": publicOf(rsaKey())})
	v := is.verifier(t, Config{})
	is.publish(map[string]any{"new": publicOf(otherRSA())})

	rotated := signed(t, jwt.SigningMethodRS256, otherRSA(), good(), "kid", "new")
	var group sync.WaitGroup
	for range 8 {
		group.Go(func() {
			if _, err := v.Verify(t.Context(), rotated); err != nil {
				t.Errorf("the new key's token is refused: %v", err)
			}
		})
	}
	group.Wait()
	if got := is.loads.Load(); got != 2 {
		t.Errorf("%d loads, want the first and one more for all eight tokens", got)
	}
	_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "old"))
	expect(t, err, ErrUnauthenticated) // withdrawn
}

func TestUnknownKeysDoNotFloodTheIssuer(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, map[string]any{"rsa": publicOf(rsaKey())})
	v := is.verifier(t, Config{UnknownKeyInterval: time.Hour})
	for _, kid := range []string{"a", "b", "c", "d"} {
		_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, otherRSA(), good(), "kid", kid))
		expect(t, err, ErrUnauthenticated)
	}
	if got := is.loads.Load(); got != 2 {
		t.Errorf("%d loads, want the first and one more", got)
	}
	_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "rsa"))
	expect(t, err, nil)
}

func TestItStartsWithoutTheIssuerAndRecovers(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, nil)
	is.publish(nil)
	var log bytes.Buffer
	loaded := make(chan struct{}, 1)
	v, err := New(t.Context(), Config{
		JWKSURL: is.URL, HTTPClient: is.Client(), RetryInterval: time.Millisecond, UnknownKeyInterval: time.Hour,
		Logger: slog.New(watch{slog.NewTextHandler(&log, nil), "the key set is loaded", loaded}),
		now:    func() time.Time { return now },
	})
	if err != nil {
		t.Fatalf("refused to start: %v", err)
	}
	if !bytes.Contains(log.Bytes(), []byte("could not be loaded")) {
		t.Errorf("the log does not say so: %s", log.String())
	}
	raw := signed(t, jwt.SigningMethodES256, ecKey(), good(), "kid", "ec")
	for range 2 {
		_, err = v.Verify(t.Context(), raw)
		expect(t, err, ErrUnavailable)
	}

	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	is.publish(map[string]any{"ec": publicOf(ecKey())})
	<-loaded
	_, err = v.Verify(t.Context(), raw)
	expect(t, err, nil)
	stop()
	if err := <-ended; err != nil {
		t.Errorf("Run ended with %v", err)
	}
}

func TestAnOutageKeepsTheKnownKeys(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, map[string]any{"ec": publicOf(ecKey())})
	v := is.verifier(t, Config{})
	is.publish(nil)
	_, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodES256, ecKey(), good(), "kid", "gone"))
	expect(t, err, ErrUnauthenticated)
	_, err = v.Verify(t.Context(), signed(t, jwt.SigningMethodES256, ecKey(), good(), "kid", "ec"))
	expect(t, err, nil)
}

func TestRunWithoutAKeySetWaits(t *testing.T) {
	t.Parallel()
	ctx, stop := context.WithCancel(t.Context())
	stop()
	if err := verifier(t, Config{Secret: secret}).Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// watch tells of a log line as it is written, so that a test need not poll.
type watch struct {
	slog.Handler
	message string
	seen    chan<- struct{}
}

func (w watch) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == w.message {
		select {
		case w.seen <- struct{}{}:
		default:
		}
	}
	return w.Handler.Handle(ctx, r)
}

func (w watch) WithAttrs(attrs []slog.Attr) slog.Handler {
	return watch{w.Handler.WithAttrs(attrs), w.message, w.seen}
}
