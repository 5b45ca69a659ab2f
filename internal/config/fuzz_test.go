package config

import (
	"fmt"
	"net/url"
	"reflect"
	"regexp"
	"strings"
	"testing"
)

// Whatever the environment says, it is settings within their bounds, which read the same when they are written as they
// were understood, or one line that names what is wrong; and no secret is shown in either.
func FuzzTheEnvironmentIsUnderstoodOrRefusedInOneLine(f *testing.F) {
	signer, public, err := GenerateAuditKey()
	if err != nil {
		f.Fatal(err)
	}
	for _, lines := range []string{
		"", "HOST=0.0.0.0\nJWT_SECRET=" + strings.Repeat("s3cr3t-", 6) + "\nPAYMENT_WEBHOOK_SECRET=" + strings.Repeat("hush-", 9),
		"DATABASE_URL=postgres://orderlog:passw0rd-1@db.example:5432/orderlog?sslmode=verify-full\nJWT_JWKS_URL=https://id.example/jwks.json",
		"DATABASE_URL=mysql://root:passw0rd-2@x", "DATABASE_URL=postgres://u:passw0rd-3@[::1", "DATABASE_URL=postgres:u:passw0rd-4@x", "JWT_SECRET=too-short-a-secret",
		"PORT=65536\nHOST=a b\nLOG_LEVEL=loud\nLOG_FORMAT=xml\nNOTIFICATION_RETENTION=-1h\nRATE_LIMIT_USER=-1\nTRUSTED_PROXIES=x\nCLIENT_URL=shop.example",
		"CLIENT_URL=https://Shop.example:443/, http://localhost:80,*", "CLIENT_URL=*", "CLIENT_URL=http://[::1]:3000", "TRUSTED_PROXIES=10.0.0.0/8,::1",
		"AUDIT_KEY=" + signer + "\nAUDIT_PUBLIC_KEYS=" + public + ",,", "AUDIT_PUBLIC_KEYS=" + signer, "AUDIT_KEY=PRIVATE+KEY+x", "BUSINESS_NAME=é\x00", "HOST=[::1]\nPORT=0",
		"NOTIFICATION_RETENTION=9223372036854775807ns\nRATE_LIMIT_ADDRESS=000", "HOST=\xff\nBUSINESS_NAME=\u2028",
	} {
		f.Add(lines)
	}
	f.Fuzz(func(t *testing.T, lines string) {
		environment := map[string]string{}
		for line := range strings.SplitSeq(lines, "\n") {
			if name, value, ok := strings.Cut(line, "="); ok {
				environment[name] = value
			}
		}
		c, err := Load(func(name string) string { return environment[name] })
		shown := fmt.Sprintf("%v %+v %#v", c.JWTSecret, c.PaymentWebhookSecret, c.AuditKey)
		if err != nil {
			shown += err.Error()
			if text := err.Error(); text == "" || strings.ContainsAny(text, "\n\r") {
				t.Errorf("refused with %q", text)
			}
			if !reflect.DeepEqual(c, Config{}) {
				t.Errorf("refused, and there are settings: %+v", c)
			}
		}
		for _, secret := range secretsOf(environment) {
			if marked.MatchString(secret) && strings.Contains(shown, secret) && !publicly(environment, secret) {
				t.Errorf("%q is shown: %s", secret, shown)
			}
		}
		if err != nil {
			return
		}
		if c.Port < 0 || c.Port > 65535 || c.Host == "" || c.NotificationRetention < MinNotificationRetention || c.RateLimitUser < 0 || c.RateLimitAddress < 0 ||
			len(c.JWTSecret) > 0 && len(c.JWTSecret) < minSecretBytes || len(c.PaymentWebhookSecret) > 0 && len(c.PaymentWebhookSecret) < minSecretBytes {
			t.Errorf("out of bounds: %+v", c)
		}
		environment["HOST"], environment["PORT"], environment["CLIENT_URL"] = c.Host, fmt.Sprint(c.Port), strings.Join(c.ClientOrigins, ",")
		environment["NOTIFICATION_RETENTION"], environment["LOG_LEVEL"] = c.NotificationRetention.String(), c.LogLevel.String()
		again, err := Load(func(name string) string { return environment[name] })
		if len(c.ClientOrigins) == 0 { // which is the default when it is written down
			again.ClientOrigins = nil
		}
		if err != nil || !reflect.DeepEqual(c, again) {
			t.Errorf("%+v is read again as %+v, %v", c, again, err)
		}
	})
}

// marked are secrets that no message has by chance.
var marked = regexp.MustCompile(`passw0rd|s3cr3t|hush-|too-short-a-secret|\+[0-9a-f]{8}\+`)

// secretsOf are what must not be shown.
func secretsOf(environment map[string]string) []string {
	secrets := []string{environment["JWT_SECRET"], environment["PAYMENT_WEBHOOK_SECRET"], strings.TrimSpace(environment["AUDIT_KEY"])}
	if u, err := url.Parse(environment["DATABASE_URL"]); err == nil && u.User != nil {
		password, _ := u.User.Password()
		secrets = append(secrets, password)
	} else if _, rest, ok := strings.Cut(environment["DATABASE_URL"], ":passw0rd"); ok {
		secrets = append(secrets, "passw0rd"+rest)
	}
	return secrets
}

// publicly says whether a secret is also the value, or a part of the value, of something that may be shown.
func publicly(environment map[string]string, secret string) bool {
	for name, value := range environment {
		switch name {
		case "JWT_SECRET", "PAYMENT_WEBHOOK_SECRET", "AUDIT_KEY", "AUDIT_PUBLIC_KEYS", "DATABASE_URL":
		default:
			if strings.Contains(fmt.Sprintf("%q", value)+value, secret) {
				return true
			}
		}
	}
	return false
}
