package projections

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
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
	// merged. So the cost of a page does not depend on how much there is behind it. Nor does the place of
	// a row in the answer matter: that is for who reads it, without a sort of what the rows carry.
	// $6 is the least of the cursors: the partitions before it are not even opened.
	sqlFeedOfChannels = `
SELECT (SELECT position FROM checkpoints WHERE group_name = 'feed'), (SELECT floor FROM notification_floor),
	asked.number, n.seq, n.event, n.channels, n.payload, n.at, n.endings
FROM unnest($2::int[], $3::int[], $4::bigint[], $5::bigint[]) WITH ORDINALITY AS asked(first, last, after, most, number)
LEFT JOIN LATERAL (
	SELECT log.* FROM (
		SELECT DISTINCT one.seq
		FROM unnest(($1::text[])[asked.first:asked.last]) AS wanted(channel)
		CROSS JOIN LATERAL (
			SELECT nc.seq FROM notification_channels nc
			WHERE nc.channel = wanted.channel AND nc.seq > asked.after AND nc.seq > $6 ORDER BY nc.seq LIMIT asked.most
		) one
		ORDER BY one.seq LIMIT asked.most
	) page CROSS JOIN LATERAL (SELECT * FROM notification_log WHERE seq = page.seq AND seq > $6 LIMIT 1) log
) n ON true`
)

// Page is a part of the notification log.
type Page struct {
	// Items are in rising order of seq.
	Items []Notification
	// Position is the seq up to which Items is complete: the last item's when there is More, else the
	// feed's checkpoint in the snapshot that was read.
	Position int64
	More     bool
	// Expired says that retention had dropped notifications after the cursor in that snapshot. Such a page
	// has no items.
	Expired bool
}

// Reading is what is asked of the notification log: at most Limit notifications after a seq that at least one
// of the channels carries, each once.
type Reading struct {
	Channels []string
	After    int64
	Limit    int
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
	if limit < 1 {
		return Page{}, errLimit(limit)
	}
	var (
		page Page
		r    feedRow
	)
	rows, err := f.pool.Query(ctx, sqlFeedTail, after, limit+1)
	if err == nil {
		_, err = pgx.ForEachRow(rows, append([]any{&page.Position, &r.floor}, r.item()...), func() error {
			return r.addTo(&page)
		})
	}
	if err != nil {
		return Page{}, fmt.Errorf("read the notification log: %w", err)
	}
	page.close(after, limit, r.floor)
	return page.orExpired()
}

// ReadChannels returns the notifications after a seq that at least one of channels carries, each once, at
// most limit. [ErrExpired] if retention has dropped some of them.
func (f *FeedLog) ReadChannels(ctx context.Context, channels []string, after int64, limit int) (Page, error) {
	pages, err := f.Read(ctx, []Reading{{Channels: channels, After: after, Limit: limit}})
	if err != nil {
		return Page{}, err
	}
	return pages[0].orExpired()
}

// Read returns a page for each reading, all of one snapshot and in one round trip.
func (f *FeedLog) Read(ctx context.Context, readings []Reading) ([]Page, error) {
	var (
		pages            = make([]Page, len(readings))
		channels         []string                                                 // of all readings …
		first, last      = make([]int, len(readings)), make([]int, len(readings)) // … and which of them are each one's, from 1
		after, most      = make([]int64, len(readings)), make([]int, len(readings))
		position, number int64
		r                feedRow
	)
	if len(readings) == 0 {
		return nil, nil
	}
	for i, asked := range readings {
		if asked.Limit < 1 {
			return nil, errLimit(asked.Limit)
		}
		first[i] = len(channels) + 1
		channels = append(channels, asked.Channels...)
		last[i] = len(channels)
		after[i], most[i] = asked.After, asked.Limit+1
	}
	rows, err := f.pool.Query(ctx, sqlFeedOfChannels, channels, first, last, after, most, slices.Min(after))
	if err == nil {
		_, err = pgx.ForEachRow(rows, append([]any{&position, &r.floor, &number}, r.item()...), func() error {
			return r.addTo(&pages[number-1])
		})
	}
	if err != nil {
		return nil, fmt.Errorf("read the notification log: %w", err)
	}
	for i, asked := range readings {
		page := &pages[i]
		slices.SortFunc(page.Items, func(a, b Notification) int { return cmp.Compare(a.Seq, b.Seq) })
		page.Position = position
		page.close(asked.After, asked.Limit, r.floor)
	}
	return pages, nil
}

func errLimit(limit int) error { return fmt.Errorf("a page of %d notifications", limit) }

// feedRow is a row of an answer: a notification, or that there is none.
type feedRow struct {
	floor    int64
	seq      *int64
	event    *string
	channels []string
	payload  []byte
	at       *time.Time
	endings  []byte
}

// item is where the columns of the notification go.
func (r *feedRow) item() []any {
	return []any{&r.seq, &r.event, &r.channels, &r.payload, &r.at, &r.endings}
}

func (r *feedRow) addTo(page *Page) error {
	if r.seq == nil {
		return nil
	}
	n := Notification{Seq: *r.seq, Event: *r.event, Channels: r.channels, Data: json.RawMessage(r.payload), At: r.at.UTC()}
	if r.endings != nil {
		if err := json.Unmarshal(r.endings, &n.Endings); err != nil {
			return fmt.Errorf("endings of seq %d: %w", n.Seq, err)
		}
	}
	page.Items = append(page.Items, n)
	r.channels, r.payload = nil, nil // the next row gets its own
	return nil
}

// close makes a page of what was read up to the feed's checkpoint: one item more than the limit says that
// there is more.
func (p *Page) close(after int64, limit int, floor int64) {
	if after < floor {
		*p = Page{Position: p.Position, Expired: true}
		return
	}
	if len(p.Items) > limit {
		p.Items, p.More = p.Items[:limit], true
		p.Position = p.Items[limit-1].Seq
	}
}

func (p Page) orExpired() (Page, error) {
	if p.Expired {
		return Page{}, ErrExpired
	}
	return p, nil
}
