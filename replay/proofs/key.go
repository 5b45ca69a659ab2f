package proofs

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"golang.org/x/mod/sumdb/note"
)

// KeyName is the name of the keys that are made here; what tells keys apart is the hash in them.
const KeyName = "orderlog"

// GenerateKey makes a signer's key (secret: PRIVATE+KEY+…) and its verifier key (to be published).
func GenerateKey() (signer, verifier string, err error) {
	signer, verifier, err = note.GenerateKey(rand.Reader, KeyName)
	if err != nil {
		return "", "", fmt.Errorf("make a key for checkpoints: %w", err)
	}
	return signer, verifier, nil
}

// errKey has nothing of the key in it: it may be logged.
var errKey = errors.New("the signing key is not one: it has the form PRIVATE+KEY+NAME+HASH+BASE64")

// PublicKey returns the verifier key of a signer's key.
func PublicKey(signer string) (verifier string, err error) {
	s, err := note.NewSigner(signer)
	if err != nil {
		return "", errKey
	}
	// What NewSigner took has five parts, the last of which is an algorithm's byte and a seed.
	parts := strings.SplitN(signer, "+", 5)
	secret, err := base64.StdEncoding.DecodeString(parts[len(parts)-1])
	if err != nil || len(secret) != 1+ed25519.SeedSize {
		return "", errKey
	}
	public, ok := ed25519.NewKeyFromSeed(secret[1:]).Public().(ed25519.PublicKey)
	if !ok {
		return "", errKey
	}
	return note.NewEd25519VerifierKey(s.Name(), public)
}

// keyring is whose signatures are accepted.
type keyring struct {
	verifiers note.Verifiers
	keys      map[keyID]string // as they are written
}

type keyID struct {
	name string
	hash uint32
}

// newKeyring takes verifier keys; one may be there twice.
func newKeyring(keys ...string) (keyring, error) {
	ring := keyring{keys: make(map[keyID]string)}
	var list []note.Verifier
	for _, key := range keys {
		v, err := note.NewVerifier(key)
		if err != nil {
			return keyring{}, fmt.Errorf("the public key %q is not one: %w; it has the form NAME+HASH+BASE64", key, err)
		}
		id := keyID{v.Name(), v.KeyHash()}
		if _, there := ring.keys[id]; !there {
			list = append(list, v)
		}
		ring.keys[id] = key
	}
	ring.verifiers = note.VerifierList(list...)
	return ring, nil
}

func (k keyring) empty() bool { return len(k.keys) == 0 }

// by returns the verifier key of a signature that was verified.
func (k keyring) by(s note.Signature) string { return k.keys[keyID{s.Name, s.Hash}] }
