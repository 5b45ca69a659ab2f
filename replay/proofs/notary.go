package proofs

import (
	"context"
	"errors"
	"log/slog"
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
	tried time.Time // when the last attempt to sign began
	grew  time.Time // when last became what it is

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
	look := func() {
		if err := n.renew(ctx, 0); err != nil && ctx.Err() == nil {
			n.log.Debug("no checkpoint was signed", "err", err)
		}
	}
	look()
	for {
		select {
		case <-ctx.Done():
			if err := n.renew(context.WithoutCancel(ctx), 0); err != nil {
				n.log.Debug("no checkpoint was signed at the end", "err", err)
			}
			return
		case <-tick.C:
			look()
		case <-n.cfg.Grown:
			if _, grew := n.times(); time.Since(grew) >= n.cfg.Every {
				look()
			}
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

// renew signs the tree if it has grown, notWithin after it was signed last at the earliest: it waits until then, or until
// somebody else has done it. Without a key it reads what others have signed. An error is also the notary's fault then,
// unless only the database did not answer.
func (n *Notary) renew(ctx context.Context, notWithin time.Duration) error {
	asked := time.Now()
	ctx, cancel := context.WithTimeout(ctx, signWithin)
	defer cancel()
	select {
	case n.turn <- struct{}{}:
		defer func() { <-n.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	if notWithin > 0 {
		tried, grew := n.times()
		if tried.After(asked) {
			return n.Fault()
		}
		early := time.NewTimer(time.Until(grew.Add(notWithin)))
		defer early.Stop()
		select {
		case <-early.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	began := time.Now()
	next, err := n.next(ctx)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.tried = began
	if err != nil {
		n.failed(err)
		return err
	}
	if n.fault != nil {
		n.log.Info("checkpoints are signed again")
	}
	if next.N != n.last.N {
		n.grew = time.Now()
	}
	n.last, n.fault = next, nil
	return nil
}

func (n *Notary) times() (tried, grew time.Time) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.tried, n.grew
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
