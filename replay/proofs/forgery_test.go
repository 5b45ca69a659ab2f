package proofs_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/orderlog/orderlog/replay/proofs"
)

// bundled is the file, for those who would change it.
type bundled struct {
	Format     string    `json:"format"`
	Log        string    `json:"log"`
	OrderID    string    `json:"orderId"`
	PublicKey  string    `json:"publicKey"`
	Manifest   string    `json:"manifest"`
	Checkpoint string    `json:"checkpoint"`
	Events     []another `json:"events"`
}

type another struct {
	Event json.RawMessage `json:"event"`
	Proof []string        `json:"proof"`
}

func decode(t testing.TB, data []byte) (b bundled) {
	t.Helper()
	must(t, json.Unmarshal(data, &b))
	return b
}

func (b bundled) encode(t testing.TB) []byte {
	t.Helper()
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	must(t, encoder.Encode(b))
	return out.Bytes()
}

// resign signs what a note says, with another key.
func resign(t testing.TB, key, raw string) string {
	t.Helper()
	signer, err := note.NewSigner(key)
	must(t, err)
	text, _, _ := strings.Cut(raw, "\n\n")
	out, err := note.Sign(&note.Note{Text: text + "\n"}, signer)
	must(t, err)
	return string(out)
}

func TestABundleThatSaysSomethingElseIsFound(t *testing.T) {
	t.Parallel()
	w, orderID := paid(t)
	data, theirs := bundle(t, w, orderID), decode(t, bundle(t, w, w.orders[4]))
	elsewhere, otherOrder := paid(t)
	elsewhere.key, elsewhere.public = w.key, w.public
	ofOtherLog := decode(t, bundle(t, elsewhere, otherOrder))
	if _, err := proofs.VerifyBundle(decode(t, data).encode(t), []string{w.public}); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(b *bundled){
		"an event is left out":          func(b *bundled) { b.Events = slices.Delete(b.Events, 3, 4) },
		"the last event is left out":    func(b *bundled) { b.Events = b.Events[:len(b.Events)-1] },
		"all events are left out":       func(b *bundled) { b.Events = []another{} },
		"the order is changed":          func(b *bundled) { b.Events[3], b.Events[4] = b.Events[4], b.Events[3] },
		"an event is there twice":       func(b *bundled) { b.Events = slices.Insert(b.Events, 3, b.Events[3]) },
		"another's event is slipped in": func(b *bundled) { b.Events = slices.Insert(b.Events, 1, theirs.Events[0]) },
		"another's instead of one":      func(b *bundled) { b.Events[0] = theirs.Events[0] },
		"the proof of another event":    func(b *bundled) { b.Events[0].Proof = b.Events[1].Proof },
		"no proof":                      func(b *bundled) { b.Events[0].Proof = []string{} },
		"the checkpoint of another log": func(b *bundled) { b.Checkpoint = ofOtherLog.Checkpoint },
		"a checkpoint of these events under another log's id": func(b *bundled) {
			b.Checkpoint = resign(t, w.key, strings.Replace(b.Checkpoint, b.Log, ofOtherLog.Log, 1))
		},
		"the manifest of another order":  func(b *bundled) { b.Manifest = theirs.Manifest },
		"the checkpoint as the manifest": func(b *bundled) { b.Manifest = b.Checkpoint },
		"the manifest as the checkpoint": func(b *bundled) { b.Checkpoint = b.Manifest },
		"another order's id":             func(b *bundled) { b.OrderID = theirs.OrderID },
		"another log's id":               func(b *bundled) { b.Log = ofOtherLog.Log },
		"a later format":                 func(b *bundled) { b.Format = "orderlog bundle v2" },
		"a second signature":             func(b *bundled) { b.Manifest += b.Manifest[strings.Index(b.Manifest, "—"):] },
		"the key of nobody":              func(b *bundled) { b.PublicKey = "x" },
	} {
		b := decode(t, data)
		change(&b)
		for _, trusted := range [][]string{nil, {w.public}} {
			if _, err := proofs.VerifyBundle(b.encode(t), trusted); !errors.Is(err, proofs.ErrBundle) {
				t.Errorf("%s, with %d keys: %v", name, len(trusted), err)
			}
		}
	}
	for name, change := range map[string]func(s string) string{
		"a field more":         func(s string) string { return strings.Replace(s, `{"format"`, `{"more":1,"format"`, 1) },
		"a field twice":        func(s string) string { return strings.Replace(s, `{"format"`, `{"format":"x","format"`, 1) },
		"in other letters":     func(s string) string { return strings.Replace(s, `"format"`, `"Format"`, 1) },
		"something behind":     func(s string) string { return s + "{}" },
		"an escaped letter":    func(s string) string { return strings.Replace(s, `"orderlog bundle`, `"\u006frderlog bundle`, 1) },
		"nothing":              func(string) string { return "" },
		"null":                 func(string) string { return "null" },
		"no events":            func(s string) string { return s[:strings.Index(s, `,"events"`)] + "}" },
		"an event that is one": func(s string) string { return s[:strings.Index(s, `"events"`)] + `"events":[null]}` },
	} {
		if _, err := proofs.VerifyBundle([]byte(change(string(data))), nil); !errors.Is(err, proofs.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestABundleThatWasSignedAnewNeedsAKeyThatIsKnown(t *testing.T) {
	t.Parallel()
	w, orderID := paid(t)
	data := bundle(t, w, orderID)
	key, public := newKey(t)
	b := decode(t, data)
	b.Manifest, b.Checkpoint, b.PublicKey = resign(t, key, b.Manifest), resign(t, key, b.Checkpoint), public
	r, err := proofs.VerifyBundle(b.encode(t), nil)
	if err != nil || r.Trusted || r.PublicKey != public {
		t.Errorf("by itself it holds and is not trusted: %+v, %v", r, err)
	}
	if _, err := proofs.VerifyBundle(b.encode(t), []string{w.public}); !errors.Is(err, proofs.ErrBundle) {
		t.Errorf("%v", err)
	}
	b.Checkpoint = decode(t, data).Checkpoint
	if _, err := proofs.VerifyBundle(b.encode(t), nil); !errors.Is(err, proofs.ErrBundle) {
		t.Errorf("with two keys: %v", err)
	}
	b.PublicKey = w.public
	if _, err := proofs.VerifyBundle(b.encode(t), []string{public, w.public}); !errors.Is(err, proofs.ErrBundle) {
		t.Errorf("with two keys that are trusted: %v", err)
	}
}

func TestEvenTheServerCanNotSignWhatTheEventsDoNotShow(t *testing.T) {
	t.Parallel()
	w, orderID := paid(t)
	data, theirs := bundle(t, w, orderID), decode(t, bundle(t, w, w.orders[4]))
	verify := func(change func(b *bundled)) error {
		b := decode(t, data)
		change(&b)
		sum := sha256.New()
		for _, e := range b.Events {
			sum.Write(append(e.Event, '\n'))
		}
		text := fmt.Sprintf("orderlog bundle v1\nlog %s\norder %s\nevents %d\nas of 96\nsha256 of the lines %s\n",
			b.Log, b.OrderID, len(b.Events), base64.StdEncoding.EncodeToString(sum.Sum(nil)))
		b.Manifest = resign(t, w.key, text+"\n")
		_, err := proofs.VerifyBundle(b.encode(t), []string{w.public})
		return err
	}
	if err := verify(func(b *bundled) { b.Events = b.Events[:len(b.Events)-1] }); err != nil {
		t.Errorf("the newest event is left out: that can't be seen, but %v", err)
	}
	for name, change := range map[string]func(b *bundled){
		"an event is left out":       func(b *bundled) { b.Events = slices.Delete(b.Events, 3, 4) },
		"one of a payment":           func(b *bundled) { b.Events = slices.Delete(b.Events, 6, 7) },
		"the order is changed":       func(b *bundled) { b.Events[3], b.Events[4] = b.Events[4], b.Events[3] },
		"an event is there twice":    func(b *bundled) { b.Events = slices.Insert(b.Events, 3, b.Events[3]) },
		"it has another's event":     func(b *bundled) { b.Events = slices.Insert(b.Events, 1, theirs.Events[0]) },
		"it is of another order":     func(b *bundled) { b.OrderID = theirs.OrderID },
		"the order itself is absent": func(b *bundled) { b.Events = b.Events[6:8] },
	} {
		if err := verify(change); !errors.Is(err, proofs.ErrBundle) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
