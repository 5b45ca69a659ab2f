package proofs

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// Checkpoint returns the newest checkpoint, made now if the tree has grown. At most one a second is made, so that it may
// take as long. With since > 0 it has the proof that its tree continues the tree of that size.
//
// While checkpoints can't be written to the directory it is the newest that was. Errors: [domain.CodeProjectionBehind]
// when nothing is in the tree yet, [domain.CodeUnavailable] when the notary refuses to sign or has no key,
// [domain.CodeInvalidRequest] when since is beyond the tree.
func (n *Notary) Checkpoint(ctx context.Context, since int64) (Checkpoint, error) {
	if since < 0 {
		return Checkpoint{}, domain.Invalid("since", "must be the seq of an earlier checkpoint")
	}
	s, err := n.current(ctx)
	if err != nil {
		return Checkpoint{}, err
	}
	c := Checkpoint{Log: s.log, Seq: s.N, Root: s.Hash.String(), At: s.at, Note: s.note, PublicKey: s.key}
	if since == 0 {
		return c, nil
	}
	if since > s.N {
		return Checkpoint{}, domain.Invalid("since", "must be at most %d, the seq of the newest checkpoint", s.N)
	}
	proof, err := tlog.ProveTree(s.N, since, hashesOf(ctx, n.cfg.Pool, s.Tree))
	if err != nil {
		return Checkpoint{}, proofFailed(err, s.N)
	}
	c.Consistency = hashStrings(proof)
	return c, nil
}

// current returns the newest checkpoint, made when the one before is a second old.
func (n *Notary) current(ctx context.Context) (signed, error) {
	err := n.renew(ctx, onDemandEvery)
	s := n.newest()
	switch {
	case err != nil && refuses(err):
		return signed{}, domain.Errorf(domain.CodeUnavailable, "No checkpoint is signed: %s.", err).WithCause(err)
	case s.N > 0:
		return s, nil
	case err != nil:
		return signed{}, domain.Errorf(domain.CodeUnavailable, "No checkpoint could be signed; try again.").WithCause(err)
	case n.signer == nil:
		return signed{}, domain.Errorf(domain.CodeUnavailable, "Nothing is signed yet, and there is no key to sign with; set AUDIT_KEY.")
	default:
		return signed{}, domain.Errorf(domain.CodeProjectionBehind, "No event is in the tree yet; try again in a moment.")
	}
}

// refuses says that it is the log or the directory that is not as it should be.
func refuses(err error) bool {
	for _, refusal := range []error{ErrRewritten, ErrCut, ErrOtherLog, ErrNotOurs, ErrGone} {
		if errors.Is(err, refusal) {
			return true
		}
	}
	return false
}

// proofFailed says what to do when a proof could not be made.
func proofFailed(err error, size int64) error {
	if !errors.Is(err, errTiles) {
		return fmt.Errorf("prove: %w", err)
	}
	return domain.Errorf(domain.CodeUnavailable,
		"The stored tree does not lead to the signed root of %d events: it was changed. Run app audit verify.", size).WithCause(err)
}

// Proof proves that the event with a seq is in the log, by the newest checkpoint. For an event that is newer than that it
// waits until another may be signed, which is a second at most.
//
// Errors: [domain.CodeNotFound] beyond the log's head, [domain.CodeProjectionBehind] when the event is not in the tree yet,
// [domain.CodeUnavailable] when there is no checkpoint that holds it, or when what is stored leads to no proof.
func (n *Notary) Proof(ctx context.Context, seq int64) (Proof, error) {
	if seq < 1 {
		return Proof{}, domain.Errorf(domain.CodeNotFound, "There is no event %d: the first is 1.", seq)
	}
	s, err := n.covering(ctx, seq)
	if err != nil {
		return Proof{}, err
	}
	events, err := n.cfg.Store.ReadLog(ctx, seq-1, 1)
	gap := (*eventstore.GapError)(nil)
	if errors.As(err, &gap) || err == nil && len(events) == 0 {
		return Proof{}, domain.Errorf(domain.CodeUnavailable, "Event %d is missing from the log. Run app audit verify.", seq)
	}
	if err != nil {
		return Proof{}, fmt.Errorf("prove event %d: %w", seq, err)
	}
	proven, err := n.prove(ctx, s, events)
	if err != nil {
		return Proof{}, err
	}
	return proven[0], nil
}

