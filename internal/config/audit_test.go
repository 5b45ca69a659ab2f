package config

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

func ensureAuditKey(t *testing.T, c Config) Config {
	t.Helper()
	got, err := EnsureAuditKey(c)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func put(t *testing.T, path, content string, mode os.FileMode) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), mode); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, mode); err != nil {
		t.Fatal(err)
	}
}

func TestAGeneratedAuditKeyIsKept(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]string{"its own database": "", "a given database": someURL} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := Config{DataDir: filepath.Join(t.TempDir(), "new", "data"), DatabaseURL: url}
			first := ensureAuditKey(t, c)
			for what, again := range map[string]func(Config) (Config, error){"at the next start": EnsureAuditKey, "read": ReadAuditKey} {
				if got, err := again(c); err != nil || string(got.AuditKey) != string(first.AuditKey) || len(first.AuditKey) == 0 {
					t.Errorf("%s the key is another one (%v)", what, err)
				}
			}
			public, err := publicKey(string(first.AuditKey))
			if err != nil {
				t.Fatal(err)
			}
			// Both who has the private key and who may only read the public one know the public one.
			for what, c := range map[string]Config{"kept": c, "given": {DataDir: t.TempDir(), AuditKey: first.AuditKey}} {
				if got, err := AuditPublicKey(c); err != nil || got != public {
					t.Errorf("%s: the public key is %q, %v; want %q", what, got, err, public)
				}
			}
			for name, mode := range map[string]os.FileMode{auditKeyFile: 0o600, auditPublicKeyFile: 0o644} {
				info, err := os.Stat(filepath.Join(c.DataDir, name))
				if err != nil || info.Mode().Perm() != mode {
					t.Errorf("%s: %v, %v", name, info, err)
				}
			}
			if left, _ := filepath.Glob(filepath.Join(c.DataDir, "*")); len(left) != 2 {
				t.Errorf("left %v", left)
			}
		})
	}
}

func TestAGivenAuditKeyIsKeptNowhere(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	c := Config{DataDir: dir, AuditKey: Secret(someAuditKey)}
	for what, f := range map[string]func(Config) (Config, error){"ensured": EnsureAuditKey, "read": ReadAuditKey} {
		if got, err := f(c); err != nil || string(got.AuditKey) != someAuditKey {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got, err := AuditPublicKey(c); err != nil || got != someAuditPublicKey {
		t.Errorf("its public key is %q, %v; want %q", got, err, someAuditPublicKey)
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

func TestReadingAnAuditKeyMakesNone(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "data")
	_, err := ReadAuditKey(Config{DataDir: dir})
	_, publicErr := AuditPublicKey(Config{DataDir: dir})
	for _, err := range []error{err, publicErr} {
		if !errors.Is(err, ErrNoAuditKey) || !strings.Contains(err.Error(), "AUDIT_KEY") || !strings.Contains(err.Error(), dir) {
			t.Errorf("ended with %v", err)
		}
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the folder was made")
	}
}

func TestStartsAtOnceAgreeOnAnAuditKey(t *testing.T) {
	t.Parallel()
	for range 20 {
		dir := t.TempDir()
		var got [8]string
		var group sync.WaitGroup
		for i := range got {
			group.Go(func() {
				c, err := EnsureAuditKey(Config{DataDir: dir})
				if err != nil {
					t.Error(err)
				}
				got[i] = string(c.AuditKey)
			})
		}
		group.Wait()
		for _, key := range got {
			if key != got[0] || key == "" {
				t.Fatal("two starts have different keys")
			}
		}
	}
}

// A public key that what was signed is checked with must not go: each of these has to be put right by a person.
func TestAKeptAuditKeyThatCannotBeUsed(t *testing.T) {
	t.Parallel()
	_, other, err := GenerateAuditKey()
	if err != nil {
		t.Fatal(err)
	}
	for name, tc := range map[string]struct {
		key    string
		mode   os.FileMode
		public string
		says   string
	}{
		"is empty":                 {"\n", 0o600, "", "holds no audit key"},
		"is no key":                {someSecret, 0o600, "", "holds no audit key"},
		"is cut off":               {someAuditKey[:40], 0o600, "", "holds no audit key"},
		"can be read by everybody": {someAuditKey, 0o644, "", "mode 644"},
		"is of another public one": {someAuditKey, 0o600, other, "AUDIT_PUBLIC_KEYS"},
		"is gone":                  {"", 0, other, "AUDIT_PUBLIC_KEYS"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := t.TempDir()
			if tc.key != "" {
				put(t, filepath.Join(dir, auditKeyFile), tc.key, tc.mode)
			}
			publicPath := filepath.Join(dir, auditPublicKeyFile)
			if tc.public != "" {
				put(t, publicPath, tc.public+"\n", 0o644)
			}
			_, err := EnsureAuditKey(Config{DataDir: dir})
			if err == nil || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
				t.Fatalf("got %v", err)
			}
			if strings.Contains(err.Error(), "PRIVATE") || strings.Contains(err.Error(), someSecret) {
				t.Errorf("shows a secret: %v", err)
			}
			if _, err := os.Stat(filepath.Join(dir, auditKeyFile)); tc.key == "" && err == nil {
				t.Error("another key was made")
			}
			if kept, err := os.ReadFile(publicPath); tc.public != "" && string(kept) != tc.public+"\n" {
				t.Errorf("the public key is %q now, %v", kept, err)
			}
		})
	}
}

func TestAPublicKeyThatIsNone(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	path := filepath.Join(dir, auditPublicKeyFile)
	put(t, path, "orderlog+00000000+AAAA", 0o644)
	if _, err := AuditPublicKey(Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), path) {
		t.Errorf("got %v", err)
	}
}
