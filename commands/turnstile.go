package commands

import (
	"context"
	"slices"
	"sync"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

const (
	maxInLine   = 1024             // of one stream, who has the turn included
	maxTurnWait = 10 * time.Second // for a turn
)

// turnstile lets this node's commands at a contended stream one after another, in the order in which they came.
//
// It is not what keeps the log consistent: the expected versions do that, among all nodes. It is there because of
// what they cost: of a hundred customers who want the last uses of an offer at once, each commit makes all others
// start over, which takes up to five thousand attempts for a hundred orders and leaves it to luck who is served. In a line
// it takes one attempt each, and only one command a node collides with those of the others.
//
// The zero value is ready for use; safe for concurrent use.
type turnstile struct {
	mu    sync.Mutex
	lines map[eventstore.StreamID][]chan struct{} // the first has the turn, and its channel is closed
}

// enter returns when it is the caller's turn at a stream. leave gives the turn to the next and must be called once. It
// refuses when the line is full, when the turn does not come for long, and when ctx ends; the place in the line is
// then free.
func (t *turnstile) enter(ctx context.Context, stream eventstore.StreamID) (leave func(), err error) {
	mine, err := t.join(stream)
	if err != nil {
		return nil, err
	}
	leave = func() { t.leave(stream, mine) }
	late := time.NewTimer(maxTurnWait)
	defer late.Stop()
	select {
	case <-mine:
		return leave, nil
	case <-ctx.Done():
		leave()
		return nil, refusal(ctx.Err())
	case <-late.C:
		leave()
		return nil, errLongLine()
	}
}

// enterIfFree is enter when nobody has the turn, else nil.
func (t *turnstile) enterIfFree(stream eventstore.StreamID) (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines[stream]) > 0 {
		return nil
	}
	mine := t.stand(stream)
	return func() { t.leave(stream, mine) }
}

func (t *turnstile) join(stream eventstore.StreamID) (mine chan struct{}, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.lines[stream]) >= maxInLine {
		return nil, errLongLine()
	}
	return t.stand(stream), nil
}

// stand puts one more at the end of the line. t.mu is held.
func (t *turnstile) stand(stream eventstore.StreamID) (mine chan struct{}) {
	if t.lines == nil {
		t.lines = map[eventstore.StreamID][]chan struct{}{}
	}
	mine = make(chan struct{})
	t.lines[stream] = append(t.lines[stream], mine)
	if len(t.lines[stream]) == 1 {
		close(mine)
	}
	return mine
}

func (t *turnstile) leave(stream eventstore.StreamID, mine chan struct{}) {
	t.mu.Lock()
	defer t.mu.Unlock()
	line := t.lines[stream]
	place := slices.Index(line, mine)
	line = slices.Delete(line, place, place+1)
	if len(line) == 0 {
		delete(t.lines, stream)
		return
	}
	t.lines[stream] = line
	if place == 0 {
		close(line[0])
	}
}

func errLongLine() error {
	return domain.Errorf(domain.CodeOverloaded, "too many want the same thing at once: nothing was done, try again in a moment")
}
