package proofs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"golang.org/x/mod/sumdb/tlog"
)

// Refusals of a notary to sign. The log is not what it was when it signed before, or it is not sure whether it is.
var (
	// ErrRewritten says that the tree does not continue the one that was signed.
	ErrRewritten = errors.New("the log does not continue what was signed")
	// ErrCut says that events that were signed are not in the log any more.
	ErrCut = errors.New("events that were signed are missing")
	// ErrOtherLog says that the directory holds checkpoints of another log, and none of this one.
	ErrOtherLog = errors.New("the directory holds checkpoints of another log")
	// ErrNotOurs says that the newest checkpoint in the directory is not signed by a known key.
	ErrNotOurs = errors.New("the newest exported checkpoint is not signed by a known key")
	// ErrGone says that checkpoints that this notary exported are not in the directory any more.
	ErrGone = errors.New("exported checkpoints are gone")
)

// next returns the newest checkpoint, signed now if the tree has grown.
func (n *Notary) next(ctx context.Context) (signed, error) {
	tree, err := readTree(ctx, n.cfg.Pool)
	if err != nil {
		return signed{}, err
	}
	if last := n.newest(); last.log == tree.log && last.Tree == tree.Tree && tree.fault == nil {
		return last, nil // the usual case of a quiet log
	}
	if n.dir == "" {
		last := n.newest()
		return n.sign(ctx, last, tree, func(string) error { return nil })
	}
	if n.signer == nil {
		return n.readNewest(ctx, tree)
	}
	if err := n.mayBegin(tree); err != nil {
		return signed{}, &faultError{err}
	}
	file, err := n.dir.openToAdd(ctx, tree.log)
	if err != nil {
		return signed{}, &faultError{err}
	}
	defer file.close()
	end, err := file.tail()
	if err != nil {
		return signed{}, &faultError{err}
	}
	last, err := n.continues(end, tree)
	if err != nil {
		return signed{}, &faultError{err}
	}
	if end.end < end.size {
		n.log.Warn("the file of checkpoints ends in the middle of one, as a crash leaves it; that part goes",
			"file", file.file.Name(), "bytes", end.size-end.end)
	}
	// Another program may have signed a larger tree than the one that was read before the file was locked.
	if tree, err = readTree(ctx, n.cfg.Pool); err != nil {
		return signed{}, err
	}
	return n.sign(ctx, last, tree, func(note string) error { return file.add(end, note) })
}

// readNewest returns what others have signed.
func (n *Notary) readNewest(ctx context.Context, tree storedTree) (signed, error) {
	file, err := n.dir.openToRead(ctx, tree.log)
	if err != nil {
		return signed{}, &faultError{err}
	}
	var end tail
	if file != nil {
		defer file.close()
		if end, err = file.tail(); err != nil {
			return signed{}, &faultError{err}
		}
	}
	last, err := n.continues(end, tree)
	if err != nil {
		return signed{}, &faultError{err}
	}
	return last, nil
}

// continues returns the checkpoint that the next one has to continue.
func (n *Notary) continues(end tail, tree storedTree) (signed, error) {
	known := n.newest()
	if end.newest == "" {
		if known.N > 0 && known.log == tree.log {
			return signed{}, fmt.Errorf("%w: %s was signed up to seq %d and is empty now; put it back, or restart the program to begin a new one",
				ErrGone, n.dir.file(tree.log), known.N)
		}
		return signed{}, n.noOthers(tree)
	}
	last, err := n.ring.checkpoint(end.newest)
	if err == nil && last.log != tree.log {
		err = fmt.Errorf("%w: it is of log %s", errNotCheckpoint, last.log)
	}
	if err != nil {
		return signed{}, fmt.Errorf("%w: %s: %w; if the key was changed, name the one before in AUDIT_PUBLIC_KEYS", ErrNotOurs, n.dir.file(tree.log), err)
	}
	if known.log == last.log && known.N > last.N {
		return signed{}, fmt.Errorf("%w: %s was signed up to seq %d and ends at %d now; put it back, or restart the program to go on from there",
			ErrGone, n.dir.file(tree.log), known.N, last.N)
	}
	return last, nil
}

// mayBegin makes no file for a log that is refused.
func (n *Notary) mayBegin(tree storedTree) error {
	if _, err := os.Stat(n.dir.file(tree.log)); !errors.Is(err, fs.ErrNotExist) {
		return nil // what is there is looked at when it is locked
	}
	_, err := n.continues(tail{}, tree)
	return err
}

// noOthers refuses to begin with a log in a directory that has checkpoints of another.
func (n *Notary) noOthers(tree storedTree) error {
	logs, err := n.dir.logs()
	if err != nil {
		return err
	}
	for _, other := range logs {
		if other != tree.log {
			return fmt.Errorf("%w: %s is there and this log is %s; "+
				"if the log was restored or the database is a new one, move the file to where auditors keep it, else its id was changed",
				ErrOtherLog, n.dir.file(other), tree.log)
		}
	}
	return nil
}

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
