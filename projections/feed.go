package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/orderlog/orderlog/eventstore"
)

// FeedChannel is the PostgreSQL notification channel on which the feed's progress is announced. A hint
// only: followers must also poll.
const FeedChannel = "orderlog_feed"

// feedPartition is how many seqs a partition of the notification log spans. Part of the schema: never
// change it for an existing database.
const feedPartition = 100_000

const (
	// unnest fills up a list that is shorter than the others with nulls: without endings, $6 is null itself.
	sqlInsertNotifications = `
INSERT INTO notification_log (seq, event, channels, payload, at, endings)
SELECT seq, event, string_to_array(channels, E'\n'), payload::json, at, endings::json
FROM unnest($1::bigint[], $2::text[], $3::text[], $4::text[], $5::timestamptz[], $6::text[])
	AS u(seq, event, channels, payload, at, endings)`

	sqlInsertChannels = `
INSERT INTO notification_channels (channel, seq) SELECT * FROM unnest($1::text[], $2::bigint[])`

	sqlAddFeedPartitions = `
SELECT add_partitions('notification_log', $1, $2), add_partitions('notification_channels', $1, $2)`

	sqlAnnounce = `SELECT pg_notify($1, $2)`
)

// Notification is what the outside is told of one event: at most one for each seq of the log.
type Notification struct {
	Seq   int64
	Event string
	// Channels that carry it: "all", "role:ROLE", "user:ID", "order:ID", "delivery:AGENT".
	Channels []string
	Data     json.RawMessage
	At       time.Time
	// Endings are the rights that the event took away, if any; subscriptions that had them leave the channel.
	Endings []Ending
}

// Feed writes the notification log: the model of [GroupFeed].
type Feed struct {
	pool   *pgxpool.Pool
	ready  atomic.Int64 // there are partitions up to here
	newest *Newest      // nil: nobody is passed on what is written

	reached atomic.Int64  // the checkpoint
	moved   chan struct{} // it has moved since it was announced
}

// NewFeed returns the model. It makes partitions over connections of pool, apart from the projection's
// own transaction, which may yet be rolled back.
func NewFeed(pool *pgxpool.Pool) *Feed { return &Feed{pool: pool, moved: make(chan struct{}, 1)} }

// Project writes the notifications of events.
func (f *Feed) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	var (
		seqs, channelSeqs                   []int64
		names, lists, payloads, channelRows []string
		times                               []time.Time
		endings                             []*string // as long as it has to be
		items                               []Notification
	)
	for _, e := range events {
		n, ended, ok, err := feedEntry(e)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if ended != "" {
			endings = append(endings, make([]*string, len(seqs)+1-len(endings))...)
			endings[len(seqs)] = &ended
		}
		if f.newest != nil {
			items = append(items, n)
		}
		seqs, names, payloads, times = append(seqs, n.Seq), append(names, n.Event), append(payloads, string(n.Data)), append(times, n.At)
		list := ""
		for i, c := range n.Channels {
			if i > 0 {
				list += "\n" // no channel has one: ids are checked for control characters
			}
			list += c
			channelRows, channelSeqs = append(channelRows, c), append(channelSeqs, n.Seq)
		}
		lists = append(lists, list)
	}
	if f.newest != nil && len(events) > 0 {
		f.newest.writes(written{from: events[0].Seq - 1, upTo: events[len(events)-1].Seq, items: items})
	}
	if len(seqs) == 0 {
		return nil
	}
	if err := f.addPartitions(ctx, seqs[len(seqs)-1]); err != nil {
		return err
	}
	var q pgx.Batch
	q.Queue(sqlInsertNotifications, seqs, names, lists, payloads, times, endings)
	q.Queue(sqlInsertChannels, channelRows, channelSeqs)
	if err := eventstore.AtEnd(ctx, tx, &q); err != nil {
		return fmt.Errorf("write notifications: %w", err)
	}
	return nil
}

// Committed is told of the feed's checkpoint after each commit.
func (f *Feed) Committed(position int64) {
	if f.newest != nil {
		f.newest.committed(position)
	}
	f.reached.Store(position)
	select {
	case f.moved <- struct{}{}:
	default:
	}
}

// Run announces to the hubs of all nodes what the feed has reached, until ctx ends and the last of it is announced; the feed
// does not wait for that. Nor
// does it belong into the feed's transactions: PostgreSQL lets only one transaction with a notification commit at a time,
// so that the feed would wait for the appends, and the appends for the feed.
func (f *Feed) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			select {
			case <-f.moved:
				f.announce(context.WithoutCancel(ctx), f.reached.Load())
			default:
			}
			return nil
		case <-f.moved:
		}
		f.announce(context.WithoutCancel(ctx), f.reached.Load())
	}
}

func (f *Feed) announce(ctx context.Context, position int64) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	// Its failure costs time, not notifications: the hubs also poll.
	_, _ = f.pool.Exec(ctx, sqlAnnounce, FeedChannel, strconv.FormatInt(position, 10))
}

// addPartitions makes sure that there is room well beyond seq.
func (f *Feed) addPartitions(ctx context.Context, seq int64) error {
	if seq+feedPartition < f.ready.Load() {
		return nil
	}
	upTo := seq + 2*feedPartition
	if _, err := f.pool.Exec(ctx, sqlAddFeedPartitions, int64(feedPartition), upTo); err != nil {
		return fmt.Errorf("make partitions of the notification log up to seq %d: %w", upTo, err)
	}
	f.ready.Store(upTo)
	return nil
}
