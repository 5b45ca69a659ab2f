package projections

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

// ErrExpired: the notifications asked for were dropped by retention.
var ErrExpired = errors.New("the notifications after this seq are no longer held")

const (
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
