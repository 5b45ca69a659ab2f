package proofs_test

import (
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/orderlog/orderlog/replay/proofs"
)

// Whatever text is signed, it is read as the tree that it names, in the one way in which that is written.
func FuzzACheckpointIsReadAsItIsWritten(f *testing.F) {
	const root = "D0Xf5ykdmQaxl1vWGw+phoEczEHv57UnrVrzdZS0G/M="
	const log = "orderlog/01a2072a-b25b-7dcf-86d7-175521641f17\n"
	for _, text := range []string{
		log + "42\n" + root + "\nat 2026-11-23T18:30:00.000120Z\n", log + "42\n" + root + "\n", log + "042\n" + root + "\n", log + "9223372036854775808\n" + root + "\n",
		strings.ToUpper(log) + "1\n" + root + "\n", log + "1\n" + root[:43] + "\n", log + "1\n" + strings.Replace(root, "M=", "N=", 1) + "\n", log + "1\n" + root + "\nat noon\nat 2026-11-23T18:30:00.000120Z\n",
		log + "1\n" + root + "\nmore\n\n", "\n\n\n", log + "+1\n" + root + "\n", log + "1\n" + root + "\nat 2026-11-23T18:30:60.000000Z\n",
	} {
		f.Add(text)
	}
	key, public, err := proofs.GenerateKey()
	must(f, err)
	signer, err := note.NewSigner(key)
	must(f, err)
	_, stranger, err := proofs.GenerateKey()
	must(f, err)
	f.Fuzz(func(t *testing.T, text string) {
		raw, err := note.Sign(&note.Note{Text: text}, signer)
		if err != nil {
			return // nobody signs it
		}
		if _, _, err := proofs.ReadCheckpoint(string(raw), stranger); err == nil {
			t.Fatalf("%q is taken by another's key", text)
		}
		if _, _, err := proofs.ReadCheckpoint(strings.Replace(string(raw), text, text+"x\n", 1), public); err == nil {
			t.Fatalf("%q is taken with more than was signed", text)
		}
		tree, at, err := proofs.ReadCheckpoint(string(raw), public)
		if err != nil {
			return
		}
		lines := strings.Split(text, "\n")
		if len(lines) < 4 || tree.N < 1 || lines[2] != tree.Hash.String() || !strings.HasPrefix(lines[0], "orderlog/") {
			t.Fatalf("%q is read as %v", text, tree)
		}
		if said := "\nat " + at.Format("2006-01-02T15:04:05.000000Z") + "\n"; !at.IsZero() && !strings.Contains(text, said) {
			t.Fatalf("%q was signed at %s", text, at)
		}
	})
}

// Whatever is given for a signing key, it has one public key, which verifies what it signs; and what is refused is not
// shown.
func FuzzAKeyVerifiesWhatItSigns(f *testing.F) {
	for range 3 {
		key, public, err := proofs.GenerateKey()
		must(f, err)
		f.Add(key)
		f.Add(public)
		f.Add(key[:len(key)-1])
		f.Add(strings.Replace(key, "orderlog", "another name", 1))
	}
	f.Add("PRIVATE+KEY+a+00000000+AQ==")
	f.Fuzz(func(t *testing.T, key string) {
		public, err := proofs.PublicKey(key)
		if err != nil {
			if len(key) > 20 && strings.Contains(err.Error(), key) {
				t.Fatalf("%q is shown", key)
			}
			return
		}
		signer, err := note.NewSigner(key)
		must(t, err)
		verifier, err := note.NewVerifier(public)
		if err != nil {
			t.Fatalf("%q has the public key %q: %v", key, public, err)
		}
		signature, err := signer.Sign([]byte("text"))
		if err != nil || !verifier.Verify([]byte("text"), signature) || verifier.KeyHash() != signer.KeyHash() || verifier.Name() != signer.Name() {
			t.Fatalf("%q has the public key %q, which does not verify what it signs: %v", key, public, err)
		}
	})
}
