// Package config reads the program's settings from its environment, and nothing else does.
//
// Guarantees:
//   - Load reports every fault at once, on one line, and each says which variable to set to what.
//   - No message and no formatted Config shows a secret or a password.
//   - A secret that lets somebody in is only ever generated beside the embedded database, and never where others can reach
//     the program. The audit's key lets nobody in: it is generated for any database.
package config

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"golang.org/x/term"

	"github.com/orderlog/orderlog/internal/proxies"
)

// Defaults of the variables with the same meaning.
const (
	DefaultHost                  = "127.0.0.1"
	DefaultPort                  = 5000
	DefaultDataDir               = "./.orderlog"
	DefaultClientURL             = "http://localhost:3000"
	DefaultNotificationRetention = 720 * time.Hour
	DefaultBusinessName          = "Orderlog Kitchen"
	DefaultRateLimitUser         = 5_000
	DefaultRateLimitAddress      = 20_000
	DefaultMaxUserConnections    = 500
	DefaultMaxAddressConnections = 16_000
)

// MinNotificationRetention is the shortest retention accepted. It is low enough to watch a cursor expire; a business
// wants hours.
const MinNotificationRetention = time.Second

// Config is the settings of one process. Load makes it; the zero value is of no use.
type Config struct {
	// Host is the address to listen on (HOST), an IP address or a host name.
	Host string
	// Port is the TCP port to listen on (PORT); 0 lets the system choose one.
	Port int
	// DatabaseURL is the PostgreSQL to use (DATABASE_URL). Empty: a private one is run under DataDir.
	DatabaseURL string
	// DataDir holds the private PostgreSQL and the generated secrets (DATA_DIR).
	DataDir string
	// JWTSecret is the HS256 key (JWT_SECRET). Empty: EnsureSecrets generates it when the database is embedded and
	// JWKSURL is empty; otherwise HS256 tokens are refused.
	JWTSecret Secret
	// JWKSURL is where the keys for RS256, ES256 and EdDSA are published (JWT_JWKS_URL). Empty: none.
	JWKSURL string
	// JWTIssuer and JWTAudience are what a token's `iss` and `aud` must be (JWT_ISSUER, JWT_AUDIENCE). Empty: not checked.
	JWTIssuer, JWTAudience string
	// ClientOrigins are the browser origins that may call the program (CLIENT_URL), or the single "*".
	ClientOrigins []string
	// PaymentWebhookSecret is the HMAC-SHA256 key of the payment webhook (PAYMENT_WEBHOOK_SECRET). Empty:
	// EnsureSecrets generates it when the database is embedded; otherwise the webhook has to refuse everything.
	PaymentWebhookSecret Secret
	// NotificationRetention is how far back a client may resume (NOTIFICATION_RETENTION).
	NotificationRetention time.Duration
	// LogLevel is the least level that is logged (LOG_LEVEL).
	LogLevel slog.Level
	// LogFormat is "text", "json" or empty (LOG_FORMAT). Empty: text on a terminal, else json.
	LogFormat string
	// BusinessName is the name shown to customers (BUSINESS_NAME).
	BusinessName string
	// RateLimitUser and RateLimitAddress are how many requests one user and one address may make in 10 s
	// (RATE_LIMIT_USER, RATE_LIMIT_ADDRESS). 0: any number.
	RateLimitUser, RateLimitAddress int
	// MaxRequests is how many requests are worked on at a time (MAX_REQUESTS). 0: any number.
	MaxRequests int
	// MaxUserConnections and MaxAddressConnections are how many connections a user and an address may have open at a
	// node (MAX_USER_CONNECTIONS, MAX_ADDRESS_CONNECTIONS). 0: any number.
	MaxUserConnections, MaxAddressConnections int
	// DrainDelay is how long a node that is told to stop goes on taking requests while /ready says 503 already
	// (DRAIN_DELAY), for balancers to notice. By default 1 s, and nothing with the embedded database.
	DrainDelay time.Duration
	// TrustedProxies are the proxies whose word for a client's address is taken (TRUSTED_PROXIES). Empty: none.
	TrustedProxies proxies.Trusted
	// AuditKey is the note signer's key that checkpoints of the log are signed with (AUDIT_KEY). Empty: EnsureAuditKey
	// generates it; ReadAuditKey reads the one that was.
	AuditKey Secret
	// AuditPublicKeys are verifier keys whose signatures are accepted beside AuditKey's: those that were used before
	// (AUDIT_PUBLIC_KEYS). Empty: none.
	AuditPublicKeys []string
	// CheckpointDir is the folder that signed checkpoints are exported to (CHECKPOINT_DIR), by default DataDir/checkpoints.
	CheckpointDir string
}

// DefaultConnections is how many connections to the database a node has, unless DATABASE_URL says pool_max_conns.
const DefaultConnections = 16

// DefaultMaxRequests is as many as a node with this DATABASE_URL has connections, and at least [DefaultConnections]. With
// more, requests would wait for a connection, and before appends and projections, which everybody waits for.
func DefaultMaxRequests(databaseURL string) int {
	if u, err := url.Parse(databaseURL); err == nil {
		if n, err := strconv.Atoi(u.Query().Get("pool_max_conns")); err == nil {
			return max(n, DefaultConnections)
		}
	}
	return DefaultConnections
}

