// Package auth says who a token speaks for.
//
// Guarantees:
//   - Identity comes from a verified token alone: its signature, its times and, where configured, its issuer and
//     audience. Nothing else a client sends can widen it.
//   - An HS256 token is only ever checked with the shared secret, and RS256, ES256 and EdDSA tokens only ever with a
//     published key of the matching type; `alg: none` and every other algorithm are refused.
//   - A token without `exp` is refused, and `exp` is exact. `nbf` and `iat` allow for clocks that differ by 30 s.
//   - No error repeats the token or a key.
package auth

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"github.com/orderlog/orderlog/domain"
)

// ErrUnauthenticated is what every refused token is.
var ErrUnauthenticated = errors.New("unauthenticated")

// ErrTokenExpired is a token that was good until its `exp` and has no other fault. It is an ErrUnauthenticated too, so
// a caller that does not tell the two apart need not know it.
var ErrTokenExpired = fmt.Errorf("%w: the token has expired", ErrUnauthenticated)

// ErrUnavailable says that a token cannot be judged now, because no key set could be loaded yet. It says nothing
// against the token and is not an ErrUnauthenticated: the client should keep its token and try again.
var ErrUnavailable = errors.New("the key set could not be loaded yet")

// MinSecretBytes is the length under which an HS256 secret is refused.
const MinSecretBytes = 32

const (
	maxTokenBytes  = 8 << 10
	maxUserIDRunes = 128
	maxNameRunes   = 128
	clockLeeway    = 30 * time.Second
)

// Identity is the person or program a token speaks for.
type Identity struct {
	// UserID is the claim `sub`: 1 to 128 characters, valid UTF-8, no control characters.
	UserID string
	// Role is the claim `role`.
	Role domain.Role
	// Name is the claim `name`; empty when the token has none, or one that is no short single line of text.
	Name string
	// ExpiresAt is the claim `exp`: from this moment on the token is refused.
	ExpiresAt time.Time
}

// Verifier checks tokens. It is safe for concurrent use.
type Verifier struct {
	secret []byte
	keys   *keySet // nil without a JWKS URL
	parser *jwt.Parser
	now    func() time.Time
}

// New makes a Verifier. It fails only on a faulty configuration: where the key set cannot be loaded, it says so in the
// log and the Verifier answers ErrUnavailable until Run, or a token that needs the keys, has loaded it.
// The first load takes 5 s at most, and less when ctx ends.
func New(ctx context.Context, cfg Config) (*Verifier, error) {
	cfg = cfg.withDefaults()
	if err := cfg.check(); err != nil {
		return nil, err
	}
	v := &Verifier{secret: cfg.Secret, now: cfg.now}
	var methods []string
	if len(cfg.Secret) > 0 {
		methods = append(methods, jwt.SigningMethodHS256.Alg())
	}
	if cfg.JWKSURL != "" {
		methods = append(methods, jwt.SigningMethodRS256.Alg(), jwt.SigningMethodES256.Alg(), jwt.SigningMethodEdDSA.Alg())
		v.keys = newKeySet(cfg)
		v.keys.loadFirst(ctx)
	}
	options := []jwt.ParserOption{
		jwt.WithValidMethods(methods),
		jwt.WithExpirationRequired(),
		jwt.WithIssuedAt(),
		jwt.WithLeeway(clockLeeway),
		jwt.WithTimeFunc(cfg.now),
	}
	if cfg.Issuer != "" {
		options = append(options, jwt.WithIssuer(cfg.Issuer))
	}
	if cfg.Audience != "" {
		options = append(options, jwt.WithAudience(cfg.Audience))
	}
	v.parser = jwt.NewParser(options...)
	return v, nil
}

// Run keeps the key set fresh until ctx ends and then returns nil. Without a key set it only waits.
func (v *Verifier) Run(ctx context.Context) error {
	if v.keys == nil {
		<-ctx.Done()
		return nil
	}
	v.keys.run(ctx)
	return nil
}

// Verify answers whom raw, a bare token without "Bearer", speaks for.
//
// Errors: ErrTokenExpired, ErrUnauthenticated, ErrUnavailable. It may wait up to 5 s for the key set when the token
// names a key that is not known yet; how often such a token makes it ask is limited.
func (v *Verifier) Verify(ctx context.Context, raw string) (Identity, error) {
	if raw == "" {
		return Identity{}, refuse("there is no token")
	}
	if len(raw) > maxTokenBytes {
		return Identity{}, refuse("the token is longer than %d bytes", maxTokenBytes)
	}
	// MapClaims, because decoding into a struct would take "Role" for "role".
	claims := jwt.MapClaims{}
	if _, err := v.parser.ParseWithClaims(raw, claims, v.keyFor(ctx)); err != nil {
		return Identity{}, refusal(err)
	}
	id, err := identity(claims)
	if err != nil {
		return Identity{}, err
	}
	// The parser's leeway is meant for nbf and iat; a token must not outlive its exp by it.
	if !v.now().Before(id.ExpiresAt) {
		return Identity{}, ErrTokenExpired
	}
	return id, nil
}

