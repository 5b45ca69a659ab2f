package config

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/internal/proxies"
)

const (
	someSecret = "0123456789abcdef0123456789abcdef"
	someURL    = "postgres://app:hunter2@db.example:5432/orders"
)

var someAuditKey, someAuditPublicKey, _ = GenerateAuditKey()

type env map[string]string

func (e env) get(name string) string { return e[name] }

func TestAnEmptyEnvironmentIsEnough(t *testing.T) {
	t.Parallel()
	got, err := Load(env{}.get)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Host: "127.0.0.1", Port: 5000, DataDir: "./.orderlog", ClientOrigins: []string{"http://localhost:3000"},
		NotificationRetention: 720 * time.Hour, LogLevel: slog.LevelInfo, BusinessName: "Orderlog Kitchen",
		RateLimitUser: 5_000, RateLimitAddress: 20_000, MaxRequests: 16, MaxUserConnections: 500, MaxAddressConnections: 16_000,
		CheckpointDir: ".orderlog/checkpoints",
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
	if !got.Embedded() || got.Addr() != "127.0.0.1:5000" {
		t.Errorf("embedded %v, address %s", got.Embedded(), got.Addr())
	}
}

// Requests that wait for a connection stand before appends and projections.
func TestAsManyRequestsAsConnectionsAreWorkedOn(t *testing.T) {
	t.Parallel()
	for query, want := range map[string]int{"": 16, "?pool_max_conns=40": 40, "?sslmode=require&pool_max_conns=4": 16, "?pool_max_conns=x": 16} {
		got, err := Load(env{"DATABASE_URL": "postgres://u@db/orders" + query, "JWT_SECRET": someSecret}.get)
		if err != nil || got.MaxRequests != want {
			t.Errorf("%q: %d, want %d (%v)", query, got.MaxRequests, want, err)
		}
	}
}