// Embedded says whether the program runs its own PostgreSQL.
func (c Config) Embedded() bool { return c.DatabaseURL == "" }

// Addr is where to listen, as net.Listen takes it.
func (c Config) Addr() string { return net.JoinHostPort(c.Host, strconv.Itoa(c.Port)) }

// Logger writes to w in the configured format and level. Without a format, a w that is a terminal gets text.
func (c Config) Logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel}
	format := c.LogFormat
	if format == "" {
		format = "json"
		if f, ok := w.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
			format = "text"
		}
	}
	if format == "text" {
		return slog.New(slog.NewTextHandler(w, options))
	}
	return slog.New(slog.NewJSONHandler(w, options))
}

// Load reads the settings through getenv, usually os.Getenv; an empty variable counts as not set. It reads no file:
// EnsureSecrets does that afterwards, in commands that need the secrets. All faults come in one error of one line.
func Load(getenv func(string) string) (Config, error) {
	r := reader{getenv: getenv}
	c := r.config()
	r.secrets(c)
	return r.result(c)
}

// LoadWithoutKeys is Load for commands that neither take nor make tokens, so that one who only migrates the database
// need not be trusted with the keys: it does not ask for any. What is set must still be right.
func LoadWithoutKeys(getenv func(string) string) (Config, error) {
	r := reader{getenv: getenv}
	return r.result(r.config())
}

func (r *reader) result(c Config) (Config, error) {
	if len(r.faults) > 0 {
		return Config{}, faults(r.faults)
	}
	return c, nil
}

func (r *reader) config() Config {
	c := Config{
		Host:                  r.host(),
		Port:                  r.port(),
		DatabaseURL:           r.databaseURL(),
		DataDir:               r.text("DATA_DIR", DefaultDataDir),
		JWTSecret:             r.secret("JWT_SECRET"),
		JWKSURL:               r.jwksURL(),
		JWTIssuer:             r.text("JWT_ISSUER", ""),
		JWTAudience:           r.text("JWT_AUDIENCE", ""),
		PaymentWebhookSecret:  r.secret("PAYMENT_WEBHOOK_SECRET"),
		NotificationRetention: r.retention(),
		LogLevel:              r.logLevel(),
		LogFormat:             r.oneOf("LOG_FORMAT", "text", "json"),
		BusinessName:          r.businessName(),
		RateLimitUser:         r.limit("RATE_LIMIT_USER", DefaultRateLimitUser),
		RateLimitAddress:      r.limit("RATE_LIMIT_ADDRESS", DefaultRateLimitAddress),
		MaxUserConnections:    r.count("MAX_USER_CONNECTIONS", DefaultMaxUserConnections),
		MaxAddressConnections: r.count("MAX_ADDRESS_CONNECTIONS", DefaultMaxAddressConnections),
		DrainDelay:            r.drainDelay(),
		TrustedProxies:        r.trustedProxies(),
		AuditKey:              r.auditKey(),
		AuditPublicKeys:       r.auditPublicKeys(),
	}
	c.MaxRequests = r.count("MAX_REQUESTS", DefaultMaxRequests(c.DatabaseURL))
	c.ClientOrigins = r.origins()
	c.CheckpointDir = r.text("CHECKPOINT_DIR", filepath.Join(c.DataDir, checkpointFolder))
	return c
}

// secrets holds what the secrets, the database and the address must be to each other.
func (r *reader) secrets(c Config) {
	// What is set but faulty has its own message already.
	noKey := r.get("JWT_SECRET") == "" && r.get("JWT_JWKS_URL") == ""
	noWebhook := r.get("PAYMENT_WEBHOOK_SECRET") == ""
	if r.get("DATABASE_URL") != "" {
		if noKey {
			r.fault("with DATABASE_URL no secret is generated: set JWT_SECRET to at least %d bytes (openssl rand -hex 32), or JWT_JWKS_URL", minSecretBytes)
		}
		return
	}
	if isLoopback(c.Host) {
		return
	}
	if noKey {
		r.fault("HOST=%s is reachable from elsewhere, where a generated secret is not enough: set JWT_SECRET to at least %d bytes (openssl rand -hex 32), or JWT_JWKS_URL", c.Host, minSecretBytes)
	}
	if noWebhook {
		r.fault("HOST=%s is reachable from elsewhere, where a generated secret is not enough: set PAYMENT_WEBHOOK_SECRET to at least %d bytes (openssl rand -hex 32)", c.Host, minSecretBytes)
	}
}

func isLoopback(host string) bool {
	if ip := net.ParseIP(host); ip != nil {
		return ip.IsLoopback()
	}
	return host == "localhost"
}

// Secret is a key that formatting and logging do not show.
type Secret []byte

const hidden = "[hidden]"

// Format writes a placeholder, whatever the verb.
func (Secret) Format(s fmt.State, _ rune) { _, _ = io.WriteString(s, hidden) }

// LogValue is a placeholder.
func (Secret) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalText is a placeholder.
func (Secret) MarshalText() ([]byte, error) { return []byte(hidden), nil }

// faults joins errors on one line: an operator reads it in a log of lines.
type faults []error

func (f faults) Error() string {
	s := ""
	for i, err := range f {
		if i > 0 {
			s += "; "
		}
		s += err.Error()
	}
	return s
}

// Unwrap lets errors.Is look into each.
func (f faults) Unwrap() []error { return f }
