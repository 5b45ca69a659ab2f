package check

import (
	"context"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5"
)

const (
	sqlEvents = `
SELECT e.seq, e.id::text, e.stream_type || '/' || e.stream_id, e.version, e.type, e.data::text, e.meta::text, e.recorded_at,
	n.event, n.channels, n.payload::text
FROM events e LEFT JOIN notification_log n USING (seq) ORDER BY e.seq`

	sqlHead = `SELECT seq FROM log_head`

	sqlViews = `
SELECT 'order', id::text, doc::text FROM orders_view
UNION ALL SELECT 'payment', id::text, doc::text FROM payments_view
UNION ALL SELECT 'courier', doc->>'id', doc::text FROM couriers_view
UNION ALL SELECT 'offer', doc->>'code', jsonb_set(doc::jsonb, '{uses}', to_jsonb(uses))::text FROM offers_view`
)

// database is a snapshot of what the program left.
type database struct {
	conn *pgx.Conn
	tx   pgx.Tx
}

func open(ctx context.Context, url string) (*database, error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return nil, fmt.Errorf("connect to the database that is to be judged: %w", err)
	}
	tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly})
	if err != nil {
		_ = conn.Close(ctx)
		return nil, fmt.Errorf("begin to read the log: %w", err)
	}
	return &database{conn, tx}, nil
}

func (d *database) close(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	_ = d.tx.Rollback(ctx)
	_ = d.conn.Close(ctx)
}

// events hands on the log, in its order.
func (d *database) events(ctx context.Context, each func(*event)) error {
	rows, err := d.tx.Query(ctx, sqlEvents)
	if err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var (
			e              event
			data, metadata []byte
			name           *string
			channels       []string
			payload        []byte
		)
		if err := rows.Scan(&e.seq, &e.id, &e.stream, &e.version, &e.typ, &data, &metadata, &e.at, &name, &channels, &payload); err != nil {
			return fmt.Errorf("read an event: %w", err)
		}
		if err := e.decode(data, metadata); err != nil {
			return err
		}
		if name != nil {
			e.told = &notification{*name, channels, payload}
		}
		each(&e)
	}
	if err := rows.Err(); err != nil {
		return fmt.Errorf("read the log: %w", err)
	}
	return nil
}

func (d *database) head(ctx context.Context) (seq int64, _ error) {
	if err := d.tx.QueryRow(ctx, sqlHead).Scan(&seq); err != nil {
		return 0, fmt.Errorf("read the log's head: %w", err)
	}
	return seq, nil
}

// views hands on the documents of the read models.
func (d *database) views(ctx context.Context, each func(viewRow)) error {
	rows, err := d.tx.Query(ctx, sqlViews)
	if err != nil {
		return fmt.Errorf("read the read models: %w", err)
	}
	var what, subject string
	var doc []byte
	_, err = pgx.ForEachRow(rows, []any{&what, &subject, &doc}, func() error {
		each(viewRow{what, subject, append([]byte(nil), doc...)})
		return nil
	})
	if err != nil {
		return fmt.Errorf("read the read models: %w", err)
	}
	return nil
}
