package auth

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/orderlog/orderlog/domain"
)

// Whatever a token is made of, it speaks for somebody only with the secret's signature over it, by HS256, while it
// lasts, and for whom its claims name; else it is refused, with the one error that callers know.
func FuzzATokenSpeaksForItsClaimsOrIsRefused(f *testing.F) {
	for _, header := range []string{`{"alg":"HS256","typ":"JWT"}`, `{"alg":"none"}`, `{"alg":"RS256"}`, `{"alg":"HS256","crit":["b64"],"b64":false}`, `{}`, `[]`, ``} {
		f.Add(header, `{"sub":"u-1","role":"customer","name":"Asha","exp":1772370000}`, true, "")
	}
	for _, claims := range []string{
		`{"sub":"u-1","role":"admin","exp":1e9}`, `{"sub":"u-1","role":"admin","exp":9.3e12,"nbf":0,"iat":1}`, `{"sub":"u-1","role":"admin","exp":"1772370000"}`,
		`{"Sub":"u-1","ROLE":"admin","exp":1772370000}`, `{"sub":"a","sub":"b","role":"delivery","exp":1772370000}`, `{"sub":"\ud800","role":"admin","exp":1772370000}`,
		`{"sub":"a\u0000","role":"admin","exp":1772370000}`, `{"sub":"u","role":["admin"],"exp":1772370000}`, `{"sub":"u","role":"admin","exp":1e400}`, `null`,
		`{"sub":"u","role":"admin","exp":1772370000,"name":"\u202e"}`, `{"sub":"u","role":"admin","exp":-1}`, `{"sub":"u","role":"system","exp":1772370000}`,
	} {
		f.Add(`{"alg":"HS256"}`, claims, true, "")
		f.Add(`{"alg":"HS256"}`, claims, false, "AAAA")
	}
	v, err := New(f.Context(), Config{Secret: secret, now: func() time.Time { return now }})
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, header, claims string, sign bool, signature string) {
		enc := base64.RawURLEncoding
		text := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
		good, err := jwt.SigningMethodHS256.Sign(text, secret)
		if err != nil {
			t.Fatal(err)
		}
		if sign {
			signature = enc.EncodeToString(good)
		}
		id, err := v.Verify(t.Context(), text+"."+signature)
		if err != nil {
			if !errors.Is(err, ErrUnauthenticated) || id != (Identity{}) {
				t.Fatalf("%s %s: %+v, %v", header, claims, id, err)
			}
			return
		}
		given, err := enc.DecodeString(signature)
		if err != nil || string(given) != string(good) {
			t.Fatalf("%s %s is accepted with the signature %q", header, claims, signature)
		}
		var h, c map[string]any
		if json.Unmarshal([]byte(header), &h) != nil || h["alg"] != "HS256" || h["crit"] != nil {
			t.Fatalf("the header %s is accepted", header)
		}
		if json.Unmarshal([]byte(claims), &c) != nil || c["sub"] != id.UserID || c["role"] != string(id.Role) || id.Name != "" && c["name"] != id.Name {
			t.Fatalf("%s speaks for %+v", claims, id)
		}
		if !id.ExpiresAt.After(now) || id.ExpiresAt.After(latest) {
			t.Fatalf("%s lasts until %s", claims, id.ExpiresAt)
		}
		if _, err := domain.ParseRole(string(id.Role)); err != nil || id.Role == domain.RoleSystem {
			t.Fatalf("%s has the role %q", claims, id.Role)
		}
		for _, s := range []string{id.UserID, "x" + id.Name} {
			if s == "" || !utf8.ValidString(s) || utf8.RuneCountInString(s) > 129 || strings.ContainsFunc(s, unicode.IsControl) {
				t.Fatalf("%s speaks for %+v", claims, id)
			}
		}
	})
}

// Whatever stands in an Authorization header, a token is one word behind "Bearer".
func FuzzABearerIsOneWord(f *testing.F) {
	for _, header := range []string{"Bearer a.b.c", "bearer  a", "Bearer", "Bearer ", "Basic YTpi", "Bearer a b", "Bearer\ta", "Bearer a\u00a0b", "Bearer null", "\xff \xff"} {
		f.Add(header)
	}
	f.Fuzz(func(t *testing.T, header string) {
		token, ok := Bearer(header)
		words := strings.Fields(header)
		if !ok {
			if len(words) == 2 && header == "Bearer "+words[1] {
				t.Fatalf("%q is refused", header)
			}
			return
		}
		if len(words) != 2 || !strings.EqualFold(words[0], "Bearer") || token != words[1] {
			t.Fatalf("%q is taken for %q", header, token)
		}
	})
}

// answers is a web of one page.
type answers string

func (a answers) RoundTrip(r *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(strings.NewReader(string(a))), Request: r}, nil
}

// Whatever an issuer publishes, only keys that an accepted algorithm may use are taken of it, and when there are none
// those that were known before stay.
func FuzzOfAKeySetOnlyWhatIsSafeIsTaken(f *testing.F) {
	const ec = `{"kty":"EC","kid":"e","crv":"P-256","x":"MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4","y":"4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM"}`
	const ed = `{"kty":"OKP","kid":"d","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}`
	for _, set := range []string{
		`{"keys":[` + ec + `,` + ed + `]}`, `{"keys":[{"kty":"oct","k":"MDEyMzQ1Njc4OWFiY2RlZjAxMjM0NTY3ODlhYmNkZWY","kid":"s","alg":"HS256"}]}`,
		`{"keys":[` + strings.Replace(ec, `"kty"`, `"use":"enc","kty"`, 1) + `]}`, `{"keys":[` + strings.Replace(ec, "P-256", "P-384", 1) + `]}`,
		`{"keys":[{"kty":"RSA","kid":"r","n":"AQAB","e":"AQAB"}]}`, `{"keys":[` + ed + `,` + ed + `]}`, `{"keys":null}`, `{"keys":[{}]}`, `[]`, ``,
		`{"keys":[` + strings.Replace(ed, `"x"`, `"d":"nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A","x"`, 1) + `]}`,
	} {
		f.Add(set)
	}
	f.Fuzz(func(t *testing.T, set string) {
		cfg := Config{JWKSURL: "http://issuer.example/", HTTPClient: &http.Client{Transport: answers(`{"keys":[` + ed + `]}`)}, Logger: slog.New(slog.DiscardHandler)}
		k := newKeySet(cfg.withDefaults())
		if err := k.load(t.Context()); err != nil {
			t.Fatal(err)
		}
		k.client = &http.Client{Transport: answers(set)}
		failed := k.load(t.Context())
		keys, err := k.KeyReadAll(context.Background())
		if err != nil || len(keys) == 0 {
			t.Fatalf("%s left %d keys, %v", set, len(keys), err)
		}
		if failed != nil && (len(keys) != 1 || keys[0].Marshal().KID != "d") {
			t.Fatalf("%s, which is refused with %v, replaced the keys", set, failed)
		}
		for _, key := range keys {
			switch public := key.Key().(type) {
			case *rsa.PublicKey:
				if public.N.BitLen() < 2048 {
					t.Fatalf("%s: a short key is taken", set)
				}
			case *ecdsa.PublicKey:
				if public.Curve != elliptic.P256() {
					t.Fatalf("%s: a key of another curve is taken", set)
				}
			case ed25519.PublicKey:
				if len(public) != ed25519.PublicKeySize {
					t.Fatalf("%s: a key of %d bytes is taken", set, len(public))
				}
			default:
				t.Fatalf("%s: a %T is taken", set, public)
			}
		}
	})
}
