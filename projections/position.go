package projections

import (
	"context"
	"sync"
	"time"
)

// How often a checkpoint is looked at while somebody waits for it: soon at first, because most wait for what is about to
// be there.
const (
	firstLook = 2 * time.Millisecond
	lookEvery = 20 * time.Millisecond
)

// Position follows a checkpoint for those who wait for it. Of these one looks for all: anybody may wait, and for a seq
// that is never reached, so what it costs must not depend on how many do. It is safe for concurrent use.
type Position struct {
	read  func(ctx context.Context) (int64, error)
	looks chan struct{} // holds one while somebody looks

	// Of who looks:
	next time.Time     // when the next look is due
	wait time.Duration // how long that was behind the one before

	mu    sync.Mutex
	at    int64         // the checkpoint was at least here
	risen chan struct{} // closed when it is further
}

// NewPosition returns the Position of the checkpoint that read reads.
func NewPosition(read func(ctx context.Context) (int64, error)) *Position {
	return &Position{read: read, looks: make(chan struct{}, 1), risen: make(chan struct{})}
}

// WaitFor returns when the checkpoint has come to seq, or with read's error or ctx's.
func (p *Position) WaitFor(ctx context.Context, seq int64) error {
	for {
		at, risen := p.now()
		if at >= seq {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-risen:
		case p.looks <- struct{}{}:
			err := p.look(ctx, seq)
			<-p.looks
			if err != nil {
				return err
			}
		}
	}
}

// look reads until the checkpoint has come to seq. Who begins to look goes on at the pace of who looked before: else each who
// gives up would make the next one look at once.
func (p *Position) look(ctx context.Context, seq int64) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Until(p.next)):
		}
		before := p.At()
		if before >= seq {
			return nil
		}
		at, err := p.read(ctx)
		if err != nil && ctx.Err() != nil {
			return ctx.Err() // nothing was seen, and the next one does not wait for that
		}
		if p.wait = min(max(2*p.wait, firstLook), lookEvery); at > before {
			p.wait = firstLook
		}
		p.next = time.Now().Add(p.wait)
		if err != nil {
			return err
		}
		p.Saw(at)
		if at >= seq {
			return nil
		}
	}
}

// Saw is told where the checkpoint was seen by somebody who read something else.
func (p *Position) Saw(at int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if at > p.at {
		p.at = at
		close(p.risen)
		p.risen = make(chan struct{})
	}
}

// At is where the checkpoint was at least.
func (p *Position) At() int64 {
	at, _ := p.now()
	return at
}

func (p *Position) now() (at int64, risen <-chan struct{}) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.at, p.risen
}
