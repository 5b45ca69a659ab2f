package proofs_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay/proofs"
)

// paid is a world in which an order has more streams than its own.
func paid(t testing.TB) (w *world, orderID uuid.UUID) {
	t.Helper()
	w = newWorld(t)
	orderID = w.orders[3]
	data := `{"orderId":"` + orderID.String() + `","text":"naïve <b>&\u2028</b>","n":1.50}`
	w.append(t, 60)
	payment := eventstore.StreamID{Type: "payment", ID: uuid.New()}
	w.appendTo(t, payment, "payment.started", data)
	w.appendTo(t, eventstore.StreamID{Type: "courier", ID: uuid.New()}, "courier.online", `{}`)
	courier := eventstore.StreamID{Type: "courier", ID: uuid.New()}
	w.appendTo(t, courier, "courier.online", `{"agentId":"raj"}`)
	w.appendTo(t, courier, "courier.order_taken", data)
	w.append(t, 20)
	w.appendTo(t, payment, "payment.captured", data)
	w.appendTo(t, eventstore.StreamID{Type: "track", ID: orderID}, "courier.located", data)
	w.append(t, 10)
	w.project(t, 1000)
	return w, orderID
}

func bundle(t testing.TB, w *world, orderID uuid.UUID) []byte {
	t.Helper()
	data, err := w.notary(t, nil).Bundle(t.Context(), orderID)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func TestABundleIsCheckedByItself(t *testing.T) {
	t.Parallel()
	w, orderID := paid(t)
	data := bundle(t, w, orderID)
	_, other := newKey(t)
	for _, trusted := range [][]string{nil, {w.public}, {other, w.public}} {
		r, err := proofs.VerifyBundle(data, trusted)
		if err != nil {
			t.Fatal(err)
		}
		if r.Log != w.logID(t) || r.OrderID != orderID || r.Events != 13 || r.FirstSeq != 4 || r.LastSeq != 90 || r.AsOf != 96 ||
			r.PublicKey != w.public || r.Trusted != (trusted != nil) || r.At.IsZero() {
			t.Errorf("%+v", r)
		}
	}
	if _, err := proofs.VerifyBundle(data, []string{other}); !errors.Is(err, proofs.ErrBundle) {
		t.Errorf("with another key: %v", err)
	}
	if _, err := proofs.VerifyBundle(data, []string{"x"}); err == nil || errors.Is(err, proofs.ErrBundle) {
		t.Errorf("with a key that is none: %v", err)
	}
	var indented bytes.Buffer
	must(t, json.Indent(&indented, data, "\t", "    "))
	if _, err := proofs.VerifyBundle(indented.Bytes(), nil); err != nil {
		t.Errorf("with other whitespace: %v", err)
	}
	if _, err := w.notary(t, nil).Bundle(t.Context(), uuid.New()); domain.CodeOf(err) != domain.CodeNotFound {
		t.Errorf("of no order: %v", err)
	}
}

func TestABundleIsSignedByTheKeyOfToday(t *testing.T) {
	t.Parallel()
	w, orderID := paid(t)
	w.sign(t)
	before := w.public
	w.key, w.public = newKey(t)
	data, err := w.notary(t, func(c *proofs.Config) { c.Trusted = []string{before} }).Bundle(t.Context(), orderID)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := proofs.VerifyBundle(data, []string{w.public}); err != nil {
		t.Error(err)
	}
}

func space(c byte) bool { return c == ' ' || c == '\n' || c == '\t' || c == '\r' }

func TestAnyByteThatIsChangedBreaksABundle(t *testing.T) {
	t.Parallel()
	w, orderID := paid(t)
	data := bundle(t, w, orderID)
	trusted := []string{w.public}
	random := rand.New(rand.NewPCG(1, 2))
	try := func(i int, c byte) {
		if c == data[i] {
			return
		}
		changed := bytes.Clone(data)
		changed[i] = c
		if _, err := proofs.VerifyBundle(changed, trusted); err == nil {
			if !space(c) || !space(data[i]) {
				t.Errorf("byte %d from %q to %q: it still holds", i, data[i], c)
			}
		} else if !errors.Is(err, proofs.ErrBundle) {
			t.Errorf("byte %d: %v", i, err)
		}
		if _, err := proofs.VerifyBundle(slices.Delete(bytes.Clone(data), i, i+1), trusted); err == nil && !space(data[i]) {
			t.Errorf("without byte %d, %q, it still holds", i, data[i])
		}
	}
	for range 500 {
		i := random.IntN(len(data))
		try(i, data[i]^byte(1<<random.IntN(8)))
		try(i, " \"0aA=/+,"[random.IntN(9)])
	}
}

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

// golden is a bundle that was made once: it must hold for ever.
func golden(t testing.TB) (data []byte, public string) {
	t.Helper()
	return []byte(readFile(t, "testdata/bundle.v1.json")), strings.TrimSpace(readFile(t, "testdata/bundle.v1.pub"))
}

func TestABundleHoldsForEver(t *testing.T) {
	t.Parallel()
	data, public := golden(t)
	r, err := proofs.VerifyBundle(data, []string{public})
	if err != nil {
		t.Fatal(err)
	}
	want := proofs.BundleReport{
		Log: r.Log, OrderID: r.OrderID, Events: 13, FirstSeq: 4, LastSeq: 90, AsOf: 96, At: r.At, PublicKey: public, Trusted: true,
	}
	if r != want {
		t.Errorf("%+v", r)
	}
}

func FuzzVerifyBundle(f *testing.F) {
	data, public := golden(f)
	want, err := proofs.VerifyBundle(data, []string{public})
	must(f, err)
	f.Add(data)
	f.Add([]byte(`{"format":"orderlog bundle v1","events":[{"event":{},"proof":[""]}]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		if r, err := proofs.VerifyBundle(data, []string{public}); err == nil && r != want {
			t.Fatalf("%+v", r)
		}
		_, _ = proofs.VerifyBundle(data, nil)
	})
}
