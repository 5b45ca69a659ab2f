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
