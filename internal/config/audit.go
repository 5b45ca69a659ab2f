package config

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// What the audit keeps in DataDir: its key, readable by its owner alone, the public one, for everybody, and what was
// signed.
const (
	auditKeyFile       = "audit-key"
	auditPublicKeyFile = "audit-key.pub"
	checkpointFolder   = "checkpoints"
)

// auditKeyName is the name in generated keys. What tells them apart is the hash in them.
const auditKeyName = "orderlog"

// ErrNoAuditKey is returned where a key is asked for and none is set nor was generated.
var ErrNoAuditKey = errors.New("there is no audit key")

// EnsureAuditKey answers c with the audit's key, which is made where none is set nor kept: in DataDir, with the public
// one beside it. Processes that start together agree on one. With DATABASE_URL it does so too, but then each machine has
// a key of its own, whose public one the others have to be told (AUDIT_PUBLIC_KEYS).
//
// A public key is never replaced: what was signed could not be checked any more.
func EnsureAuditKey(c Config) (Config, error) {
	if len(c.AuditKey) > 0 {
		return c, nil
	}
	path, publicPath := filepath.Join(c.DataDir, auditKeyFile), filepath.Join(c.DataDir, auditPublicKeyFile)
	// Looked for first: who makes the two makes the private one first.
	if _, err := os.Stat(publicPath); err == nil {
		if _, err := os.Stat(path); errors.Is(err, fs.ErrNotExist) {
			return Config{}, otherKey(publicPath, "has no "+auditKeyFile+" beside it")
		}
	}
	key, err := ensureKept(c.DataDir, auditKeyFile, func() (string, error) {
		signer, _, err := GenerateAuditKey()
		return signer, err
	})
	if err != nil {
		return Config{}, fmt.Errorf("%w, or set AUDIT_KEY", err)
	}
	public, err := publicKey(string(key))
	if err != nil {
		return Config{}, damagedKey(path)
	}
	if err := publish(publicPath, public, 0o644); err != nil {
		return Config{}, fmt.Errorf("the audit's public key cannot be kept in %s (%w): make the folder writable, or set AUDIT_KEY", c.DataDir, err)
	}
	kept, err := os.ReadFile(publicPath)
	if err != nil {
		return Config{}, fmt.Errorf("the audit's public key cannot be read: %w", err)
	}
	if strings.TrimSpace(string(kept)) != public {
		return Config{}, otherKey(publicPath, "is of another key than "+auditKeyFile)
	}
	c.AuditKey = key
	return c, nil
}

// ReadAuditKey answers c with the audit's key, for programs beside the server: it makes none. Where there is none the
// error is [ErrNoAuditKey] with what to do.
func ReadAuditKey(c Config) (Config, error) {
	if len(c.AuditKey) > 0 {
		return c, nil
	}
	path := filepath.Join(c.DataDir, auditKeyFile)
	key, err := readSecret(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return Config{}, noAuditKey(c)
	case err != nil:
		return Config{}, fmt.Errorf("%w, or set AUDIT_KEY", err)
	}
	if _, err := publicKey(string(key)); err != nil {
		return Config{}, damagedKey(path)
	}
	c.AuditKey = key
	return c, nil
}

// AuditPublicKey answers the public key of AUDIT_KEY, or else the one that is kept in DataDir, which everybody may read.
// Where there is none the error is [ErrNoAuditKey] with what to do.
func AuditPublicKey(c Config) (string, error) {
	if len(c.AuditKey) > 0 {
		return publicKey(string(c.AuditKey))
	}
	path := filepath.Join(c.DataDir, auditPublicKeyFile)
	content, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", noAuditKey(c)
	case err != nil:
		return "", fmt.Errorf("the audit's public key cannot be read: %w", err)
	}
	key := strings.TrimSpace(string(content))
	if _, err := note.NewVerifier(key); err != nil {
		return "", fmt.Errorf("%s holds no public key: bring back the one that was there", path)
	}
	return key, nil
}

// GenerateAuditKey makes a signer's key, as AUDIT_KEY takes it, and its public one.
func GenerateAuditKey() (private, public string, err error) {
	private, public, err = note.GenerateKey(rand.Reader, auditKeyName)
	if err != nil {
		return "", "", fmt.Errorf("make an audit key: %w", err)
	}
	return private, public, nil
}

func noAuditKey(c Config) error {
	return fmt.Errorf("%w in %s: the server makes it at its start; set DATA_DIR to the server's, or AUDIT_KEY", ErrNoAuditKey, c.DataDir)
}

// The key in it is not shown, however it is broken.
func damagedKey(path string) error {
	return fmt.Errorf("%s holds no audit key: bring back the one that was there, or set AUDIT_KEY", path)
}

func otherKey(publicPath, what string) error {
	return fmt.Errorf("%s %s: bring that key back, or move the file away and set AUDIT_PUBLIC_KEYS to what is in it, so that what was signed can still be checked",
		publicPath, what)
}

// publicKey is the verifier's key of a signer's. Its errors do not show the key.
func publicKey(signer string) (string, error) {
	s, err := note.NewSigner(signer)
	if err != nil {
		return "", err
	}
	// PRIVATE+KEY+NAME+HASH+KEY: the algorithm, which NewSigner has checked, and the seed, in base64, which may have a plus.
	seed, err := base64.StdEncoding.DecodeString(strings.SplitN(signer, "+", 5)[4])
	if err != nil {
		return "", errors.New("malformed signer id")
	}
	public, ok := ed25519.NewKeyFromSeed(seed[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errors.New("malformed signer id")
	}
	return note.NewEd25519VerifierKey(s.Name(), public)
}
