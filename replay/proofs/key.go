package proofs

import (
	"crypto/rand"
	"fmt"

	"golang.org/x/mod/sumdb/note"
)

// KeyName is the name of all keys; what tells them apart is the hash in them.
const KeyName = "orderlog"

// GenerateKey makes a signer's key (secret: PRIVATE+KEY+…) and its verifier key (to be published).
func GenerateKey() (signer, verifier string, err error) {
	signer, verifier, err = note.GenerateKey(rand.Reader, KeyName)
	if err != nil {
		return "", "", fmt.Errorf("make a key for checkpoints: %w", err)
	}
	return signer, verifier, nil
}

// PublicKey returns the verifier key of a signer's key.
func PublicKey(signer string) (verifier string, err error) { return "", errNotYet }
