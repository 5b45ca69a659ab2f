package proofs

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/mod/sumdb/tlog"
)

// sign returns last when the tree is the same, and else signs the tree and has it recorded, after it has made sure that
// the tree continues last.
func (n *Notary) sign(ctx context.Context, last signed, tree storedTree, record func(note string) error) (signed, error) {
	if tree.fault != nil {
		return signed{}, &faultError{fmt.Errorf("%w: %w; run app audit verify", ErrRewritten, tree.fault)}
	}
	if last.N > 0 && last.log != tree.log {
		return signed{}, &faultError{fmt.Errorf("%w: %s was signed, and the log's id is %s now", ErrOtherLog, last.log, tree.log)}
	}
	if last.N > 0 {
		if tree.N < last.N && tree.head >= last.N {
			// The tree is on its way: it is derived anew, or the database lost its last moments, which it does not keep
			// as safe as the events.
			return last, nil
		}
		if err := n.check(ctx, last, tree); err != nil {
			return signed{}, err
		}
	}
	if tree.N == last.N || tree.N == 0 || n.signer == nil {
		return last, nil
	}
	note, err := sign(checkpointText(tree.log, tree.Tree, tree.at), n.signer)
	if err != nil {
		return signed{}, &faultError{err}
	}
	if err := record(note); err != nil {
		return signed{}, &faultError{err}
	}
	return signed{log: tree.log, Tree: tree.Tree, at: tree.at, note: note, key: n.key}, nil
}

// check makes sure that the tree continues the one that was signed.
func (n *Notary) check(ctx context.Context, last signed, tree storedTree) error {
	if tree.head < last.N {
		return &faultError{fmt.Errorf("%w: %d were signed and the log ends at seq %d; "+
			"if an older copy was restored, give the log a new id, else run app audit verify", ErrCut, last.N, tree.head)}
	}
	root := tree.Hash
	if tree.N > last.N {
		var err error
		root, err = tlog.TreeHash(last.N, hashesOf(ctx, n.cfg.Pool, tree.Tree))
		if errors.Is(err, errTiles) {
			return &faultError{fmt.Errorf("%w: %w; run app audit verify", ErrRewritten, err)}
		}
		if err != nil {
			return err
		}
	}
	if root != last.Hash {
		return &faultError{fmt.Errorf("%w: the tree of %d events had the root %s and has %s now; run app audit verify",
			ErrRewritten, last.N, last.Hash, root)}
	}
	return nil
}
