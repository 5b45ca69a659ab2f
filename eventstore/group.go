package eventstore

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	watermillsql "github.com/ThreeDotsLabs/watermill-sql/v4/pkg/sql"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// Topic is the name under which Watermill knows the log.
const Topic = "events"

// GroupConfig describes a [Group].
type GroupConfig struct {
	// Name is the group's row in checkpoints.
	Name string
	// Segment is the most events of one message. 0: 500.
	Segment int
	// Gather is how far apart segments begin at least, while the group keeps up: events that come faster than that are
	// handled together, at a fraction of what each would cost alone. Whatever comes after a pause is handled at once.
	// 0: all is.
	Gather time.Duration
	// Elsewhere is how long a handler may be at something else than its transaction, such as at appending. Then the
	// server ends that: a node that is frozen in it keeps the others from working for the group. 0: 10 s.
	Elsewhere time.Duration
	// Tail, if not nil, is shared with the other groups of the process.
	Tail *Tail
	// Poll is how long the group waits for a hint before it looks for itself. 0: 1 s.
	Poll time.Duration
	// Committed, if not nil, is called with the new checkpoint after each segment, from the group's goroutine.
	Committed func(position int64)
	Logger    *slog.Logger
}

// Group reads the log for one consumer group, through Watermill, a segment at a time.
//
// Each segment is one Watermill message and one transaction: the checkpoint row is locked (so one node at
// a time works for a group, and another takes over by itself when it dies), the handler writes through
// the transaction it is given, the checkpoint moves, and all of it commits together. A handler that fails, or panics,
// rolls all of it back; the segment is then tried again event by event, so that what is good gets
// through, and stands at the event that fails until it no longer does. Nothing is ever skipped. Why it
// stands is written into the checkpoint's row, for whoever asks from outside of this node, and cleared when
// the group works again; that is done as well as it can be, and the group does not depend on it.
//
// The group is the adapter Watermill needs in four places (transactions, schema, offsets, backoff),
// because what one of them learns another has to act on.
//
// Two groups of a process that share a [Tail] read each event once between them.
type Group struct {
	cfg  GroupConfig
	pool *pgxpool.Pool

	hints, stop <-chan struct{}

	tellAtMost time.Duration

	mu       sync.Mutex
	status   GroupStatus
	last     segmentEnd
	singleTo int64    // read event by event up to here
	untold   *failure // to be written into the group's row
	told     bool     // the row may tell of a failure, of this node or of a program before
}

// segmentEnd is what is known since the last segment that was looked for.
type segmentEnd struct {
	began time.Time // the last segment; zero: it did not end well, or none was found
	at    int64     // the checkpoint
	of    logLife
	more  bool // there is something behind it, as far as is known
	sure  bool // the checkpoint is known: this node has moved it, and nothing speaks for another having done so since
}

// GroupStatus is what a group is doing on this node.
type GroupStatus struct {
	Name string
	// Position is the last checkpoint that this node committed; 0 if it has not worked yet.
	Position int64
	// Failures counts the failed attempts since the last success; 0 is healthy.
	Failures int
	// FailedSeq is the first event of the segment that fails.
	FailedSeq int64
	LastError string
}

