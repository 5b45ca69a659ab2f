package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// FeedChannel is the PostgreSQL notification channel on which the feed's progress is announced. A hint
// only: followers must also poll.
const FeedChannel = "orderlog_feed"

// ErrExpired: the notifications asked for were dropped by retention.
var ErrExpired = errors.New("the notifications after this seq are no longer held")

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

	sqlFeedBounds = `
SELECT h.log_id, f.floor, c.position, h.seq
FROM log_head h, notification_floor f, checkpoints c WHERE c.group_name = 'feed'`

	// The checkpoint and the floor come with the rows, from one snapshot: what the page says of itself is
	// true of its rows.
	sqlFeedTail = `
SELECT c.position, f.floor, n.seq, n.event, n.channels, n.payload, n.at, n.endings
FROM checkpoints c CROSS JOIN notification_floor f
LEFT JOIN LATERAL (
	SELECT * FROM notification_log WHERE seq > $1 ORDER BY seq LIMIT $2
) n ON true
WHERE c.group_name = 'feed' ORDER BY n.seq`

	// Each channel is read by itself, in order and no further than the page needs; only then are they
	// merged. So the cost of a page does not depend on how much there is behind it.
	sqlFeedOfChannels = `
SELECT c.position, f.floor, n.seq, n.event, n.channels, n.payload, n.at, n.endings
FROM checkpoints c CROSS JOIN notification_floor f
LEFT JOIN LATERAL (
	SELECT log.* FROM (
		SELECT DISTINCT one.seq
		FROM unnest($3::text[]) AS wanted(channel)
		CROSS JOIN LATERAL (
			SELECT nc.seq FROM notification_channels nc
			WHERE nc.channel = wanted.channel AND nc.seq > $1 ORDER BY nc.seq LIMIT $2
		) one
		ORDER BY one.seq LIMIT $2
	) page JOIN notification_log log USING (seq)
) n ON true
WHERE c.group_name = 'feed' ORDER BY n.seq`
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

// Page is a part of the notification log.
type Page struct {
	// Items are in rising order of seq.
	Items []Notification
	// Position is the seq up to which Items is complete: the last item's when there is More, else the
	// feed's checkpoint in the snapshot that was read.
	Position int64
	More     bool
}

// Bounds of the notification log, from one snapshot.
type Bounds struct {
	LogID uuid.UUID
	// Floor: every notification with a greater seq is held; up to it, retention may have dropped some.
	Floor int64
	// Position is the feed's checkpoint.
	Position int64
	// Head is the seq of the newest event in the log; Position follows it.
	Head int64
}

// Feed writes the notification log: the model of [GroupFeed].
type Feed struct {
	pool  *pgxpool.Pool
	ready atomic.Int64 // there are partitions up to here
}

// NewFeed returns the model. It makes partitions over connections of pool, apart from the projection's
// own transaction, which may yet be rolled back.
func NewFeed(pool *pgxpool.Pool) *Feed { return &Feed{pool: pool} }

// Project writes the notifications of events.
func (f *Feed) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	var (
		seqs, channelSeqs                   []int64
		names, lists, payloads, channelRows []string
		times                               []time.Time
		endings                             []*string // as long as it has to be
	)
	for _, e := range events {
		n, ok, err := Notify(e)
		if err != nil {
			return err
		}
		if !ok {
			continue
		}
		if len(n.Endings) > 0 {
			encoded, err := encode(n.Endings)
			if err != nil {
				return fmt.Errorf("endings of seq %d: %w", n.Seq, err)
			}
			endings = append(endings, make([]*string, len(seqs)+1-len(endings))...)
			endings[len(seqs)] = &encoded
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
	if len(seqs) == 0 {
		return nil
	}
	if err := f.addPartitions(ctx, seqs[len(seqs)-1]); err != nil {
		return err
	}
	var q pgx.Batch
	q.Queue(sqlInsertNotifications, seqs, names, lists, payloads, times, endings)
	q.Queue(sqlInsertChannels, channelRows, channelSeqs)
	if err := tx.SendBatch(ctx, &q).Close(); err != nil {
		return fmt.Errorf("write notifications: %w", err)
	}
	return nil
}

// Announce tells the hubs of all nodes that the feed has reached position. It belongs after the commit and
// not into it: PostgreSQL lets only one transaction with a notification commit at a time, and a feed that
// waits for the disk there would hold up the appends.
func (f *Feed) Announce(position int64) {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
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

// FeedLog reads the notification log. It is safe for concurrent use.
type FeedLog struct{ pool *pgxpool.Pool }

// NewFeedLog returns a reader of pool's database.
func NewFeedLog(pool *pgxpool.Pool) *FeedLog { return &FeedLog{pool: pool} }

// Bounds tells what the log of notifications holds.
func (f *FeedLog) Bounds(ctx context.Context) (Bounds, error) {
	var b Bounds
	if err := f.pool.QueryRow(ctx, sqlFeedBounds).Scan(&b.LogID, &b.Floor, &b.Position, &b.Head); err != nil {
		return Bounds{}, fmt.Errorf("read the bounds of the notification log: %w", err)
	}
	return b, nil
}

// Tail returns every notification after a seq, at most limit. [ErrExpired] if retention has dropped some
// of them.
func (f *FeedLog) Tail(ctx context.Context, after int64, limit int) (Page, error) {
	return f.page(ctx, sqlFeedTail, after, limit)
}

// ReadChannels returns the notifications after a seq that at least one of channels carries, each once, at
// most limit. [ErrExpired] if retention has dropped some of them.
func (f *FeedLog) ReadChannels(ctx context.Context, channels []string, after int64, limit int) (Page, error) {
	return f.page(ctx, sqlFeedOfChannels, after, limit, channels)
}

func (f *FeedLog) page(ctx context.Context, query string, after int64, limit int, more ...any) (Page, error) {
	if limit < 1 {
		return Page{}, fmt.Errorf("a page of %d notifications", limit)
	}
	rows, err := f.pool.Query(ctx, query, append([]any{after, limit + 1}, more...)...)
	if err != nil {
		return Page{}, fmt.Errorf("read the notification log: %w", err)
	}
	var (
		page        Page
		floor       int64
		seq         *int64
		event       *string
		channels    []string
		payload     []byte
		at          *time.Time
		endings     []byte
		position    int64
		destination = []any{&position, &floor, &seq, &event, &channels, &payload, &at, &endings}
	)
	_, err = pgx.ForEachRow(rows, destination, func() error {
		if seq == nil { // none
			return nil
		}
		n := Notification{Seq: *seq, Event: *event, Channels: channels, Data: json.RawMessage(payload), At: at.UTC()}
		if endings != nil {
			if err := json.Unmarshal(endings, &n.Endings); err != nil {
				return fmt.Errorf("endings of seq %d: %w", *seq, err)
			}
		}
		page.Items = append(page.Items, n)
		channels, payload = nil, nil // the next row gets its own
		return nil
	})
	if err != nil {
		return Page{}, fmt.Errorf("read the notification log: %w", err)
	}
	if after < floor {
		return Page{}, ErrExpired
	}
	page.Position = position
	if len(page.Items) > limit {
		page.Items, page.More = page.Items[:limit], true
		page.Position = page.Items[limit-1].Seq
	}
	return page, nil
}
