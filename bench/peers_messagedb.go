package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
)

const (
	// A stream's first message has position 0.
	sqlMessageDBWhole = `
SELECT coalesce(sum(messages), 0), count(*) FILTER (WHERE messages <> newest + 1)
FROM (SELECT count(*) AS messages, max(position) AS newest FROM message_store.messages GROUP BY stream_name) s`

	sqlWriteMessage = `SELECT write_message($1, $2, $3, $4, $5, $6)`
)

// messageDBFiles are what install.sh of @eventide/message-db runs, in its order. Not: the role, since the application's
// own calls the functions; pgcrypto, whose gen_random_uuid PostgreSQL has by itself since 13; reports; and the functions
// that read.
var messageDBFiles = []string{
	"schema/message-store", "tables/messages", "types/message",
	"functions/message-store-version", "functions/hash-64", "functions/acquire-lock", "functions/category",
	"functions/is-category", "functions/id", "functions/cardinal-id", "functions/stream-version", "functions/write-message",
	"indexes/messages-id", "indexes/messages-stream", "indexes/messages-category",
}

// messageDB appends by message-db's function, each writer over a connection of its own. Nothing of it runs outside the
// database, so it has the same client as the INSERTs.
type messageDB struct {
	pool  *pgxpool.Pool
	conns []*pgxpool.Conn
	done  int // appends, in all rounds
}

func openMessageDB(ctx context.Context, url string, writers int) (*messageDB, error) {
	dir, err := peerFolder(ctx, "messagedb")
	if err != nil {
		return nil, err
	}
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, err
	}
	cfg.MaxConns = int32(writers + 1) //nolint:gosec // a few hundred
	cfg.ConnConfig.RuntimeParams["search_path"] = "message_store,public"
	m := &messageDB{}
	if m.pool, err = pgxpool.NewWithConfig(ctx, cfg); err != nil {
		return nil, err
	}
	for _, name := range messageDBFiles {
		script, err := os.ReadFile(filepath.Join(dir, "node_modules", "@eventide", "message-db", "database", name+".sql"))
		if err == nil {
			_, err = m.pool.Exec(ctx, string(script), pgx.QueryExecModeSimpleProtocol)
		}
		if err != nil {
			m.stop()
			return nil, fmt.Errorf("install message-db: %s: %w", name, err)
		}
	}
	for range writers {
		conn, err := m.pool.Acquire(ctx)
		if err != nil {
			m.stop()
			return nil, err
		}
		m.conns = append(m.conns, conn)
	}
	return m, nil
}

func (m *messageDB) stop() {
	for _, c := range m.conns {
		c.Release()
	}
	m.pool.Close()
}

func (m *messageDB) load(ctx context.Context, writers int, during time.Duration) load {
	metaJSON, err := json.Marshal(meta)
	if err != nil {
		return load{firstErr: err}
	}
	streams := make([]string, writers)
	for i := range streams {
		streams[i] = "order-" + uuid.NewString()
	}
	l := drive(ctx, writers, during, func(ctx context.Context, worker, n int) error {
		id, err := uuid.NewV7()
		if err != nil {
			return err
		}
		var position int64
		err = m.conns[worker].QueryRow(ctx, sqlWriteMessage, id.String(), streams[worker], "order.status_changed",
			payload, json.RawMessage(metaJSON), int64(n-1)).Scan(&position)
		if err == nil && position != int64(n) {
			err = errors.New("a message came to another position")
		}
		return err
	})
	m.done += l.done
	return l
}

// check requires every message that was answered to be there, each stream in order and without a gap.
func (m *messageDB) check(ctx context.Context, out io.Writer) error {
	return checkPeer(ctx, out, m.pool, "message-db", sqlMessageDBWhole, m.done)
}
