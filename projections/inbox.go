package projections

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"

	"github.com/orderlog/orderlog/domain/inbox"
)

const (
	sqlLoadInbox = `SELECT id, doc FROM inbox_view WHERE id = ANY($1)`

	sqlSaveInbox = `
INSERT INTO inbox_view (id, user_id, entered_seq, read, doc)
SELECT id, user_id, entered_seq, read, doc::json
FROM unnest($1::uuid[], $2::text[], $3::bigint[], $4::boolean[], $5::text[]) AS u(id, user_id, entered_seq, read, doc)
ON CONFLICT (id) DO UPDATE SET read = excluded.read, doc = excluded.doc`

	sqlAddInboxReaders = `
INSERT INTO inbox_readers (user_id, upto_seq, at)
SELECT * FROM unnest($1::text[], $2::bigint[], $3::timestamptz[])`

	// Up to where the user has read all. It does not depend on a row, so it is looked up once a statement.
	sqlReadUpTo = `coalesce((SELECT max(r.upto_seq) FROM inbox_readers r WHERE r.user_id = $1), 0)`

	// The count looks only at what came after the user last read all: what is older may be any number of rows
	// that were never marked. Newest first. %s is the filter; see [InboxQuery.sql].
	sqlInbox = `
SELECT c.position, n.entered_seq, n.doc, n.all_read_at, (
	SELECT count(*) FROM inbox_view u WHERE u.user_id = $1 AND NOT u.read AND u.entered_seq > ` + sqlReadUpTo + `
)
FROM checkpoints c
LEFT JOIN LATERAL (
	SELECT i.entered_seq, i.doc, (
		SELECT r.at FROM inbox_readers r WHERE r.user_id = $1 AND r.upto_seq > i.entered_seq ORDER BY r.upto_seq LIMIT 1
	) AS all_read_at
	FROM inbox_view i WHERE i.user_id = $1 AND i.entered_seq < $2%s
	ORDER BY i.entered_seq DESC LIMIT $3
) n ON true
WHERE c.group_name = 'views' ORDER BY n.entered_seq DESC`

	sqlOnlyUnread = ` AND NOT i.read AND i.entered_seq > ` + sqlReadUpTo
	sqlOnlyRead   = ` AND (i.read OR i.entered_seq < ` + sqlReadUpTo + `)`
)

// Inbox is the read model of the users' inboxes.
type Inbox struct{}

// Project folds events into inbox_view, and adds to inbox_readers when a user read all.
func (Inbox) Project(ctx context.Context, tx pgx.Tx, events []Event) error {
	changed, err := fold(ctx, tx, events, inbox.StreamType, sqlLoadInbox, func(n inbox.Entry) int64 { return n.Version })
	if err != nil {
		return err
	}
	if err := saveInbox(ctx, tx, changed); err != nil {
		return err
	}
	var (
		users []string
		seqs  []int64
		times []time.Time
	)
	for _, e := range events {
		if b, ok := e.Body.(inbox.AllRead); ok {
			users, seqs, times = append(users, b.UserID), append(seqs, e.Seq), append(times, e.RecordedAt)
		}
	}
	if len(users) == 0 {
		return nil
	}
	if err := write(ctx, tx, sqlAddInboxReaders, users, seqs, times); err != nil {
		return fmt.Errorf("keep that users read all: %w", err)
	}
	return nil
}

func saveInbox(ctx context.Context, tx pgx.Tx, changed []folded[inbox.Entry]) error {
	if len(changed) == 0 {
		return nil
	}
	var (
		ids         []uuid.UUID
		users, docs []string
		enteredSeq  []int64
		read        []bool
	)
	for _, c := range changed {
		doc, err := encode(c.state)
		if err != nil {
			return fmt.Errorf("inbox entry %s: %w", c.id, err)
		}
		ids, users, docs = append(ids, c.id), append(users, c.state.UserID), append(docs, doc)
		enteredSeq, read = append(enteredSeq, c.first), append(read, c.state.Read) // enteredSeq is kept from the first time on
	}
	if err := write(ctx, tx, sqlSaveInbox, uuids(ids), users, enteredSeq, read, docs); err != nil {
		return fmt.Errorf("save inbox entries: %w", err)
	}
	return nil
}

// InboxQuery selects the entries of a user's inbox, newest first.
type InboxQuery struct {
	UserID string
	Unread *bool  // nil: read or not
	Limit  int    // at least 1
	After  string // a List.Next, or empty
}

func (q InboxQuery) sql(before int64) (string, []any) {
	filter := ""
	switch {
	case q.Unread == nil:
	case *q.Unread:
		filter = sqlOnlyUnread
	default:
		filter = sqlOnlyRead
	}
	return fmt.Sprintf(sqlInbox, filter), []any{q.UserID, before, q.Limit + 1}
}

// InboxPage is a page of an inbox.
type InboxPage struct {
	List[inbox.Entry]
	// Unread is how many entries of the whole inbox were not read yet.
	Unread int64
}

// Inbox returns a page of a user's inbox.
func (v *Views) Inbox(ctx context.Context, q InboxQuery) (InboxPage, error) {
	var page InboxPage
	before, err := parseCursor(q.After, 1<<62)
	if err != nil {
		return page, err
	}
	query, args := q.sql(before)
	var doc []byte
	var allReadAt *time.Time
	page.List, err = readPage(ctx, v, q.Limit, query, args, []any{&doc, &allReadAt, &page.Unread}, func(int64) (n inbox.Entry, err error) {
		err = json.Unmarshal(doc, &n)
		if allReadAt != nil && (n.ReadAt == nil || allReadAt.Before(*n.ReadAt)) {
			at := allReadAt.UTC()
			n.Read, n.ReadAt = true, &at
		}
		return n, err
	})
	return page, err
}
