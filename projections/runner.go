// Package projections derives from the log what is read of it: the read models behind REST, and the
// notification log that subscribers follow and resume from.
//
// Guarantees: a group's rows and its checkpoint commit in one transaction, so a reader never sees half an
// event and a restart neither repeats nor skips one. The groups do not wait for each other; each stops,
// visibly, at an event that it cannot handle. Everything here can be thrown away and derived again.
package projections

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ThreeDotsLabs/watermill"
	"github.com/ThreeDotsLabs/watermill/message"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
)

// Names of the groups, as in the table checkpoints.
const (
	GroupFeed  = "feed"  // the notification log
	GroupViews = "views" // the read models of REST, under one checkpoint so that X-Seq is one number

	GroupInbox   = "inbox"   // writes entries into inboxes because of what happened
	GroupRefunds = "refunds" // tells the payment provider of refunds

	GroupProofs = "proofs" // the Merkle tree over the log, and what auditors search by
)

// How far apart the segments of a group begin at least, while events come one after the other. Each segment costs a
// transaction, however few events it has.
const (
	// GatherAwaited is for a group whose rows somebody may wait for, who has just changed something.
	GatherAwaited = 20 * time.Millisecond
	// GatherUnawaited is for the others.
	GatherUnawaited = 50 * time.Millisecond
)

// Event is a recorded event with its decoded body. Groups share events: models only read them.
type Event struct {
	eventstore.Recorded
	Body domain.Event
}

// Model keeps some tables up with the log.
type Model interface {
	// Project brings the tables up to the last of events, which follow on those it was given before. All
	// it writes goes through tx, whose commit is not its business.
	Project(ctx context.Context, tx pgx.Tx, events []Event) error
}

// Group is one or more models under one checkpoint.
type Group struct {
	Name   string
	Models []Model
	// Undecoded: the models look at envelopes only. Their events have no Body, and may be of types this program does
	// not know.
	Undecoded bool
	// Gather is how far apart the group's segments begin at least, while events come one after the other; see
	// [eventstore.GroupConfig]. 0: each is handled at once.
	Gather time.Duration
	// Elsewhere is how long the models may be at something else than the transaction; see [eventstore.GroupConfig]. 0: 10 s.
	Elsewhere time.Duration
	// Committed, if not nil, is called with the new checkpoint after each segment.
	Committed func(position int64)
}

// Hinter wakes the groups when the log has grown; an [eventstore.Listener] is one.
type Hinter interface {
	Signal(channel string) (hints <-chan struct{}, cancel func())
}

// Runner runs groups on Watermill's Router.
type Runner struct {
	hinter Hinter
	log    *slog.Logger
	groups []*running
}

type running struct {
	Group
	log     *eventstore.Group
	decoded *decoded
}

// NewRunner returns a Runner on pool's database. hinter may be nil: the groups then poll.
func NewRunner(pool *pgxpool.Pool, hinter Hinter, log *slog.Logger, groups ...Group) *Runner {
	r := &Runner{hinter: hinter, log: log}
	tail, bodies := eventstore.NewTail(), &decoded{}
	for _, g := range groups {
		r.groups = append(r.groups, &running{Group: g, decoded: bodies, log: eventstore.NewGroup(pool, eventstore.GroupConfig{
			Name: g.Name, Gather: g.Gather, Elsewhere: g.Elsewhere, Tail: tail, Committed: g.Committed, Logger: log,
		})})
	}
	return r
}

// Run keeps the groups up with the log until ctx ends. It may be called once.
func (r *Runner) Run(ctx context.Context) error {
	router, err := message.NewRouter(message.RouterConfig{CloseTimeout: 10 * time.Second},
		watermill.NewSlogLoggerWithLevelMapping(r.log, map[slog.Level]slog.Level{slog.LevelInfo: slog.LevelDebug}))
	if err != nil {
		return fmt.Errorf("make the router: %w", err)
	}
	for _, g := range r.groups {
		var hints <-chan struct{}
		if r.hinter != nil {
			signal, cancel := r.hinter.Signal(eventstore.EventsChannel)
			defer cancel()
			hints = signal
		}
		g.log.Start(hints, ctx.Done())
		subscriber, err := g.log.Subscriber()
		if err != nil {
			return err
		}
		router.AddConsumerHandler(g.Name, eventstore.Topic, subscriber, g.log.Handler(g.project)) //nolint:contextcheck // the context is the message's
	}
	if err := router.Run(ctx); err != nil && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("run the projections: %w", err)
	}
	if ctx.Err() == nil {
		return errors.New("the projections stopped by themselves")
	}
	return nil
}

// Status tells how each group fares on this node.
func (r *Runner) Status() []eventstore.GroupStatus {
	all := make([]eventstore.GroupStatus, len(r.groups))
	for i, g := range r.groups {
		all[i] = g.log.Status()
	}
	return all
}

func (g *running) project(ctx context.Context, tx pgx.Tx, recorded []eventstore.Recorded) error {
	events := make([]Event, len(recorded))
	for i, r := range recorded {
		if g.Undecoded {
			events[i].Recorded = r
			continue
		}
		var err error
		if events[i], err = g.decoded.event(r); err != nil {
			return err
		}
	}
	for _, m := range g.Models {
		if err := m.Project(ctx, tx, events); err != nil {
			return err
		}
	}
	return nil
}
