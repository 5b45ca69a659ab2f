package config

import (
	"fmt"
	"log/slog"
	"net"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"golang.org/x/mod/sumdb/note"

	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/internal/proxies"
)

const (
	minSecretBytes       = auth.MinSecretBytes
	maxBusinessNameRunes = 100
	maxRateLimit         = 1_000_000_000
)

// reader takes variables out of the environment and keeps what is wrong with them. A faulty one reads as its default,
// so that the rules over several variables say nothing about it a second time.
type reader struct {
	getenv func(string) string
	faults []error
}

func (r *reader) fault(format string, args ...any) {
	r.faults = append(r.faults, fmt.Errorf(format, args...))
}

func (r *reader) get(name string) string { return strings.TrimSpace(r.getenv(name)) }

func (r *reader) text(name, fallback string) string {
	if v := r.get(name); v != "" {
		return v
	}
	return fallback
}

var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?$`)

func (r *reader) host() string {
	v := r.text("HOST", DefaultHost)
	if inner, ok := strings.CutPrefix(v, "["); ok {
		v = strings.TrimSuffix(inner, "]")
	}
	if net.ParseIP(v) == nil && !hostName.MatchString(v) {
		r.fault("HOST %q is neither an IP address nor a host name: set it to an address without a port, such as 127.0.0.1 or 0.0.0.0", v)
		return DefaultHost
	}
	return strings.ToLower(v)
}

func (r *reader) port() int {
	v := r.text("PORT", strconv.Itoa(DefaultPort))
	port, err := strconv.ParseUint(v, 10, 16)
	if err != nil {
		r.fault("PORT %q is no port: set it to a number from 1 to 65535, or 0 for any free one", v)
		return DefaultPort
	}
	return int(port)
}

func (r *reader) databaseURL() string {
	v := r.get("DATABASE_URL")
	if v == "" {
		return ""
	}
	// The parser's error would repeat the password.
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "postgres" && u.Scheme != "postgresql") || u.Opaque != "" {
		r.fault("DATABASE_URL is no PostgreSQL URL: set it to postgres://USER:PASSWORD@HOST:5432/DATABASE, or leave it empty for a private database")
		return ""
	}
	return v
}

func (r *reader) secret(name string) Secret {
	v := r.getenv(name) // as it is: another program signs with the same bytes
	if strings.TrimSpace(v) == "" {
		return nil
	}
	if err := auth.CheckSecret([]byte(v)); err != nil {
		r.fault("%s cannot be used (%w): set it to at least %d random bytes (openssl rand -hex 32)", name, err, minSecretBytes)
		return nil
	}
	return Secret(v)
}

func (r *reader) jwksURL() string {
	v := r.get("JWT_JWKS_URL")
	if v == "" {
		return ""
	}
	u, err := url.Parse(v)
	if err != nil || (u.Scheme != "https" && u.Scheme != "http") || u.Host == "" {
		r.fault("JWT_JWKS_URL is no web address: set it to https://ISSUER/.well-known/jwks.json")
		return ""
	}
	return v
}

func (r *reader) origins() []string {
	var origins []string
	for entry := range strings.SplitSeq(r.text("CLIENT_URL", DefaultClientURL), ",") {
		entry = strings.TrimSpace(entry)
		switch {
		case entry == "":
		case entry == "*" && r.get("DATABASE_URL") != "":
			r.fault("CLIENT_URL=* is for the embedded database only: set it to the origins of your sites, such as https://shop.example")
		case entry == "*":
			origins = append(origins, entry)
		default:
			origin, ok := parseOrigin(entry)
			if !ok {
				r.fault("CLIENT_URL %q is no origin: set it to SCHEME://HOST[:PORT] without a path, several separated by commas", entry)
				continue
			}
			origins = append(origins, origin)
		}
	}
	if len(origins) > 1 && strings.Contains(strings.Join(origins, " "), "*") {
		r.fault("CLIENT_URL mixes * with origins: set it to * alone or to the origins alone")
	}
	return origins
}

// parseOrigin answers an origin as a browser writes it: lower case, no default port, no slash at the end.
func parseOrigin(s string) (string, bool) {
	u, err := url.Parse(strings.ToLower(s))
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Hostname() == "" || u.User != nil ||
		(u.Path != "" && u.Path != "/") || u.RawQuery != "" || u.Fragment != "" || strings.Contains(u.Host, "*") {
		return "", false
	}
	host := u.Host
	if (u.Scheme == "http" && u.Port() == "80") || (u.Scheme == "https" && u.Port() == "443") {
		host = strings.TrimSuffix(host, ":"+u.Port())
	}
	return u.Scheme + "://" + host, true
}

func (r *reader) retention() time.Duration {
	v := r.get("NOTIFICATION_RETENTION")
	if v == "" {
		return DefaultNotificationRetention
	}
	d, err := time.ParseDuration(v)
	if err != nil || d < MinNotificationRetention {
		r.fault("NOTIFICATION_RETENTION %q is no duration of at least %s: set it to one such as 720h", v, MinNotificationRetention)
		return DefaultNotificationRetention
	}
	return d
}

func (r *reader) logLevel() slog.Level {
	switch strings.ToLower(r.oneOf("LOG_LEVEL", "debug", "info", "warn", "error")) {
	case "debug":
		return slog.LevelDebug
	case "warn":
		return slog.LevelWarn
	case "error":
		return slog.LevelError
	default:
		return slog.LevelInfo
	}
}

// oneOf answers the variable in lower case, or nothing when it is not set.
func (r *reader) oneOf(name string, allowed ...string) string {
	v := strings.ToLower(r.get(name))
	if v == "" {
		return ""
	}
	for _, a := range allowed {
		if v == a {
			return v
		}
	}
	r.fault("%s %q is unknown: set it to one of %s", name, v, strings.Join(allowed, ", "))
	return ""
}

func (r *reader) businessName() string {
	v := r.text("BUSINESS_NAME", DefaultBusinessName)
	if !utf8.ValidString(v) || utf8.RuneCountInString(v) > maxBusinessNameRunes || strings.ContainsFunc(v, unicode.IsControl) {
		r.fault("BUSINESS_NAME cannot be shown: set it to at most %d characters on one line", maxBusinessNameRunes)
		return DefaultBusinessName
	}
	return v
}

func (r *reader) limit(name string, fallback int) int {
	return r.bound(name, fallback, "is no number of requests: set it to how many are allowed in 10 seconds, or to 0 for any number")
}

func (r *reader) count(name string, fallback int) int {
	return r.bound(name, fallback, "is no number: set it to how many there may be at a time, or to 0 for any number")
}

func (r *reader) bound(name string, fallback int, wrong string) int {
	v := r.get(name)
	if v == "" {
		return fallback
	}
	n, err := strconv.Atoi(v)
	if err != nil || n < 0 || n > maxRateLimit {
		r.fault("%s %q %s", name, v, wrong)
		return fallback
	}
	return n
}

func (r *reader) trustedProxies() proxies.Trusted {
	trusted, err := proxies.Parse(r.get("TRUSTED_PROXIES"))
	if err != nil {
		r.fault("TRUSTED_PROXIES cannot be used (%w): set it to the addresses or networks of your proxies, such as 10.0.0.0/8, separated by commas", err)
		return nil
	}
	return trusted
}

func (r *reader) auditKey() Secret {
	v := r.get("AUDIT_KEY")
	if v == "" {
		return nil
	}
	if _, err := publicKey(v); err != nil { // not said: it is about a key that is not to be shown
		r.fault("AUDIT_KEY is no signing key: set it to PRIVATE+KEY+NAME+… on one line, such as app audit key --new makes, or leave it empty to have one kept in DATA_DIR")
		return nil
	}
	return Secret(v)
}

func (r *reader) auditPublicKeys() []string {
	var keys []string
	for entry := range strings.SplitSeq(r.get("AUDIT_PUBLIC_KEYS"), ",") {
		entry = strings.TrimSpace(entry)
		if entry == "" {
			continue
		}
		// An entry that is wrong may be a private key: it is not shown.
		if _, err := note.NewVerifier(entry); err != nil {
			r.fault("AUDIT_PUBLIC_KEYS holds what is no public key (%w): set it to keys such as app audit key prints, separated by commas", err)
			continue
		}
		keys = append(keys, entry)
	}
	return keys
}