// NewGroup returns a group on pool's database.
func NewGroup(pool *pgxpool.Pool, cfg GroupConfig) *Group {
	if cfg.Segment == 0 {
		cfg.Segment = 500
	}
	if cfg.Elsewhere == 0 {
		cfg.Elsewhere = 10 * time.Second
	}
	if cfg.Poll == 0 {
		cfg.Poll = time.Second
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	cfg.Logger = cfg.Logger.With("group", cfg.Name)
	return &Group{cfg: cfg, pool: pool, tellAtMost: tellAtMost, status: GroupStatus{Name: cfg.Name}, told: true}
}

// Status tells how the group fares. Safe for concurrent use.
func (g *Group) Status() GroupStatus {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.status
}

// Start sets what ends the group's waits, before it is subscribed: hints when there is something to read
// (see [Listener.Signal]; nil: it polls), stop when its context ends.
func (g *Group) Start(hints, stop <-chan struct{}) { g.hints, g.stop = hints, stop }

// Subscriber returns the Watermill subscriber whose messages the group's [Group.Handler] takes.
func (g *Group) Subscriber() (message.Subscriber, error) {
	never := time.Duration(0) // a handler is bounded by its context; a deadline would only leave it behind
	sub, err := watermillsql.NewSubscriber(beginner{g}, watermillsql.SubscriberConfig{
		ConsumerGroup:  g.cfg.Name,
		AckDeadline:    &never,
		BackoffManager: backoff{g},
		SchemaAdapter:  schemaAdapter{g},
		OffsetsAdapter: offsetsAdapter{g},
	}, slogAdapter(g.cfg.Logger, g.stop))
	if err != nil {
		return nil, fmt.Errorf("subscribe group %s: %w", g.cfg.Name, err)
	}
	return sub, nil
}

// Handler makes a Watermill handler of project. It never returns an error: Watermill would send the message
// again inside the same transaction, with the half-done work still in it. What project returns is kept
// with the transaction, which then refuses to commit.
func (g *Group) Handler(project func(ctx context.Context, tx pgx.Tx, events []Recorded) error) message.NoPublishHandlerFunc {
	return func(msg *message.Message) error {
		tx, ok := watermillsql.TxFromContext(msg.Context())
		if !ok {
			return errors.New("eventstore: the message has no transaction; it is not of a Group's subscriber")
		}
		s, ok := tx.(*segment)
		if !ok {
			return errors.New("eventstore: the message is not of a Group's subscriber")
		}
		s.work(msg.Context(), project)
		return nil
	}
}

// succeeded and failed keep the group's status, and decide how much is read next.
func (g *Group) succeeded(s *segment) {
	g.mu.Lock()
	if g.status.Failures > 0 {
		g.cfg.Logger.Info("the group works again", "position", s.upTo)
	}
	g.status = GroupStatus{Name: g.cfg.Name, Position: s.upTo}
	g.last = segmentEnd{began: s.began, at: s.upTo, of: s.of, more: s.head > s.upTo, sure: true}
	g.untold, g.told = nil, false // the row was cleared as the checkpoint moved
	if s.upTo >= g.singleTo {
		g.singleTo = 0
	}
	g.mu.Unlock()
	if g.cfg.Committed != nil {
		g.cfg.Committed(s.upTo)
	}
}

// idle is told when there is nothing to read: whatever failed before does not any more. taken says that there is, but
// another node works for the group.
func (g *Group) idle(taken bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status.Failures, g.status.FailedSeq, g.status.LastError = 0, 0, ""
	g.last.began, g.last.more = time.Time{}, false
	g.last.sure = g.last.sure && !taken
}

// behind: there is more to read, without waiting for a hint.
func (g *Group) behind() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.more
}

// hinted is told that there may be more to read.
func (g *Group) hinted() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.last.more = true
}

// expects returns the checkpoint and its log, if that is known and something is expected behind it.
func (g *Group) expects() (checkpoint int64, of logLife, ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.at, g.last.of, g.last.more && g.last.sure
}

// gathersUntil is when the next segment may begin.
func (g *Group) gathersUntil() time.Time {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.last.began.Add(g.cfg.Gather)
}

// wait waits for a while, for a hint or for the group's end, and tells whether it was for a hint.
func (g *Group) wait(most time.Duration, hints <-chan struct{}) (hinted bool) {
	if most <= 0 {
		return false
	}
	enough := time.NewTimer(most)
	defer enough.Stop()
	select {
	case <-g.stop:
	case <-hints:
		return true
	case <-enough.C:
	}
	return false
}

// failed is told of each attempt that failed; s is nil when there was not even a transaction, because the database is away.
func (g *Group) failed(s *segment, err error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.status.Failures++
	g.status.LastError = err.Error()
	g.last = segmentEnd{}
	if s == nil {
		return
	}
	g.untold, g.told = &failure{text: storableText(err)}, true
	if s.handled {
		g.status.FailedSeq = s.after + 1
		g.singleTo = max(g.singleTo, s.upTo)
		after, seq := s.after, s.after+1
		g.untold.after, g.untold.seq = &after, &seq
	}
}

// limit is how many events the next segment may have.
func (g *Group) limit() int64 {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.singleTo > 0 {
		return 1
	}
	return int64(g.cfg.Segment)
}
