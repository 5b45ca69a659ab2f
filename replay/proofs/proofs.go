// Package proofs makes the log something that can be proved: a Merkle tree over the canonical bytes of the events, signed
// checkpoints of it that are kept outside the database, proofs that an event is in the log, a verification of all of it
// from the events up, and bundles that an auditor checks without the database.
//
// Guarantees:
//
//   - The tree is that of RFC 6962. The leaf of the event with seq N is number N-1, and its bytes are what
//     [eventstore.Recorded.AppendCanonical] makes of the event: the line of an export.
//   - The tree's rows and the checkpoint of group "proofs" commit in one transaction, so a reader that takes both from one
//     snapshot never sees one without the other.
//   - What a [Notary] signs continues what was signed before. It checks that first, and refuses when it is not so.
//   - [Notary.Verify] trusts nothing that is derived: it works from the events and from the exported checkpoints.
//
// Who owns the database alone cannot rewrite history unnoticed: the key and the exported checkpoints are elsewhere.
package proofs

import (
	"context"
	"encoding/json"
	"log/slog"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
)

// Orders finds the events of an order, wherever they are.
type Orders interface {
	// OrderEvents returns all events about an order up to a seq, in the order of seq.
	OrderEvents(ctx context.Context, orderID uuid.UUID, upTo int64) ([]eventstore.Recorded, error)
}

// Config describes a [Notary].
type Config struct {
	Pool  *pgxpool.Pool
	Store *eventstore.Store // only read from; it need not run
	// Orders is needed by Bundle only.
	Orders Orders
	// Key is the signer's key as [GenerateKey] makes it. Empty: the notary verifies and proves by what is signed
	// already, and signs nothing.
	Key string
	// Trusted are more verifier keys whose signatures are accepted: those that were used before.
	Trusted []string
	// Dir is where checkpoints are exported to. It is made if it is not there. Empty: nothing is exported, and what was
	// signed is only remembered while the notary lives.
	Dir string
	// Every is how often a tree that has grown is signed by Run. 0: 10 s.
	Every time.Duration
	// Grown says that the tree may have grown: after a quiet while it is then signed at once. Nil: Run looks when it is
	// time.
	Grown  <-chan struct{}
	Logger *slog.Logger // nil: none
}

// Checkpoint is the signed state of the log.
type Checkpoint struct {
	Log  uuid.UUID `json:"log"`
	Seq  int64     `json:"seq"`  // the newest event in it, which is the size of the tree
	Root string    `json:"root"` // of the tree, in base64
	At   time.Time `json:"at"`   // when the newest event was recorded
	Note string    `json:"note"` // the same, signed: a C2SP tlog-checkpoint
	// PublicKey is the verifier key of whoever signed the note.
	PublicKey string `json:"publicKey"`
	// Consistency are the hashes, in base64, that prove that this tree continues that of the size asked for: none, and not
	// nil, when it is the same. Nil: no size was asked for.
	Consistency []string `json:"consistency,omitzero"`
}

// Proof shows that an event is in the log: hashing its line and going up with the hashes of Proof leads to the root that
// the checkpoint signs.
type Proof struct {
	Seq        int64           `json:"seq"`
	Event      json.RawMessage `json:"event"`    // the canonical line, which an encoder must not touch
	LeafHash   string          `json:"leafHash"` // base64
	TreeSize   int64           `json:"treeSize"`
	Proof      []string        `json:"proof"`      // base64, from the leaf up
	Checkpoint string          `json:"checkpoint"` // the note
}

// Kinds of [Problem].
const (
	KindMissing     = "missing"     // events are not there
	KindBeyondHead  = "beyond_head" // events that the log's head does not count
	KindTime        = "time"        // recorded before the event in front of it
	KindVersion     = "version"     // not the next version of its stream
	KindStream      = "stream"      // the table of streams says something else than the events
	KindHead        = "head"        // the log's head says something else than the events
	KindEvent       = "event"       // an event is not what it was when the tree was made
	KindTree        = "tree"        // the tree's own tables are not what follows from the events
	KindCheckpoint  = "checkpoint"  // an exported checkpoint was signed over other events
	KindTruncated   = "truncated"   // an exported checkpoint has more events than the log
	KindSignature   = "signature"   // an exported checkpoint is not signed by a known key, or was changed
	KindOtherLog    = "other_log"   // the directory holds checkpoints of another log
	KindIndex       = "index"       // the audit's index does not agree with the events
	KindCheckpoints = "checkpoints" // the exported checkpoints can't be read
)

// Problem is something that should not be so.
type Problem struct {
	// Seq is the event in question, or the first of a range; 0: no event is, see Named. It is below 0 where a row has such a
	// seq, which no event may have.
	Seq int64 `json:"seq"`
	// UpTo is the last of a range; 0: it is Seq alone.
	UpTo   int64  `json:"upTo,omitempty"`
	Kind   string `json:"kind"`
	Detail string `json:"detail"`

	zero bool // a row that must not be there has the seq 0
}

// Named says whether Seq is of something that is there, or should be.
func (p Problem) Named() bool { return p.Seq != 0 || p.zero }

// Report is the outcome of a verification.
type Report struct {
	OK  bool      `json:"ok"`
	Log uuid.UUID `json:"log"`
	// Events is how many were read.
	Events int64 `json:"events"`
	// Head is the newest seq when the verification began: what came later was not looked at.
	Head int64 `json:"head"`
	// TreeSize is how many events the stored tree had. Events behind it are in no proof yet.
	TreeSize int64 `json:"treeSize"`
	// Root is that of the tree over all events up to Head, in base64; empty when events are missing.
	Root string `json:"root"`
	// Checkpoints is how many exported ones were compared and found right.
	Checkpoints int `json:"checkpoints"`
	// FirstBadSeq is the smallest seq of all problems, nil if none names one. Rows whose seq is 0 or less count.
	FirstBadSeq *int64 `json:"firstBadSeq"`
	// Problems are at most 100, in the order of seq: the first, and the first of each kind.
	Problems []Problem `json:"problems"`
	// Warnings say what could not be checked, and what is odd and no problem.
	Warnings  []string  `json:"warnings,omitempty"`
	StartedAt time.Time `json:"startedAt"`
	Seconds   float64   `json:"seconds"`
}

// BundleReport is what a good bundle shows.
type BundleReport struct {
	Log      uuid.UUID `json:"log"`
	OrderID  uuid.UUID `json:"orderId"`
	Events   int       `json:"events"`
	FirstSeq int64     `json:"firstSeq"`
	LastSeq  int64     `json:"lastSeq"`
	// AsOf is the seq up to which the bundle has all events of the order.
	AsOf int64 `json:"asOf"`
	// At is when the event AsOf was recorded.
	At time.Time `json:"at"`
	// PublicKey is the verifier key whose signatures were checked.
	PublicKey string `json:"publicKey"`
	// Trusted says that PublicKey is one of those that were given. If none was given it is false: the bundle only agrees
	// with itself, and whoever reads it must compare the key with the one the operator publishes.
	Trusted bool `json:"trusted"`
}
