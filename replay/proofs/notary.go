package proofs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"

	"golang.org/x/mod/sumdb/note"
	"golang.org/x/sync/errgroup"
)

const (
	defaultEvery = 10 * time.Second
	// onDemandEvery is how often a tree that has grown is signed because somebody asks.
	onDemandEvery = time.Second
	// signWithin bounds one attempt to sign, signAtEnd the last.
	signWithin = 10 * time.Second
	signAtEnd  = 5 * time.Second
)

// Notary signs checkpoints of the tree, gives proofs and verifies the log. It is safe for concurrent use. Several of them,
// in several programs, may share a database, a key and a directory.
//
// It is a witness: before it signs a tree it checks that the tree continues the one that was signed last. What it has
// signed leaves it only when it is in the directory, so that this holds over restarts.
type Notary struct {
	cfg    Config
	log    *slog.Logger
	signer note.Signer // nil: without a key
	key    string      // the signer's verifier key
	ring   keyring
	dir    directory

	turn chan struct{} // held by whoever signs

	mu    sync.Mutex
	last  signed // zero: nothing is signed yet
	fault error
	tried time.Time // when it was last looked whether there is something to sign

	verifications *verifications
}

// Open returns a Notary. What was signed last is read when it is needed first.
func Open(cfg Config) (*Notary, error) {
	if cfg.Every == 0 {
		cfg.Every = defaultEvery
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	n := &Notary{
		cfg: cfg, log: cfg.Logger, dir: directory(cfg.Dir),
		turn: make(chan struct{}, 1), verifications: newVerifications(),
	}
	known := cfg.Trusted
	if cfg.Key != "" {
		var err error
		if n.key, err = PublicKey(cfg.Key); err != nil {
			return nil, err
		}
		if n.signer, err = note.NewSigner(cfg.Key); err != nil {
			return nil, errKey
		}
		known = append([]string{n.key}, known...)
	}
	var err error
	if n.ring, err = newKeyring(known...); err != nil {
		return nil, err
	}
	return n, nil
}

// Run signs the tree when it has grown, and once more when ctx ends, and carries out the verifications that are asked for.
// It may be called once. What keeps it from signing ends it not: see [Notary.Fault].
func (n *Notary) Run(ctx context.Context) error {
	var g errgroup.Group
	g.Go(func() error { n.runVerifications(ctx); return nil })
	g.Go(func() error { n.runSigning(ctx); return nil })
	return g.Wait()
}

func (n *Notary) runSigning(ctx context.Context) {
	tick := time.NewTicker(n.cfg.Every)
	defer tick.Stop()
	for {
		if err := n.renew(ctx, 0); err != nil && ctx.Err() == nil {
			n.log.Debug("no checkpoint was signed", "err", err)
		}
		select {
		case <-ctx.Done():
			ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), signAtEnd)
			defer cancel()
			if err := n.renew(ctx, 0); err != nil {
				n.log.Debug("no checkpoint was signed at the end", "err", err)
			}
			return
		case <-tick.C:
		}
	}
}

// PublicKey is the verifier key of the notary's own key; empty without one.
func (n *Notary) PublicKey() string { return n.key }

// Fault says why the notary does not sign; nil: all is well. What it says first is that of the last attempt.
func (n *Notary) Fault() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.fault
}

// Signed is the size of the newest signed tree that this notary knows and when its newest event was recorded; 0: none.
func (n *Notary) Signed() (size int64, at time.Time) {
	s := n.newest()
	return s.N, s.at
}

func (n *Notary) newest() signed {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.last
}

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

// renew signs the tree if it has grown, unless that was looked after less than a while ago; without a key it reads what
// others have signed. An error is also the notary's fault then, unless only the database did not answer.
func (n *Notary) renew(ctx context.Context, notWithin time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if notWithin > 0 && time.Since(n.lastTried()) < notWithin {
		return n.Fault()
	}
	next, err := n.next(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tried = time.Now()
	if err != nil {
		n.failed(err)
		return err
	}
	if n.fault != nil {
		n.log.Info("checkpoints are signed again")
	}
	n.last, n.fault = next, nil
	return nil
}

func (n *Notary) lastTried() time.Time {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tried
}

// faultError is an error that is the notary's fault until an attempt succeeds.
type faultError struct{ error }

func (e *faultError) Unwrap() error { return e.error }

func (n *Notary) failed(err error) {
	var fault *faultError
	if !errors.As(err, &fault) {
		n.log.Warn("it is not known whether there is something to sign", "err", err)
		return
	}
	if n.fault == nil || n.fault.Error() != err.Error() {
		n.log.Error("no checkpoint is signed", "err", err)
	}
	n.fault = err
}

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