// keyFor chooses the key by the algorithm, never by what the token says about keys alone: the secret is not in the key
// set and the key set's keys are never handed to HMAC.
func (v *Verifier) keyFor(ctx context.Context) jwt.Keyfunc {
	return func(token *jwt.Token) (any, error) {
		// RFC 7515, 4.1.11: what a token calls critical must be understood, and no extension is.
		if _, ok := token.Header["crit"]; ok {
			return nil, refuse("the token has critical extensions")
		}
		if token.Method == jwt.SigningMethodHS256 {
			return v.secret, nil
		}
		if v.keys == nil {
			return nil, refuse("the token's algorithm is not accepted")
		}
		return v.keys.keyfunc(ctx)(token)
	}
}

func identity(claims jwt.MapClaims) (Identity, error) {
	sub, ok := claims["sub"].(string)
	if !ok || !validText(sub, maxUserIDRunes) {
		return Identity{}, refuse("the claim sub must be 1 to %d characters without control characters", maxUserIDRunes)
	}
	roleName, _ := claims["role"].(string)
	role, err := domain.ParseRole(roleName)
	if err != nil {
		return Identity{}, refuse("the claim role must be customer, admin or delivery")
	}
	name, _ := claims["name"].(string)
	if !validText(name, maxNameRunes) {
		name = "" // a courtesy, not a right: no reason to lock somebody out
	}
	exp, err := claims.GetExpirationTime()
	if err != nil || exp == nil {
		return Identity{}, refuse("the claim exp is missing")
	}
	until := exp.Time
	if until.After(latest) {
		until = latest
	}
	return Identity{UserID: sub, Role: role, Name: name, ExpiresAt: until}, nil
}

// latest is the last second that RFC 3339 can name. A token that holds for longer holds until then, so that its end can be
// written down and reckoned with everywhere.
var latest = time.Date(9999, time.December, 31, 23, 59, 59, 0, time.UTC)

// validText accepts 1 to max characters on one line. The replacement character is refused as well: the JSON decoder
// puts it for every byte that is no UTF-8, so two different ids could become one.
func validText(s string, limit int) bool {
	return s != "" && utf8.ValidString(s) && utf8.RuneCountInString(s) <= limit &&
		!strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || r == utf8.RuneError })
}

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrUnauthenticated, fmt.Sprintf(format, args...))
}

// refusal turns the parser's error into one of this package's. Only a token whose single fault is its age is
// "expired": the client is told to come back with a new one, which would not help against any other fault.
func refusal(err error) error {
	switch {
	case errors.Is(err, ErrUnavailable):
		return ErrUnavailable
	case errors.Is(err, ErrUnauthenticated):
		return refuse("the token's key or extensions are not accepted")
	case errors.Is(err, jwt.ErrTokenMalformed):
		return refuse("the token is malformed")
	case errors.Is(err, jwt.ErrTokenSignatureInvalid):
		return refuse("the token's signature or algorithm is not accepted")
	case errors.Is(err, jwt.ErrTokenUnverifiable):
		return refuse("no accepted key verifies the token")
	case errors.Is(err, jwt.ErrTokenRequiredClaimMissing):
		return refuse("the token lacks a required claim (exp, and iss or aud where configured)")
	case errors.Is(err, jwt.ErrTokenInvalidIssuer), errors.Is(err, jwt.ErrTokenInvalidAudience):
		return refuse("the token is not from the expected issuer or not for this audience")
	case errors.Is(err, jwt.ErrTokenNotValidYet), errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return refuse("the token is not valid yet")
	case errors.Is(err, jwt.ErrTokenExpired):
		return ErrTokenExpired
	default:
		return refuse("the token's claims are not accepted")
	}
}

// Bearer takes the token out of an Authorization header. It answers false for an empty header, another scheme, or more
// than one word after it.
func Bearer(header string) (string, bool) {
	scheme, token, ok := strings.Cut(header, " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return "", false
	}
	token = strings.TrimLeft(token, " ")
	if token == "" || strings.ContainsFunc(token, unicode.IsSpace) {
		return "", false
	}
	return token, true
}