func TestEveryVariableIsRead(t *testing.T) {
	t.Parallel()
	got, err := Load(env{
		"HOST": "0.0.0.0", "PORT": "0", "DATABASE_URL": someURL, "DATA_DIR": "/var/lib/orderlog", "JWT_SECRET": someSecret,
		"JWT_JWKS_URL": "https://id.example/keys", "JWT_ISSUER": "https://id.example", "JWT_AUDIENCE": "orderlog",
		"CLIENT_URL": "https://Shop.example:443/, http://localhost:3000", "PAYMENT_WEBHOOK_SECRET": someSecret + "x",
		"NOTIFICATION_RETENTION": "48h", "LOG_LEVEL": "DEBUG", "LOG_FORMAT": "json", "BUSINESS_NAME": "Ravi's",
		"RATE_LIMIT_USER": "0", "RATE_LIMIT_ADDRESS": "300",
		"MAX_REQUESTS": "7", "MAX_USER_CONNECTIONS": "8", "MAX_ADDRESS_CONNECTIONS": "0", "TRUSTED_PROXIES": "10.0.0.0/8, ::1",
		"DRAIN_DELAY": "5s",
		"AUDIT_KEY":   someAuditKey, "AUDIT_PUBLIC_KEYS": someAuditPublicKey + ", " + someAuditPublicKey + ",", "CHECKPOINT_DIR": "/mnt/worm",
	}.get)
	if err != nil {
		t.Fatal(err)
	}
	want := Config{
		Host: "0.0.0.0", Port: 0, DatabaseURL: someURL, DataDir: "/var/lib/orderlog", JWTSecret: Secret(someSecret),
		JWKSURL: "https://id.example/keys", JWTIssuer: "https://id.example", JWTAudience: "orderlog",
		ClientOrigins: []string{"https://shop.example", "http://localhost:3000"}, PaymentWebhookSecret: Secret(someSecret + "x"),
		NotificationRetention: 48 * time.Hour, LogLevel: slog.LevelDebug, LogFormat: "json", BusinessName: "Ravi's",
		RateLimitUser: 0, RateLimitAddress: 300, MaxRequests: 7, MaxUserConnections: 8, MaxAddressConnections: 0,
		DrainDelay:     5 * time.Second,
		TrustedProxies: proxies.Trusted{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")},
		AuditKey:       Secret(someAuditKey), AuditPublicKeys: []string{someAuditPublicKey, someAuditPublicKey}, CheckpointDir: "/mnt/worm",
	}
	if !reflect.DeepEqual(got, want) {
		t.Fatalf("got  %+v\nwant %+v", got, want)
	}
}

func TestWhatIsAccepted(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]env{
		"another loopback address, secrets generated": {"HOST": "127.0.0.2"},
		"localhost, secrets generated":                {"HOST": "LocalHost"},
		"IPv6 loopback in brackets":                   {"HOST": "[::1]"},
		"reachable, both secrets given":               {"HOST": "0.0.0.0", "JWT_SECRET": someSecret, "PAYMENT_WEBHOOK_SECRET": someSecret},
		"reachable, published keys":                   {"HOST": "0.0.0.0", "JWT_JWKS_URL": "https://id.example/k", "PAYMENT_WEBHOOK_SECRET": someSecret},
		"reachable, its own database, no webhook":     {"HOST": "0.0.0.0", "DATABASE_URL": someURL, "JWT_SECRET": someSecret},
		"a database through a socket":                 {"DATABASE_URL": "postgresql:///orders?host=/run/postgresql", "JWT_SECRET": someSecret},
		"published keys and a database":               {"DATABASE_URL": someURL, "JWT_JWKS_URL": "http://id:8080/k"},
		"every origin with the embedded database":     {"CLIENT_URL": "*"},
		"blank variables":                             {"PORT": " ", "JWT_SECRET": "  ", "LOG_FORMAT": ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := Load(e.get); err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	pem := "-----BEGIN PUBLIC KEY-----\nMCowBQYDK2VwAyEAGb9ECWmEzf6FQbrBZ9w7lshQhqowtrbLDFw4rXAxZuE=\n-----END PUBLIC KEY-----\n"
	for name, tc := range map[string]struct {
		env  env
		says []string // one fault each, and each names its variable
	}{
		"a port that is none":              {env{"PORT": "http"}, []string{"PORT"}},
		"a port beyond the last":           {env{"PORT": "65536"}, []string{"PORT"}},
		"a host with a port":               {env{"HOST": "127.0.0.1:80"}, []string{"HOST"}},
		"a short secret":                   {env{"JWT_SECRET": "hunter2"}, []string{"JWT_SECRET"}},
		"a public key as secret":           {env{"JWT_SECRET": pem}, []string{"JWT_SECRET"}},
		"a short webhook secret":           {env{"PAYMENT_WEBHOOK_SECRET": "hunter2"}, []string{"PAYMENT_WEBHOOK_SECRET"}},
		"a database that is no PostgreSQL": {env{"DATABASE_URL": "mysql://app:hunter2@db/x", "JWT_SECRET": someSecret}, []string{"DATABASE_URL"}},
		"a database URL that is none":      {env{"DATABASE_URL": "postgres://app:hunter2@db:port%/x", "JWT_SECRET": someSecret}, []string{"DATABASE_URL"}},
		"a database and no key":            {env{"DATABASE_URL": someURL}, []string{"JWT_SECRET"}},
		"a database and a short key":       {env{"DATABASE_URL": someURL, "JWT_SECRET": "hunter2"}, []string{"JWT_SECRET"}},
		"a key set from a file":            {env{"JWT_JWKS_URL": "file:///etc/keys"}, []string{"JWT_JWKS_URL"}},
		"every origin and a database":      {env{"CLIENT_URL": "*", "DATABASE_URL": someURL, "JWT_SECRET": someSecret}, []string{"CLIENT_URL"}},
		"every origin and another":         {env{"CLIENT_URL": "*,https://shop.example"}, []string{"CLIENT_URL"}},
		"an origin with a path":            {env{"CLIENT_URL": "https://shop.example/app"}, []string{"CLIENT_URL"}},
		"an origin without scheme":         {env{"CLIENT_URL": "shop.example"}, []string{"CLIENT_URL"}},
		"an origin with a wildcard":        {env{"CLIENT_URL": "https://*.example"}, []string{"CLIENT_URL"}},
		"a retention without unit":         {env{"NOTIFICATION_RETENTION": "30"}, []string{"NOTIFICATION_RETENTION"}},
		"a retention of nothing":           {env{"NOTIFICATION_RETENTION": "999ms"}, []string{"NOTIFICATION_RETENTION"}},
		"an unknown level":                 {env{"LOG_LEVEL": "loud"}, []string{"LOG_LEVEL"}},
		"an unknown format":                {env{"LOG_FORMAT": "xml"}, []string{"LOG_FORMAT"}},
		"a delay that is no duration":      {env{"DRAIN_DELAY": "5"}, []string{"DRAIN_DELAY"}},
		"a delay under nothing":            {env{"DRAIN_DELAY": "-1s"}, []string{"DRAIN_DELAY"}},
		"a delay without an end":           {env{"DRAIN_DELAY": "1h"}, []string{"DRAIN_DELAY"}},
		"a name of two lines":              {env{"BUSINESS_NAME": "a\nb"}, []string{"BUSINESS_NAME"}},
		"a limit that is no number":        {env{"RATE_LIMIT_USER": "many"}, []string{"RATE_LIMIT_USER"}},
		"a limit under nothing":            {env{"RATE_LIMIT_ADDRESS": "-1"}, []string{"RATE_LIMIT_ADDRESS"}},
		"a bound under nothing":            {env{"MAX_REQUESTS": "-1"}, []string{"MAX_REQUESTS"}},
		"a bound that is no number":        {env{"MAX_USER_CONNECTIONS": "few"}, []string{"MAX_USER_CONNECTIONS"}},
		"a limit beyond every number":      {env{"RATE_LIMIT_USER": "99999999999999999999"}, []string{"RATE_LIMIT_USER"}},
		"a proxy by its name":              {env{"TRUSTED_PROXIES": "10.0.0.1,proxy.example"}, []string{"TRUSTED_PROXIES"}},
		"reachable, nothing given":         {env{"HOST": "0.0.0.0"}, []string{"JWT_SECRET", "PAYMENT_WEBHOOK_SECRET"}},
		"reachable, one given":             {env{"HOST": "::", "JWT_SECRET": someSecret}, []string{"PAYMENT_WEBHOOK_SECRET"}},
		"a host name, nothing given":       {env{"HOST": "orders.example"}, []string{"JWT_SECRET", "PAYMENT_WEBHOOK_SECRET"}},
		"a name that only looks loopback":  {env{"HOST": "127.0.0.1.example", "PAYMENT_WEBHOOK_SECRET": someSecret}, []string{"JWT_SECRET"}},
		"an audit key of nothing":          {env{"AUDIT_KEY": "hunter2"}, []string{"AUDIT_KEY"}},
		"an audit key that was mistyped":   {env{"AUDIT_KEY": strings.Replace(someAuditKey, "+orderlog+", "+hunter2+", 1)}, []string{"AUDIT_KEY"}},
		"a public audit key to sign with":  {env{"AUDIT_KEY": someAuditPublicKey}, []string{"AUDIT_KEY"}},
		"a private key among public ones":  {env{"AUDIT_PUBLIC_KEYS": someAuditPublicKey + "," + someAuditKey}, []string{"AUDIT_PUBLIC_KEYS"}},
		"a public key that was cut off":    {env{"AUDIT_PUBLIC_KEYS": "hunter2," + someAuditPublicKey[:30]}, []string{"AUDIT_PUBLIC_KEYS", "AUDIT_PUBLIC_KEYS"}},
		"several at once":                  {env{"PORT": "x", "LOG_LEVEL": "loud", "CLIENT_URL": "x", "JWT_SECRET": "s"}, []string{"PORT", "JWT_SECRET", "LOG_LEVEL", "CLIENT_URL"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Load(tc.env.get)
			if err == nil {
				t.Fatal("accepted")
			}
			text := err.Error()
			if strings.Contains(text, "\n") {
				t.Errorf("more than one line: %q", text)
			}
			parts := strings.Split(text, "; ")
			if len(parts) != len(tc.says) {
				t.Fatalf("%d faults, want %d: %s", len(parts), len(tc.says), text)
			}
			for i, variable := range tc.says {
				if !strings.Contains(parts[i], variable) || !strings.Contains(parts[i], "set ") {
					t.Errorf("%q does not say to set %s", parts[i], variable)
				}
			}
			if strings.Contains(text, "hunter2") || strings.Contains(text, "PRIVATE+KEY+orderlog") {
				t.Errorf("shows a secret: %s", text)
			}
		})
	}
}

func TestWhoOnlyMigratesNeedsNoKeys(t *testing.T) {
	t.Parallel()
	for name, e := range map[string]env{
		"a database":            {"DATABASE_URL": someURL},
		"reachable, a database": {"DATABASE_URL": someURL, "HOST": "0.0.0.0"},
		"reachable, embedded":   {"HOST": "0.0.0.0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := LoadWithoutKeys(e.get); err != nil {
				t.Errorf("LoadWithoutKeys refused: %v", err)
			}
			if _, err := Load(e.get); err == nil {
				t.Error("Load asked for no key")
			}
		})
	}
	if _, err := LoadWithoutKeys(env{"PORT": "x", "JWT_SECRET": "short"}.get); err == nil ||
		!strings.Contains(err.Error(), "PORT") || !strings.Contains(err.Error(), "JWT_SECRET") {
		t.Errorf("what is set and wrong was not refused: %v", err)
	}
}

