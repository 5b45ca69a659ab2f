package auth

import (
	"encoding/base64"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
	"go.uber.org/goleak"

	"github.com/orderlog/orderlog/domain"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var (
	secret = []byte("0123456789abcdef0123456789abcdef")
	now    = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

func verifier(t *testing.T, cfg Config) *Verifier {
	t.Helper()
	cfg.now = func() time.Time { return now }
	v, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// good is a set of claims without a fault; each test spoils one thing.
func good() jwt.MapClaims {
	return jwt.MapClaims{"sub": "u-1", "role": "customer", "name": "Asha", "exp": now.Add(time.Hour).Unix()}
}

func with(name string, value any) jwt.MapClaims {
	c := good()
	c[name] = value
	return c
}

func without(name string) jwt.MapClaims {
	c := good()
	delete(c, name)
	return c
}

func signed(t *testing.T, method jwt.SigningMethod, key any, claims jwt.MapClaims, header ...string) string {
	t.Helper()
	token := jwt.NewWithClaims(method, claims)
	for i := 0; i+1 < len(header); i += 2 {
		token.Header[header[i]] = header[i+1]
	}
	raw, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// rawToken signs a payload that no JSON encoder would write.
func rawToken(t *testing.T, header, payload string) string {
	t.Helper()
	enc := base64.RawURLEncoding
	text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(payload))
	sig, err := jwt.SigningMethodHS256.Sign(text, secret)
	if err != nil {
		t.Fatal(err)
	}
	return text + "." + enc.EncodeToString(sig)
}

func TestATokenSpeaksForItsClaims(t *testing.T) {
	t.Parallel()
	id, err := verifier(t, Config{Secret: secret}).Verify(t.Context(), signed(t, jwt.SigningMethodHS256, secret, good()))
	if err != nil {
		t.Fatal(err)
	}
	want := Identity{UserID: "u-1", Role: domain.RoleCustomer, Name: "Asha", ExpiresAt: now.Add(time.Hour)}
	if id.UserID != want.UserID || id.Role != want.Role || id.Name != want.Name || !id.ExpiresAt.Equal(want.ExpiresAt) {
		t.Fatalf("got %+v, want %+v", id, want)
	}
}

func TestATokenHoldsNoLongerThanTimesCanBeWritten(t *testing.T) {
	t.Parallel()
	v := verifier(t, Config{Secret: secret})
	for _, exp := range []any{float64(253402300799), float64(253402300800), 9.3e12, 1e15} {
		id, err := v.Verify(t.Context(), signed(t, jwt.SigningMethodHS256, secret, with("exp", exp)))
		if err != nil || !id.ExpiresAt.Equal(time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)) {
			t.Errorf("exp %v: until %v, %v", exp, id.ExpiresAt, err)
		}
	}
}

func TestClaims(t *testing.T) {
	t.Parallel()
	at := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for name, tc := range map[string]struct {
		claims jwt.MapClaims
		want   error
	}{
		"good":                                  {good(), nil},
		"without name":                          {without("name"), nil},
		"with a name that is no text":           {with("name", 7), nil},
		"sub of 128 characters":                 {with("sub", strings.Repeat("é", 128)), nil},
		"sub of 129 characters":                 {with("sub", strings.Repeat("é", 129)), ErrUnauthenticated},
		"sub empty":                             {with("sub", ""), ErrUnauthenticated},
		"sub missing":                           {without("sub"), ErrUnauthenticated},
		"sub a number":                          {with("sub", 7), ErrUnauthenticated},
		"sub with a line break":                 {with("sub", "a\nb"), ErrUnauthenticated},
		"sub with a zero byte":                  {with("sub", "a\x00b"), ErrUnauthenticated},
		"sub with the replacement character":    {with("sub", "a\ufffd"), ErrUnauthenticated},
		"role missing":                          {without("role"), ErrUnauthenticated},
		"role unknown":                          {with("role", "owner"), ErrUnauthenticated},
		"role in capitals":                      {with("role", "Admin"), ErrUnauthenticated},
		"role a list":                           {with("role", []string{"admin"}), ErrUnauthenticated},
		"exp missing":                           {without("exp"), ErrUnauthenticated},
		"exp not a number":                      {with("exp", "tomorrow"), ErrUnauthenticated},
		"exp now":                               {with("exp", at(0)), ErrTokenExpired},
		"exp a second ago, inside the leeway":   {with("exp", at(-time.Second)), ErrTokenExpired},
		"exp an hour ago":                       {with("exp", at(-time.Hour)), ErrTokenExpired},
		"exp in a second":                       {with("exp", at(time.Second)), nil},
		"nbf in 30 s, as another clock sees it": {with("nbf", at(30*time.Second)), nil},
		"nbf in 31 s":                           {with("nbf", at(31*time.Second)), ErrUnauthenticated},
		"iat in 30 s":                           {with("iat", at(30*time.Second)), nil},
		"iat in 31 s":                           {with("iat", at(31*time.Second)), ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := verifier(t, Config{Secret: secret}).Verify(t.Context(), signed(t, jwt.SigningMethodHS256, secret, tc.claims))
			expect(t, err, tc.want)
		})
	}
}

// expect also holds that only an expired token is called expired.
func expect(t *testing.T, err, want error) {
	t.Helper()
	switch {
	case want == nil && err != nil:
		t.Fatalf("refused: %v", err)
	case !errors.Is(err, want):
		t.Fatalf("got %v, want %v", err, want)
	case !errors.Is(want, ErrTokenExpired) && errors.Is(err, ErrTokenExpired):
		t.Fatalf("called expired: %v", err)
	case errors.Is(want, ErrTokenExpired) && !errors.Is(err, ErrUnauthenticated):
		t.Fatal("an expired token must be unauthenticated too")
	}
}

func TestIssuerAndAudience(t *testing.T) {
	t.Parallel()
	cfg := Config{Secret: secret, Issuer: "https://id.example", Audience: "orderlog"}
	both := func() jwt.MapClaims {
		c := good()
		c["iss"], c["aud"] = "https://id.example", []string{"orderlog", "other"}
		return c
	}
	spoil := func(name string, value any) jwt.MapClaims {
		c := both()
		if value == nil {
			delete(c, name)
		} else {
			c[name] = value
		}
		return c
	}
	expiredElsewhere := spoil("iss", "https://evil.example")
	expiredElsewhere["exp"] = now.Add(-time.Hour).Unix()
	for name, tc := range map[string]struct {
		claims jwt.MapClaims
		want   error
	}{
		"both right":                      {both(), nil},
		"issuer missing":                  {spoil("iss", nil), ErrUnauthenticated},
		"another issuer":                  {spoil("iss", "https://evil.example"), ErrUnauthenticated},
		"audience missing":                {spoil("aud", nil), ErrUnauthenticated},
		"another audience":                {spoil("aud", "other"), ErrUnauthenticated},
		"another issuer and expired also": {expiredElsewhere, ErrUnauthenticated},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := verifier(t, cfg).Verify(t.Context(), signed(t, jwt.SigningMethodHS256, secret, tc.claims))
			expect(t, err, tc.want)
		})
	}
}

