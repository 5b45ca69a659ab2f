package proofs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// storedTree is the tree as it is in the database, with what is known beside it at the same moment.
type storedTree struct {
	log      uuid.UUID
	head     int64 // the log's
	position int64 // the group's checkpoint
	at       time.Time
	tlog.Tree
	fault error // why it is no tree; nil: it is one
}

// readTree reads the newest tree. What is wrong with its rows is in its fault.
func readTree(ctx context.Context, db querier) (storedTree, error) {
	rows, err := db.Query(ctx, sqlTree)
	if err != nil {
		return storedTree{}, fmt.Errorf("read the tree: %w", err)
	}
	var (
		t      storedTree
		newest []newestTile
		there  bool
		at     *time.Time
		level  *int
		n      *int64
		hashes []byte
	)
	_, err = pgx.ForEachRow(rows, []any{(*[16]byte)(&t.log), &t.head, &t.position, &at, &level, &n, &hashes}, func() error {
		there = true
		if level != nil && n != nil {
			newest = append(newest, newestTile{*level, *n, hashes})
		}
		return nil
	})
	if err != nil {
		return storedTree{}, fmt.Errorf("read the tree: %w", err)
	}
	if !there {
		return storedTree{}, errors.New(`read the tree: the log's head or the checkpoint of group "proofs" is missing; run app migrate up`)
	}
	e, err := edgeOf(newest)
	switch {
	case err != nil:
		t.fault = err
		return t, nil
	case e.size != t.position:
		t.fault = fmt.Errorf("%w: they hold %d events, but the group's checkpoint is at %d", errTiles, e.size, t.position)
	case e.size > t.head:
		t.fault = fmt.Errorf("the tree holds %d events, but the log ends at seq %d", e.size, t.head)
	case e.size > 0 && at == nil:
		t.fault = fmt.Errorf("event %d, the newest in the tree, is not in the log", e.size)
	case at != nil:
		t.at = at.UTC()
	}
	t.Tree = tlog.Tree{N: e.size, Hash: e.root()}
	return t, nil
}

// tileReader reads tiles for package tlog.
type tileReader func(tiles []tlog.Tile) ([][]byte, error)

// Height is that of the tiles.
func (tileReader) Height() int { return tileHeight }

// ReadTiles reads tiles; one that has grown since is cut to the size asked for.
func (r tileReader) ReadTiles(tiles []tlog.Tile) ([][]byte, error) { return r(tiles) }

// SaveTiles does nothing: the tiles are where they came from.
func (tileReader) SaveTiles([]tlog.Tile, [][]byte) {}

// hashesOf reads the hashes of a tree that is known by its root. All it returns are proven to be in that tree; when the
// stored tiles do not lead to that root the error wraps errTiles.
func hashesOf(ctx context.Context, db querier, tree tlog.Tree) tlog.HashReader {
	checked := tlog.TileHashReader(tree, tilesFrom(ctx, db))
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		hashes, err := checked.ReadHashes(indexes)
		if failed := (*readError)(nil); err != nil && !errors.As(err, &failed) {
			return nil, fmt.Errorf("%w: they do not lead to the root of the tree of %d events: %w", errTiles, tree.N, err)
		}
		return hashes, err
	})
}

// readError says that the tiles were not read, whatever is in them.
type readError struct{ error }

func (e *readError) Unwrap() error { return e.error }

func tilesFrom(ctx context.Context, db querier) tileReader {
	return func(tiles []tlog.Tile) ([][]byte, error) {
		levels, ns := make([]int, len(tiles)), make([]int64, len(tiles))
		for i, t := range tiles {
			levels[i], ns[i] = t.L, t.N
		}
		rows, err := db.Query(ctx, sqlReadTiles, levels, ns)
		if err != nil {
			return nil, &readError{fmt.Errorf("read tiles: %w", err)}
		}
		found := make([][]byte, len(tiles))
		var i int64
		var hashes []byte
		_, err = pgx.ForEachRow(rows, []any{&i, &hashes}, func() error {
			found[i-1] = hashes
			return nil
		})
		if err != nil {
			return nil, &readError{fmt.Errorf("read tiles: %w", err)}
		}
		for i, t := range tiles {
			if len(found[i]) < t.W*tlog.HashSize {
				return nil, fmt.Errorf("tile %d of level %d has %d bytes of %d", t.N, t.L, len(found[i]), t.W*tlog.HashSize)
			}
			found[i] = found[i][:t.W*tlog.HashSize]
		}
		return found, nil
	}
}