func TestSecretsAreNotShown(t *testing.T) {
	t.Parallel()
	c, err := Load(env{"JWT_SECRET": someSecret, "PAYMENT_WEBHOOK_SECRET": someSecret, "AUDIT_KEY": someAuditKey}.get)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c.Logger(&out).Info("starting", "config", c, "secret", c.JWTSecret)
	_ = json.NewEncoder(&out).Encode(c)
	out.WriteString(strings.ToLower(fmtAll(c) + fmtAll(c.JWTSecret)))
	for _, shown := range []string{someSecret, "30313233", "48, 49", "48 49", "mdeymzq1", "PRIVATE", "private", "505249", "80, 82", "80 82", "UFJJ"} {
		if strings.Contains(out.String(), shown) {
			t.Errorf("%q is shown in %s", shown, out.String())
		}
	}
}

func fmtAll(v any) string { return fmt.Sprintf("%v %+v %#v %s %x %q", v, v, v, v, v, v) }

func TestLogsAreJSONWhereNobodyReadsThem(t *testing.T) {
	t.Parallel()
	for format, want := range map[string]string{"": `{"time"`, "json": `{"time"`, "text": "time="} {
		var out bytes.Buffer
		Config{LogFormat: format, LogLevel: slog.LevelWarn}.Logger(&out).Info("quiet")
		if out.Len() > 0 {
			t.Errorf("%q: a line under the level: %s", format, out.String())
		}
		Config{LogFormat: format}.Logger(&out).Info("hello")
		if !strings.HasPrefix(out.String(), want) {
			t.Errorf("%q: got %s", format, out.String())
		}
	}
}
