package config

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func ensure(t *testing.T, c Config) Config {
	t.Helper()
	got, err := EnsureSecrets(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestGeneratedSecretsAreKept(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "new", "data")
	first := ensure(t, Config{DataDir: dir})
	if len(first.JWTSecret) < 32 || len(first.PaymentWebhookSecret) < 32 {
		t.Fatal("too short")
	}
	if string(first.JWTSecret) == string(first.PaymentWebhookSecret) {
		t.Error("one secret for two purposes")
	}
	second := ensure(t, Config{DataDir: dir})
	if string(first.JWTSecret) != string(second.JWTSecret) || string(first.PaymentWebhookSecret) != string(second.PaymentWebhookSecret) {
		t.Error("the next start has other secrets")
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) != 2 {
		t.Errorf("%d files, want the two secrets and nothing left over", len(entries))
	}
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode().Perm() != 0o600 {
			t.Errorf("%s has mode %o", e.Name(), info.Mode().Perm())
		}
	}
}

func TestStartsAtOnceAgree(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := t.TempDir()
		var got [8]string
		var group sync.WaitGroup
		for i := range got {
			group.Go(func() {
				c, err := EnsureSecrets(Config{DataDir: dir})
				if err != nil {
					t.Error(err)
				}
				got[i] = string(c.JWTSecret) + string(c.PaymentWebhookSecret)
			})
		}
		group.Wait()
		for _, s := range got {
			if s != got[0] || s == "" {
				t.Fatal("two starts have different secrets")
			}
		}
	}
}

func TestNothingIsGeneratedWithoutNeed(t *testing.T) {
	t.Parallel()
	given := Secret(someSecret)
	for name, tc := range map[string]struct {
		config       Config
		jwt, webhook bool // generated
	}{
		"both given":          {Config{JWTSecret: given, PaymentWebhookSecret: given}, false, false},
		"published keys":      {Config{JWKSURL: "https://id.example/k"}, false, true},
		"a database of their": {Config{DatabaseURL: someURL}, false, false},
		"nothing given":       {Config{}, true, true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tc.config.DataDir = t.TempDir()
			got := ensure(t, tc.config)
			if (string(got.JWTSecret) != string(tc.config.JWTSecret)) != tc.jwt {
				t.Error("JWT secret generated or not, against the rule")
			}
			if (string(got.PaymentWebhookSecret) != string(tc.config.PaymentWebhookSecret)) != tc.webhook {
				t.Error("webhook secret generated or not, against the rule")
			}
		})
	}
}

func TestAKeptSecretThatCannotBeTrusted(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		content string
		mode    os.FileMode
	}{
		"is empty":                 {"", 0o600},
		"is short":                 {"short\n", 0o600},
		"can be read by the group": {someSecret, 0o640},
		"can be read by everybody": {someSecret, 0o604},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			path := filepath.Join(dir, jwtSecretFile)
			if err := os.WriteFile(path, []byte(tc.content), 0o600); err != nil {
				t.Fatal(err)
			}
			if err := os.Chmod(path, tc.mode); err != nil {
				t.Fatal(err)
			}
			_, err := EnsureSecrets(Config{DataDir: dir})
			if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "JWT_SECRET") || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v", err)
			}
		})
	}
}

func TestAFolderThatCannotBeMade(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	_, err := EnsureSecrets(Config{DataDir: filepath.Join(file, "data")})
	if err == nil || strings.Contains(err.Error(), "\n") {
		t.Fatalf("got %v", err)
	}
}