func TestTokensThatAreNone(t *testing.T) {
	t.Parallel()
	ok := signed(t, jwt.SigningMethodHS256, secret, good())
	expired := with("exp", now.Add(-time.Hour).Unix())
	hs := `{"alg":"HS256","typ":"JWT"}`
	for name, raw := range map[string]string{
		"nothing":                            "",
		"text":                               "hello",
		"two parts":                          ok[:strings.LastIndex(ok, ".")],
		"with the scheme before it":          "Bearer " + ok,
		"a changed signature":                ok[:len(ok)-4] + "AAAA",
		"no signature":                       ok[:strings.LastIndex(ok, ".")+1],
		"alg none":                           signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, good()),
		"alg HS512 with the right secret":    signed(t, jwt.SigningMethodHS512, secret, good()),
		"another secret":                     signed(t, jwt.SigningMethodHS256, []byte("fedcba9876543210fedcba9876543210"), good()),
		"expired and another secret":         signed(t, jwt.SigningMethodHS256, []byte("fedcba9876543210fedcba9876543210"), expired),
		"a critical extension":               signed(t, jwt.SigningMethodHS256, secret, good(), "crit", "exp"),
		"longer than 8 KiB":                  signed(t, jwt.SigningMethodHS256, secret, with("x", strings.Repeat("x", 9000))),
		"a payload that is no JSON":          rawToken(t, hs, `nope`),
		"a sub that is no UTF-8":             rawToken(t, hs, "{\"sub\":\"a\xff\",\"role\":\"admin\",\"exp\":4102444800}"),
		"a sub with half a surrogate pair":   rawToken(t, hs, `{"sub":"a\ud800","role":"admin","exp":4102444800}`),
		"claims with names in other letters": rawToken(t, hs, `{"SUB":"a","Role":"admin","exp":4102444800}`),
		"alg in other letters":               rawToken(t, `{"alg":"hs256"}`, `{"sub":"a","role":"admin","exp":4102444800}`),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := verifier(t, Config{Secret: secret}).Verify(t.Context(), raw)
			expect(t, err, ErrUnauthenticated)
			if raw != "" && strings.Contains(err.Error(), raw) {
				t.Fatal("the error repeats the token")
			}
		})
	}
}