// covering returns a checkpoint that holds the event with a seq.
func (n *Notary) covering(ctx context.Context, seq int64) (signed, error) {
	for {
		if s := n.newest(); s.N >= seq {
			return s, nil
		}
		s, err := n.current(ctx)
		if s.N >= seq {
			return s, nil
		}
		tree, readErr := readTree(ctx, n.cfg.Pool)
		if readErr != nil {
			return signed{}, readErr
		}
		switch {
		case seq > tree.head:
			return signed{}, domain.Errorf(domain.CodeNotFound, "There is no event %d: the log ends at %d.", seq, tree.head)
		case err != nil:
			return signed{}, err
		case seq > tree.N:
			return signed{}, domain.Errorf(domain.CodeProjectionBehind, "Event %d is not in the tree yet, which is at %d; try again in a moment.", seq, tree.N)
		case n.signer == nil:
			return signed{}, domain.Errorf(domain.CodeUnavailable, "No checkpoint that holds event %d is signed yet, and there is no key to sign one with; set AUDIT_KEY.", seq)
		}
		if err := n.Fault(); err != nil {
			return signed{}, domain.Errorf(domain.CodeUnavailable, "No checkpoint that holds event %d can be signed: %s.", seq, err).WithCause(err)
		}
		// It came into the tree meanwhile, or another process signs.
		if err := ctx.Err(); err != nil {
			return signed{}, err
		}
	}
}

// prove makes the proofs of events that a checkpoint holds. It reads each tile once, however many events there are, and
// checks each proof before it gives it away.
func (n *Notary) prove(ctx context.Context, s signed, events []eventstore.Recorded) ([]Proof, error) {
	hashes, err := n.proofHashes(ctx, s.Tree, events)
	if err != nil {
		return nil, err
	}
	proofs := make([]Proof, len(events))
	for i, e := range events {
		line := e.AppendCanonical(nil)
		leaf := tlog.RecordHash(line)
		path, err := tlog.ProveRecord(s.N, e.Seq-1, hashes)
		if err != nil {
			return nil, fmt.Errorf("prove event %d: %w", e.Seq, err)
		}
		if err := tlog.CheckRecord(path, s.N, s.Hash, e.Seq-1, leaf); err != nil {
			return nil, domain.Errorf(domain.CodeUnavailable, "Event %d is not what it was when it was signed. Run app audit verify.", e.Seq).WithCause(err)
		}
		proofs[i] = Proof{
			Seq: e.Seq, Event: line, LeafHash: leaf.String(), TreeSize: s.N, Proof: hashStrings(path), Checkpoint: s.note,
		}
	}
	return proofs, nil
}

// proofHashes reads all hashes that the proofs of some events need: at first it is found out which, then they are read at
// once.
func (n *Notary) proofHashes(ctx context.Context, tree tlog.Tree, events []eventstore.Recorded) (tlog.HashReader, error) {
	at := make(map[int64]int) // index of a hash → place in needed
	var needed []int64
	collect := tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		for _, index := range indexes {
			if _, there := at[index]; !there {
				at[index] = len(needed)
				needed = append(needed, index)
			}
		}
		return make([]tlog.Hash, len(indexes)), nil
	})
	for _, e := range events {
		if _, err := tlog.ProveRecord(tree.N, e.Seq-1, collect); err != nil {
			return nil, fmt.Errorf("prove event %d: %w", e.Seq, err)
		}
	}
	read, err := hashesOf(ctx, n.cfg.Pool, tree).ReadHashes(needed)
	if err != nil {
		return nil, proofFailed(err, tree.N)
	}
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			hashes[i] = read[at[index]]
		}
		return hashes, nil
	}), nil
}
