package proofs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/note"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/orderlog/orderlog/domain/courier"
	"github.com/orderlog/orderlog/domain/order"
	"github.com/orderlog/orderlog/domain/payment"
	"github.com/orderlog/orderlog/eventstore"
)

// ErrBundle is wrapped by all that [VerifyBundle] finds wrong.
var ErrBundle = errors.New("the bundle does not hold")

func broken(format string, args ...any) error {
	return fmt.Errorf("%w: %w", ErrBundle, fmt.Errorf(format, args...))
}

// VerifyBundle checks a bundle by itself, without a database:
//
//   - the manifest and the checkpoint are signed by the same key, one of trusted if any are given;
//   - the events are those that the manifest counts and hashes, so none was left out or put in since it was signed;
//   - each event is in the tree that the checkpoint signs, at its place;
//   - they are in order, each is about the order, and the order's stream and those of its payments and of its track are
//     whole from their beginning.
//
// Nothing but whitespace between the tokens of JSON may differ from what [Notary.Bundle] wrote. The error wraps
// [ErrBundle], but for trusted keys that are none.
func VerifyBundle(data []byte, trusted []string) (BundleReport, error) {
	if _, err := newKeyring(trusted...); err != nil {
		return BundleReport{}, err
	}
	b, err := decodeBundle(data)
	if err != nil {
		return BundleReport{}, err
	}
	keys := trusted
	if len(trusted) == 0 {
		keys = []string{b.PublicKey}
	}
	ring, err := newKeyring(keys...)
	if err != nil {
		return BundleReport{}, broken("%w", err)
	}
	tree, err := b.checkNotes(ring)
	if err != nil {
		return BundleReport{}, err
	}
	envelopes, err := b.checkEvents(tree.Tree)
	if err != nil {
		return BundleReport{}, err
	}
	return BundleReport{
		Log: b.Log, OrderID: b.OrderID, Events: len(envelopes), FirstSeq: envelopes[0].Seq, LastSeq: envelopes[len(envelopes)-1].Seq,
		AsOf: tree.N, At: tree.at, PublicKey: b.PublicKey, Trusted: len(trusted) > 0,
	}, nil
}

// decodeBundle makes sure that the bundle is written in the one way there is: what means nothing to this program, a name in
// other letters, a name that is there twice and whatever else readers of JSON may see differently is refused.
func decodeBundle(data []byte) (bundle, error) {
	var b bundle
	if err := json.Unmarshal(data, &b); err != nil {
		return b, broken("it is not a bundle: %w", err)
	}
	if b.Format != bundleFormat {
		return b, broken("its format is %q, and this program knows %q; a newer version may know it", b.Format, bundleFormat)
	}
	var compact bytes.Buffer
	if err := json.Compact(&compact, data); err != nil {
		return b, broken("it is not a bundle: %w", err)
	}
	for i := range b.Events { // as they stand in the file, but for the whitespace
		var line bytes.Buffer
		if err := json.Compact(&line, b.Events[i].Event); err != nil {
			return b, broken("event %d of it is not JSON: %w", i+1, err)
		}
		b.Events[i].Event = line.Bytes()
	}
	again, err := encodeJSON(b)
	if err != nil || !bytes.Equal(again, compact.Bytes()) {
		return b, broken("it was changed: it has something that bundles do not have, or has it otherwise")
	}
	if len(b.Events) == 0 {
		return b, broken("it has no events")
	}
	return b, nil
}

// checkNotes checks the two signatures and what they are of, and returns the tree.
func (b bundle) checkNotes(ring keyring) (signed, error) {
	manifest, err := b.openNote(ring, b.Manifest)
	if err != nil {
		return signed{}, broken("the manifest: %w", err)
	}
	if _, err := b.openNote(ring, b.Checkpoint); err != nil {
		return signed{}, broken("the checkpoint: %w", err)
	}
	tree, err := ring.checkpoint(b.Checkpoint)
	if err != nil {
		return signed{}, broken("the checkpoint: %w", err)
	}
	if tree.log != b.Log {
		return signed{}, broken("the checkpoint is of log %s, not of %s", tree.log, b.Log)
	}
	if manifest != manifestText(b, tree.N, linesHash(b.Events)) {
		return signed{}, broken("the events are not those that the manifest counts: one was left out, put in, changed or moved")
	}
	return tree, nil
}

