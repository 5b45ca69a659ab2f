package proofs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/google/uuid"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/orderlog/orderlog/domain"
)

// bundleFormat is changed when an older program could misread a bundle.
const bundleFormat = "orderlog bundle v1"

// bundle is the file. What is in it has one way of being written, but for the whitespace.
type bundle struct {
	Format     string         `json:"format"`
	Log        uuid.UUID      `json:"log"`
	OrderID    uuid.UUID      `json:"orderId"`
	PublicKey  string         `json:"publicKey"`
	Manifest   string         `json:"manifest"`   // a note: what belongs in the bundle
	Checkpoint string         `json:"checkpoint"` // a note: the tree
	Events     []bundledEvent `json:"events"`
}

type bundledEvent struct {
	Event json.RawMessage `json:"event"` // the canonical line
	Proof []string        `json:"proof"` // from the leaf up
}

// encode writes the bundle, an event a line.
func (b bundle) encode() ([]byte, error) {
	events := b.Events
	b.Events = []bundledEvent{}
	head, err := encodeJSON(b)
	if err != nil {
		return nil, err
	}
	out := bytes.NewBuffer(bytes.TrimSuffix(head, []byte("]}")))
	for i, e := range events {
		line, err := encodeJSON(e)
		if err != nil {
			return nil, err
		}
		if i > 0 {
			out.WriteByte(',')
		}
		out.WriteByte('\n')
		out.Write(line)
	}
	out.WriteString("\n]}\n")
	return out.Bytes(), nil
}

// encodeJSON leaves the bytes of a json.RawMessage as they are.
func encodeJSON(v any) ([]byte, error) {
	var out bytes.Buffer
	encoder := json.NewEncoder(&out)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(v); err != nil {
		return nil, fmt.Errorf("encode the bundle: %w", err)
	}
	return bytes.TrimSuffix(out.Bytes(), []byte("\n")), nil
}

// manifestText says what belongs in a bundle: whoever takes an event out of it has to change this, which is signed. Its
// second line is no number, so that it is never taken for a checkpoint.
func manifestText(b bundle, size int64, lines [sha256.Size]byte) string {
	return fmt.Sprintf("%s\nlog %s\norder %s\nevents %d\nas of %d\nsha256 of the lines %s\n",
		bundleFormat, b.Log, b.OrderID, len(b.Events), size, tlog.Hash(lines))
}

// linesHash is over the events as an export has them: each a line.
func linesHash(events []bundledEvent) (sum [sha256.Size]byte) {
	h := sha256.New()
	for _, e := range events {
		h.Write(e.Event)
		h.Write([]byte("\n"))
	}
	h.Sum(sum[:0])
	return sum
}

// Bundle makes one file of all events about an order up to the newest checkpoint, with what proves them: see docs/audit.md
// for what is in it. It needs the key.
//
// Errors: [domain.CodeNotFound] when there is no such order up to the newest checkpoint, those of [Notary.Proof], and those
// of [Orders].
func (n *Notary) Bundle(ctx context.Context, orderID uuid.UUID) ([]byte, error) {
	if n.signer == nil {
		return nil, domain.Errorf(domain.CodeUnavailable, "A bundle is signed, and there is no key to sign with; set AUDIT_KEY.")
	}
	if n.cfg.Orders == nil {
		return nil, errors.New("proofs: a bundle needs Config.Orders")
	}
	s, err := n.upToDate(ctx)
	if err != nil {
		return nil, err
	}
	events, err := n.cfg.Orders.OrderEvents(ctx, orderID, s.N)
	if err != nil {
		return nil, err
	}
	if len(events) == 0 {
		return nil, domain.Errorf(domain.CodeNotFound, "There is no order %s in the log up to seq %d.", orderID, s.N)
	}
	proofs, err := n.prove(ctx, s, events)
	if err != nil {
		return nil, err
	}
	b := bundle{Format: bundleFormat, Log: s.log, OrderID: orderID, PublicKey: n.key, Checkpoint: s.note}
	if s.key != n.key { // signed before the key was changed: what it says still holds
		if b.Checkpoint, err = sign(checkpointText(s.log, s.Tree, s.at), n.signer); err != nil {
			return nil, err
		}
	}
	for _, p := range proofs {
		b.Events = append(b.Events, bundledEvent{Event: p.Event, Proof: p.Proof})
	}
	if b.Manifest, err = sign(manifestText(b, s.N, linesHash(b.Events)), n.signer); err != nil {
		return nil, err
	}
	data, err := b.encode()
	if err != nil {
		return nil, err
	}
	if _, err := VerifyBundle(data, []string{n.key}); err != nil { // whoever gets it would find it out
		return nil, domain.Errorf(domain.CodeUnavailable, "The events of order %s are not whole. Run app audit verify.", orderID).WithCause(err)
	}
	return data, nil
}

// upToDate returns a checkpoint of all that is in the tree now.
func (n *Notary) upToDate(ctx context.Context) (signed, error) {
	tree, err := readTree(ctx, n.cfg.Pool)
	if err != nil {
		return signed{}, err
	}
	if tree.N == 0 {
		return n.current(ctx)
	}
	return n.covering(ctx, tree.N)
}