func TestASecondClaimInOtherLettersGrantsNothing(t *testing.T) {
	t.Parallel()
	raw := rawToken(t, `{"alg":"HS256"}`, `{"sub":"a","role":"customer","exp":4102444800,"Role":"admin","SUB":"b"}`)
	id, err := verifier(t, Config{Secret: secret}).Verify(t.Context(), raw)
	if err != nil || id.Role != domain.RoleCustomer || id.UserID != "a" {
		t.Fatalf("got %+v, %v", id, err)
	}
}

func TestConfigurationsThatAreRefused(t *testing.T) {
	t.Parallel()
	for name, cfg := range map[string]Config{
		"no key at all":           {},
		"a secret of 31 bytes":    {Secret: secret[:31]},
		"a public key as secret":  {Secret: publicPEM(t)},
		"a key set without a URL": {JWKSURL: "keys.json"},
		"a key set from a file":   {JWKSURL: "file:///keys.json"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := New(t.Context(), cfg); err == nil {
				t.Fatal("accepted")
			}
		})
	}
}

func TestWhatIsSignedIsAccepted(t *testing.T) {
	t.Parallel()
	cfg := Config{Secret: secret, Issuer: "orderlog", Audience: "orderlog"}
	want := Identity{UserID: "agent 7", Role: domain.RoleDelivery, Name: "Ravi", ExpiresAt: time.Now().Add(time.Hour).Truncate(time.Second)}
	raw, err := cfg.Sign(want)
	if err != nil {
		t.Fatal(err)
	}
	v, err := New(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	got, err := v.Verify(t.Context(), raw)
	if err != nil || got.UserID != want.UserID || got.Role != want.Role || got.Name != want.Name || !got.ExpiresAt.Equal(want.ExpiresAt) {
		t.Fatalf("got %+v, %v; want %+v", got, err, want)
	}
}

func TestWhatWouldBeRefusedIsNotSigned(t *testing.T) {
	t.Parallel()
	fine := Identity{UserID: "u", Role: domain.RoleAdmin, ExpiresAt: now}
	for name, sign := range map[string]func() (string, error){
		"a short secret": func() (string, error) { return Sign(secret[:8], fine) },
		"no user": func() (string, error) {
			return Sign(secret, Identity{Role: domain.RoleAdmin, ExpiresAt: now})
		},
		"no role":   func() (string, error) { return Sign(secret, Identity{UserID: "u", ExpiresAt: now}) },
		"no expiry": func() (string, error) { return Sign(secret, Identity{UserID: "u", Role: domain.RoleAdmin}) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := sign(); err == nil {
				t.Fatal("signed")
			}
		})
	}
}

func TestBearer(t *testing.T) {
	t.Parallel()
	for header, want := range map[string]string{
		"Bearer abc":     "abc",
		"bearer abc":     "abc",
		"Bearer   abc":   "abc",
		"":               "",
		"Bearer":         "",
		"Bearer ":        "",
		"Basic abc":      "",
		"Bearer a b":     "",
		"Bearer a, b":    "",
		"abc":            "",
		" Bearer abc":    "",
		"Bearer abc\t":   "",
		"BearerX abc":    "",
		"Bearer\tabc":    "",
		"Bearer a\u00a0": "",
	} {
		got, ok := Bearer(header)
		if got != want || ok != (want != "") {
			t.Errorf("%q: got %q, %v; want %q", header, got, ok, want)
		}
	}
}