// openNote returns the text of a note that the bundle's key signed, and nobody else.
func (b bundle) openNote(ring keyring, raw string) (string, error) {
	text, key, err := ring.open(raw)
	if err != nil {
		return "", err
	}
	if key != b.PublicKey {
		return "", errors.New("it is not signed by the key that the bundle names")
	}
	// A signature has more than one way of being written in base64.
	n, err := note.Open([]byte(raw), ring.verifiers)
	if err != nil || len(n.Sigs) != 1 || len(n.UnverifiedSigs) != 0 {
		return "", errors.New("it has more than one signature")
	}
	if again := text + "\n" + signature + n.Sigs[0].Name + " " + canonicalBase64(n.Sigs[0].Base64) + "\n"; again != raw {
		return "", errors.New("its signature is not written as it was")
	}
	return text, nil
}

// envelope is what is looked at of an event's canonical line.
type envelope struct {
	Seq     int64     `json:"seq"`
	Stream  string    `json:"stream"`
	Version int64     `json:"version"`
	At      time.Time `json:"at"`
	Data    struct {
		OrderID *uuid.UUID `json:"orderId"`
	} `json:"data"`
}

// wholeStreams are the types of stream of which an order's bundle has all events: they are about one order.
var wholeStreams = map[string]bool{order.StreamType: true, payment.StreamType: true, courier.TrackStreamType: true}

func (b bundle) checkEvents(tree tlog.Tree) ([]envelope, error) {
	all := make([]envelope, len(b.Events))
	versions := make(map[string]int64)
	for i, e := range b.Events {
		v := &all[i]
		if err := json.Unmarshal(e.Event, v); err != nil {
			return nil, broken("event %d of it is not an event: %w", i+1, err)
		}
		if i > 0 && v.Seq <= all[i-1].Seq {
			return nil, broken("seq %d comes after seq %d", v.Seq, all[i-1].Seq)
		}
		if err := e.check(tree, v.Seq); err != nil {
			return nil, broken("seq %d: %w", v.Seq, err)
		}
		if v.Data.OrderID == nil || *v.Data.OrderID != b.OrderID {
			return nil, broken("seq %d is not about order %s", v.Seq, b.OrderID)
		}
		stream, id, err := parseStream(v.Stream)
		if err != nil {
			return nil, broken("seq %d: %w", v.Seq, err)
		}
		if stream == order.StreamType && id != b.OrderID {
			return nil, broken("seq %d is of order %s", v.Seq, id)
		}
		if versions[v.Stream]++; wholeStreams[stream] && v.Version != versions[v.Stream] {
			return nil, broken("version %d of stream %s is missing", versions[v.Stream], v.Stream)
		}
	}
	if ours := (eventstore.StreamID{Type: order.StreamType, ID: b.OrderID}); versions[ours.String()] == 0 {
		return nil, broken("the events of the order itself are missing")
	}
	return all, nil
}

// check proves that the event is in the tree, at the place that its seq tells.
func (e bundledEvent) check(tree tlog.Tree, seq int64) error {
	if seq < 1 || seq > tree.N {
		return fmt.Errorf("it is not in the tree, which ends at %d", tree.N)
	}
	path := make(tlog.RecordProof, len(e.Proof))
	for i, text := range e.Proof {
		var err error
		if path[i], err = parseHash(text); err != nil {
			return errors.New("its proof is not one")
		}
	}
	if tlog.CheckRecord(path, tree.N, tree.Hash, seq-1, tlog.RecordHash(e.Event)) != nil {
		return errors.New("its proof does not lead to the checkpoint: the event or the proof was changed")
	}
	return nil
}
