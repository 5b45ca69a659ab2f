package proofs

import (
	"context"
	"errors"
	"fmt"
	"math"
	"time"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"golang.org/x/mod/sumdb/tlog"
)

// querier is a pool, a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
}

// storedTree is the tree as it is in the database, with what is known beside it at the same moment.
type storedTree struct {
	log      uuid.UUID
	head     int64              // the log's
	headAt   pgtype.Timestamptz // when the head says that its event was recorded
	position int64              // the group's checkpoint
	at       time.Time
	tlog.Tree
	fault error // why it is no tree; nil: it is one

	// odd is what is wrong with the rows beside the tree. Where one is not there head is the newest event's seq, and position
	// what the tiles hold.
	odd              []Problem
	headless, absent bool // no head can be read; neither it, or no checkpoint of the group
}

var (
	// errTime is wrapped by the fault of a tree whose newest event has no time that a checkpoint could say.
	errTime = errors.New("its time can't be written")
	// errAbsent says that what every log has is not there.
	errAbsent = errors.New(`the log's head or the checkpoint of group "proofs" is missing; run app migrate up, and where that has been done app audit verify`)
)

// readTree reads the newest tree. What is wrong with its rows is in its fault.
func readTree(ctx context.Context, db querier) (storedTree, error) {
	t, err := readState(ctx, db)
	if err == nil && t.absent {
		return storedTree{}, fmt.Errorf("read the tree: %w", errAbsent)
	}
	return t, err
}

// readState reads the newest tree for whoever goes on without its head or its group's checkpoint.
func readState(ctx context.Context, db querier) (storedTree, error) {
	t, newest, at, err := readRows(ctx, db)
	if err != nil {
		return storedTree{}, fmt.Errorf("read the tree: %w", err)
	}
	if t.headless {
		if t.head, err = newestSeq(ctx, db); err != nil {
			return storedTree{}, err
		}
	}
	e, err := edgeOf(newest)
	if t.position == unknownPosition {
		if t.position = t.head; err == nil {
			t.position = e.size
		}
	}
	switch {
	case err != nil:
		t.fault = err
		return t, nil
	case e.size != t.position:
		t.fault = fmt.Errorf("%w: they hold %d events, but the group's checkpoint is at %d", errTiles, e.size, t.position)
	case e.size > t.head:
		t.fault = fmt.Errorf("the tree holds %d events, but the log ends at seq %d", e.size, t.head)
	case t.absent: // which event is the newest in the tree was not known when its time was read
	case e.size > 0 && !at.Valid:
		t.fault = fmt.Errorf("event %d, the newest in the tree, is not in the log", e.size)
	case at.Valid && (at.InfinityModifier != pgtype.Finite || !writable(at.Time)):
		t.fault = fmt.Errorf("event %d, the newest in the tree: %w", e.size, errTime)
	case at.Valid:
		t.at = at.Time.UTC()
	}
	t.Tree = tlog.Tree{N: e.size, Hash: e.root()}
	return t, nil
}

// unknownPosition stands for the position of a group that has no checkpoint.
const unknownPosition = math.MinInt64

// readRows reads what sqlTree gives. at is when the newest event in the tree was recorded, by the group's checkpoint.
func readRows(ctx context.Context, db querier) (t storedTree, newest []newestTile, at pgtype.Timestamptz, err error) {
	rows, err := db.Query(ctx, sqlTree)
	if err != nil {
		return t, nil, at, err
	}
	var (
		log              pgtype.UUID
		head, position   *int64
		heads, positions int64
		level            *int
		n                *int64
		hashes           []byte
	)
	_, err = pgx.ForEachRow(rows, []any{&heads, &log, &head, &t.headAt, &positions, &position, &at, &level, &n, &hashes}, func() error {
		if level != nil && n != nil {
			newest = append(newest, newestTile{*level, *n, hashes})
		}
		return nil
	})
	if err != nil {
		return t, nil, at, err
	}
	odd := func(kind, format string, args ...any) {
		t.odd = append(t.odd, Problem{Kind: kind, Detail: fmt.Sprintf(format, args...)})
	}
	t.log, t.position = log.Bytes, unknownPosition
	t.headless = head == nil || !log.Valid
	t.absent = t.headless || position == nil
	switch {
	case t.headless:
		odd(KindHead, "the log's head is missing, or has no seq or no id: the table log_head has %d rows; what is there is read up to the newest event", heads)
	case heads > 1:
		odd(KindHead, "there are %d heads of the log", heads)
	case *head < 0:
		odd(KindHead, "the log's head is at seq %d", *head)
	}
	if !t.headless {
		t.head = max(0, *head)
	}
	switch {
	case position == nil:
		odd(KindTree, `the checkpoint of group "proofs" is missing: how far the tree and the index have to be is not known but by the tree`)
	case positions > 1:
		odd(KindTree, `the group "proofs" has %d checkpoints`, positions)
	}
	if position != nil {
		t.position = *position
	}
	return t, newest, at, nil
}

// newestSeq is the seq of the newest event there is, 0 if there is none.
func newestSeq(ctx context.Context, db querier) (int64, error) {
	rows, err := db.Query(ctx, sqlNewestSeq)
	if err != nil {
		return 0, fmt.Errorf("look for the newest event: %w", err)
	}
	seq, err := pgx.CollectExactlyOneRow(rows, pgx.RowTo[int64])
	if err != nil {
		return 0, fmt.Errorf("look for the newest event: %w", err)
	}
	return seq, nil
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
