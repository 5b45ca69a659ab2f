package auth

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/MicahParks/jwkset"
	"github.com/golang-jwt/jwt/v5"
)

// A token may say where its key is, or bring it along (RFC 7515, 4.1.2 to 4.1.6). Whoever forges one would like that to be
// believed, and would like the verifier to ask an address of his choice.
func TestATokenDoesNotSayWhereItsKeyIs(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	forger := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		asked.Add(1)
		_ = json.NewEncoder(w).Encode(map[string]any{"keys": []any{must(jwkset.NewJWKFromKey(otherRSA().Public(), jwkset.JWKOptions{})).Marshal()}})
	}))
	t.Cleanup(forger.Close)
	own := must(jwkset.NewJWKFromKey(otherRSA().Public(), jwkset.JWKOptions{})).Marshal()
	v := newIssuer(t, map[string]any{"rsa": publicOf(rsaKey())}).verifier(t, Config{Secret: secret})
	for name, header := range map[string]map[string]any{
		"jku":                {"jku": forger.URL},
		"x5u":                {"x5u": forger.URL},
		"jwk":                {"jwk": own},
		"x5c":                {"x5c": []string{base64.StdEncoding.EncodeToString(otherRSA().N.Bytes())}},
		"all, with a kid":    {"jku": forger.URL, "x5u": forger.URL, "jwk": own, "kid": "rsa"},
		"the kid as address": {"kid": forger.URL},
	} {
		token := jwt.NewWithClaims(jwt.SigningMethodRS256, good())
		for k, value := range header {
			token.Header[k] = value
		}
		_, err := v.Verify(t.Context(), must(token.SignedString(otherRSA())))
		if !errors.Is(err, ErrUnauthenticated) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if n := asked.Load(); n > 0 {
		t.Errorf("the forger's address was asked %d times", n)
	}
}

// What a token calls its key is looked up among the published keys, and is nothing else: no path, no statement, no name
// under which the shared secret or an empty key is found.
func TestTheNameOfAKeyIsOnlyAName(t *testing.T) {
	t.Parallel()
	v := newIssuer(t, map[string]any{"rsa": publicOf(rsaKey())}).verifier(t, Config{Secret: secret, UnknownKeyInterval: time.Hour})
	for _, kid := range []any{
		"/dev/null", "../../../../dev/null", "' UNION SELECT 'key", "rsa\x00", "RSA", " rsa", "", strings.Repeat("k", 4000), 7, nil,
		[]string{"rsa"},
		map[string]any{"rsa": true},
	} {
		for method, key := range map[jwt.SigningMethod]any{
			jwt.SigningMethodHS256: []byte{}, jwt.SigningMethodRS256: otherRSA(), jwt.SigningMethodES256: ecKey(), jwt.SigningMethodEdDSA: edKey(),
		} {
			token := jwt.NewWithClaims(method, good())
			token.Header["kid"] = kid
			raw, err := token.SignedString(key)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := v.Verify(t.Context(), raw); !errors.Is(err, ErrUnauthenticated) {
				t.Errorf("%s by kid %.40v: %v", method.Alg(), kid, err)
			}
		}
	}
}

// The keys that everybody can read are no secrets, in whatever form somebody takes them for one.
func TestAPublishedKeyIsNoSecret(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, map[string]any{"rsa": publicOf(rsaKey()), "ec": publicOf(ecKey())})
	response, err := is.Client().Get(is.URL)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = response.Body.Close() })
	var set jwkset.JWKSMarshal
	if err := json.NewDecoder(response.Body).Decode(&set); err != nil {
		t.Fatal(err)
	}
	forms := map[string][]byte{"PEM": publicPEM(t), "PEM without the last line break": []byte(strings.TrimSpace(string(publicPEM(t))))}
	for _, key := range set.Keys {
		forms["the JWK "+key.KID] = must(json.Marshal(key))
		forms["the modulus of "+key.KID] = []byte(key.N)
		forms["the point of "+key.KID] = []byte(key.X)
	}
	for _, cfg := range []Config{{}, {Secret: secret}} {
		v := is.verifier(t, cfg)
		for name, form := range forms {
			for _, method := range []jwt.SigningMethod{jwt.SigningMethodHS256, jwt.SigningMethodHS384, jwt.SigningMethodHS512} {
				for _, kid := range []string{"rsa", "ec", ""} {
					if _, err := v.Verify(t.Context(), signed(t, method, form, good(), "kid", kid)); !errors.Is(err, ErrUnauthenticated) {
						t.Errorf("%s by %s, kid %q: %v", method.Alg(), name, kid, err)
					}
				}
			}
		}
	}
}

// A key that its issuer withdraws ends its tokens within the interval, without a restart and without a token that names
// another; one that is added lets its tokens in.
func TestAKeyThatIsWithdrawnEndsItsTokens(t *testing.T) {
	t.Parallel()
	is := newIssuer(t, map[string]any{"old": publicOf(rsaKey())})
	v := is.verifier(t, Config{RefreshInterval: time.Millisecond})
	old := signed(t, jwt.SigningMethodRS256, rsaKey(), good(), "kid", "old")
	_, err := v.Verify(t.Context(), old)
	expect(t, err, nil)
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	is.publish(map[string]any{"new": publicOf(otherRSA())})
	for deadline := time.Now().Add(30 * time.Second); ; {
		if _, err = v.Verify(t.Context(), old); err != nil {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("the withdrawn key's token is good for ever")
		}
	}
	expect(t, err, ErrUnauthenticated)
	_, err = v.Verify(t.Context(), signed(t, jwt.SigningMethodRS256, otherRSA(), good(), "kid", "new"))
	expect(t, err, nil)
	stop()
	expect(t, <-ended, nil)
}

// No error repeats what was sent: it ends up in answers and logs.
func TestARefusalDoesNotRepeatTheToken(t *testing.T) {
	t.Parallel()
	v := newIssuer(t, map[string]any{"rsa": publicOf(rsaKey())}).verifier(t, Config{Secret: secret, Issuer: "https://id.example"})
	claims := with("sub", "canary-sub\n")
	claims["iss"] = "canary-iss"
	for _, raw := range []string{
		"canary.canary.canary", signed(t, jwt.SigningMethodHS256, secret, claims), signed(t, jwt.SigningMethodHS256, []byte("canary"), claims, "kid", "canary"),
		signed(t, jwt.SigningMethodRS256, otherRSA(), claims, "kid", "canary"), rawToken(t, `{"alg":"canary"}`, `{}`), rawToken(t, `{"alg":"HS256"}`, `canary`),
	} {
		_, err := v.Verify(t.Context(), raw)
		if err == nil || strings.Contains(fmt.Sprintf("%v %+v", err, err), "canary") {
			t.Errorf("it says %v", err)
		}
	}
}
