package config

import (
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Files in DataDir that hold the generated secrets, readable by their owner alone.
const (
	jwtSecretFile     = "jwt-secret"
	webhookSecretFile = "payment-webhook-secret"
)

// EnsureSecrets answers c with the secrets that are generated where none is set: beside the embedded database they are
// made at the first start and kept in DataDir for the next. Processes that start together agree on one.
// With DATABASE_URL it changes nothing, because other nodes could not know what this one generates.
func EnsureSecrets(c Config) (Config, error) {
	if !c.Embedded() {
		return c, nil
	}
	var err error
	// With published keys an HS256 key nobody asked for would only be one more way in.
	if len(c.JWTSecret) == 0 && c.JWKSURL == "" {
		if c.JWTSecret, err = ensureSecret(c.DataDir, jwtSecretFile); err != nil {
			return Config{}, fmt.Errorf("%w, or set JWT_SECRET", err)
		}
	}
	if len(c.PaymentWebhookSecret) == 0 {
		if c.PaymentWebhookSecret, err = ensureSecret(c.DataDir, webhookSecretFile); err != nil {
			return Config{}, fmt.Errorf("%w, or set PAYMENT_WEBHOOK_SECRET", err)
		}
	}
	return c, nil
}

// ensureSecret reads a secret that is kept in dir, or makes one.
func ensureSecret(dir, name string) (Secret, error) {
	secret, err := ensureKept(dir, name, func() (string, error) {
		key := make([]byte, 32)
		_, _ = rand.Read(key) // never fails
		return hex.EncodeToString(key), nil
	})
	if err == nil && len(secret) < minSecretBytes {
		err = fmt.Errorf("%s holds no secret: delete it to have a new one made", filepath.Join(dir, name))
	}
	return secret, err
}

// ensureKept reads the one line of a file in dir that its owner alone may read, or has one generated.
func ensureKept(dir, name string, generate func() (string, error)) (Secret, error) {
	path := filepath.Join(dir, name)
	secret, err := readSecret(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, err
	}
	// Others may pass through, to the database whose server may run as another user; they may not look around.
	if err := os.MkdirAll(dir, 0o711); err != nil { //nolint:gosec // the secrets themselves are 0600
		return nil, fmt.Errorf("the folder for the secrets cannot be made (%w): set DATA_DIR to one that can be written", err)
	}
	made, err := generate()
	if err == nil {
		err = publish(path, made, 0o600)
	}
	if err != nil {
		return nil, fmt.Errorf("a secret cannot be kept in %s (%w): make the folder writable", dir, err)
	}
	return readSecret(path) // mine, or that of a process that was faster
}

// publish writes a new file in full and only then gives it its name, with a link, which unlike a rename fails when the
// name is taken: nobody reads half a secret and nobody replaces one that is in use. A name that is taken is no error.
func publish(path, line string, mode fs.FileMode) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), ".secret-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if removed := os.Remove(f.Name()); err == nil {
			err = removed
		}
	}()
	_, err = f.WriteString(line + "\n")
	if err == nil {
		err = f.Chmod(mode)
	}
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	if err = os.Link(f.Name(), path); errors.Is(err, fs.ErrExist) {
		return nil
	}
	return err
}

func readSecret(path string) (Secret, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%s can be read by others (mode %o): delete it to have a new one made", path, perm)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("the secret cannot be read: %w", err)
	}
	return Secret(strings.TrimSpace(string(content))), nil
}
