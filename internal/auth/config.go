package auth

import (
	"bytes"
	"encoding/pem"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// Config says which tokens are accepted. At least one of Secret and JWKSURL is needed; with both, tokens of either
// kind are.
type Config struct {
	// Secret is the HS256 key, at least MinSecretBytes long. Empty: HS256 tokens are refused.
	Secret []byte
	// JWKSURL is where the keys for RS256, ES256 and EdDSA are published. Empty: such tokens are refused.
	JWKSURL string
	// Issuer and Audience are what `iss` must be and `aud` must hold. Empty: the claim is not looked at.
	Issuer, Audience string

	// Logger takes what is said about the key set. Nil: slog.Default().
	Logger *slog.Logger
	// HTTPClient loads the key set. Nil: a client of its own. Each load takes 5 s at most.
	HTTPClient *http.Client
	// RefreshInterval is how often the key set is loaded anew. Zero: 15 minutes.
	RefreshInterval time.Duration
	// RetryInterval is how soon a failed load is tried again. Zero: 10 seconds.
	RetryInterval time.Duration
	// UnknownKeyInterval is how often tokens that name an unknown key may make the key set load. Zero: 30 seconds.
	UnknownKeyInterval time.Duration

	now func() time.Time // tests; nil: time.Now
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	if c.HTTPClient == nil {
		c.HTTPClient = &http.Client{Transport: &http.Transport{Proxy: http.ProxyFromEnvironment, MaxIdleConns: 1, IdleConnTimeout: 30 * time.Second}}
	}
	if c.RefreshInterval <= 0 {
		c.RefreshInterval = 15 * time.Minute
	}
	if c.RetryInterval <= 0 {
		c.RetryInterval = 10 * time.Second
	}
	if c.UnknownKeyInterval <= 0 {
		c.UnknownKeyInterval = 30 * time.Second
	}
	if c.now == nil {
		c.now = time.Now
	}
	return c
}

func (c Config) check() error {
	if len(c.Secret) == 0 && c.JWKSURL == "" {
		return errors.New("auth needs a secret or the URL of a key set")
	}
	if len(c.Secret) > 0 {
		if err := CheckSecret(c.Secret); err != nil {
			return err
		}
	}
	if c.JWKSURL != "" {
		if u, err := url.Parse(c.JWKSURL); err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
			return errors.New("the key set's URL must be an absolute http or https URL")
		}
	}
	return nil
}

// CheckSecret refuses a secret that is no secret: one that is too short to resist guessing, or a public key or
// certificate, which everybody has.
func CheckSecret(secret []byte) error {
	if len(secret) < MinSecretBytes {
		return fmt.Errorf("the secret has %d bytes and needs at least %d", len(secret), MinSecretBytes)
	}
	if block, _ := pem.Decode(bytes.TrimSpace(secret)); block != nil {
		return fmt.Errorf("the secret is a PEM block (%s), not a shared secret, publish the key in a key set instead", block.Type)
	}
	return nil
}

// Sign makes an HS256 token for id that the Verifier of the same Config accepts. Name may be empty; ExpiresAt is
// needed, and is cut to whole seconds.
func (c Config) Sign(id Identity) (string, error) {
	if err := CheckSecret(c.Secret); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	c = c.withDefaults()
	if id.ExpiresAt.IsZero() {
		return "", errors.New("sign a token: it needs an expiry")
	}
	claims := jwt.MapClaims{
		"sub":  id.UserID,
		"role": string(id.Role),
		// float64, as the claims of a parsed token are: identity below reads them the same way.
		"iat": float64(c.now().Unix()),
		"exp": float64(id.ExpiresAt.Unix()),
	}
	if id.Name != "" {
		claims["name"] = id.Name
	}
	if c.Issuer != "" {
		claims["iss"] = c.Issuer
	}
	if c.Audience != "" {
		claims["aud"] = c.Audience
	}
	// What Verify would refuse must not be signed: the fault belongs to whoever asked for the token.
	if _, err := identity(claims); err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	signed, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString(c.Secret)
	if err != nil {
		return "", fmt.Errorf("sign a token: %w", err)
	}
	return signed, nil
}

// Sign makes an HS256 token without issuer and audience; see Config.Sign.
func Sign(secret []byte, id Identity) (string, error) {
	return Config{Secret: secret}.Sign(id)
}
