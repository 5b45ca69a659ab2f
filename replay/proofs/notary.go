package proofs

import (
	"context"
	"errors"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/projections"
)

var errNotYet = errors.New("proofs: not there yet")

// Tree keeps merkle_tiles up with the log: the [projections.Model] of group "proofs".
type Tree struct{}

// Project adds the leaves of events.
func (Tree) Project(context.Context, pgx.Tx, []projections.Event) error { return errNotYet }

// Notary signs checkpoints, proves and verifies. It is safe for concurrent use.
type Notary struct{}

// Open returns a Notary. It reads what was signed last.
func Open(Config) (*Notary, error) { return &Notary{}, nil }

// Run signs the tree when it has grown, and once more when ctx ends, and carries out verifications that are asked for.
func (n *Notary) Run(ctx context.Context) error {
	<-ctx.Done()
	return nil
}

// PublicKey is the verifier key of the notary's own key; empty without one.
func (n *Notary) PublicKey() string { return "" }

// Fault says why the notary does not sign; nil: all is well.
func (n *Notary) Fault() error { return nil }

// Signed is the size of the newest signed tree and when its newest event was recorded; 0: none is signed yet.
func (n *Notary) Signed() (size int64, at time.Time) { return 0, time.Time{} }

// Checkpoint returns the newest checkpoint, made now if the tree has grown. With since > 0 it has the proof that it
// continues the tree of that size.
func (n *Notary) Checkpoint(context.Context, int64) (Checkpoint, error) {
	return Checkpoint{}, errNotYet
}

// Proof proves that the event is in the log.
func (n *Notary) Proof(context.Context, int64) (Proof, error) { return Proof{}, errNotYet }

// Verify recomputes everything from the events and compares. progress may be nil.
func (n *Notary) Verify(context.Context, func(done, of int64)) (Report, error) {
	return Report{}, errNotYet
}

// Verification waits for a verification of this node: the one under way, or a new one that Run carries out. When ctx ends
// before, it says how far it is.
func (n *Notary) Verification(context.Context) (Verification, error) {
	return Verification{}, errNotYet
}

// Bundle makes one file of all events about an order, with what proves them.
func (n *Notary) Bundle(context.Context, uuid.UUID) ([]byte, error) { return nil, errNotYet }

// VerifyBundle checks a bundle by itself.
func VerifyBundle([]byte, []string) (BundleReport, error) { return BundleReport{}, errNotYet }
