package proofs

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"

	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/projections"
)

// The tiles of the tree. Part of the schema: never change them for an existing database.
const (
	tileHeight = 6
	tileWidth  = 1 << tileHeight
	tileBytes  = tileWidth * tlog.HashSize
	maxLevel   = 10 // 64 to the power of 11 is more events than there are numbers for
	maxTiles   = math.MaxInt64 / tileWidth
)

// Tree keeps merkle_tiles up with the log: a [projections.Model] of group "proofs".
//
// The size of the tree is what its tiles say. They change in the transaction in which the group's checkpoint moves, so the
// two are the same for whoever reads both in one snapshot.
type Tree struct{}

// Project adds the leaves of events. It fails when they do not follow on what is in the tree.
func (Tree) Project(ctx context.Context, tx pgx.Tx, events []projections.Event) error {
	if len(events) == 0 {
		return nil
	}
	tree, err := readEdge(ctx, tx)
	if err != nil {
		return err
	}
	before := tree.size
	var changed tileRows
	tree.full = changed.add
	var leaf leafHasher
	for _, e := range events {
		if e.Seq != tree.size+1 {
			return fmt.Errorf("the tree has %d events: the next is seq %d, not %d; "+
				"if the tree's rows or its group's checkpoint were changed by hand, derive both anew", tree.size, tree.size+1, e.Seq)
		}
		tree.add(leaf.hash(e.Recorded))
	}
	for level, hashes := range tree.levels {
		if len(hashes) > 0 && before>>(tileHeight*level) != tree.size>>(tileHeight*level) {
			changed.add(level, tree.size>>(tileHeight*(level+1)), hashes)
		}
	}
	tag, err := tx.Exec(ctx, sqlSaveTiles, changed.levels, changed.ns, changed.hashes)
	if err != nil {
		return fmt.Errorf("save the tree of %d events: %w", tree.size, err)
	}
	if tag.RowsAffected() != int64(len(changed.ns)) {
		return fmt.Errorf("save the tree of %d events: somebody else changed it meanwhile", tree.size)
	}
	return nil
}

// tileRows are rows of merkle_tiles, a slice a column.
type tileRows struct {
	levels []int32
	ns     []int64
	hashes [][]byte
}

func (r *tileRows) add(level int, n int64, hashes []byte) {
	r.levels = append(r.levels, int32(level)) //nolint:gosec // at most maxLevel
	r.ns = append(r.ns, n)
	r.hashes = append(r.hashes, append(make([]byte, 0, len(hashes)), hashes...))
}

// leafHasher hashes the canonical bytes of events, in a buffer that is used again.
type leafHasher struct{ buffer []byte }

func (h *leafHasher) hash(e eventstore.Recorded) tlog.Hash {
	h.buffer = append(h.buffer[:0], 0) // RFC 6962: a leaf begins with 0, a node with 1
	h.buffer = e.AppendCanonical(h.buffer)
	return sha256.Sum256(h.buffer)
}

// edge is the right edge of a tree, the tiles that are not full yet: all that is needed to add to it and to know its root.
type edge struct {
	size   int64
	levels [maxLevel + 1][]byte
	// full, if not nil, is called with each tile that gets full; hashes are good until it returns.
	full func(level int, n int64, hashes []byte)
}

func (e *edge) add(leaf tlog.Hash) {
	e.size++
	e.push(0, leaf)
}

func (e *edge) push(level int, hash tlog.Hash) {
	tile := append(e.levels[level], hash[:]...)
	if len(tile) < tileBytes {
		e.levels[level] = tile
		return
	}
	if e.full != nil {
		e.full(level, e.size>>(tileHeight*(level+1))-1, tile)
	}
	e.levels[level] = tile[:0]
	e.push(level+1, subtreeHash(tile))
}

// root returns the tree's root. The digits of the size in base 2 are the whole subtrees that make it up, the largest of
// them on the left.
func (e *edge) root() tlog.Hash {
	if e.size == 0 {
		return sha256.Sum256(nil)
	}
	var root tlog.Hash
	begun := false
	for _, hashes := range e.levels {
		for width := tlog.HashSize; len(hashes) > 0; width *= 2 {
			if len(hashes)&width == 0 {
				continue
			}
			left := subtreeHash(hashes[len(hashes)-width:])
			hashes = hashes[:len(hashes)-width]
			if begun {
				left = tlog.NodeHash(left, root)
			}
			root, begun = left, true
		}
	}
	return root
}

// subtreeHash is the root of a whole subtree, given the hashes of one of its levels.
func subtreeHash(hashes []byte) tlog.Hash {
	if len(hashes) == tlog.HashSize {
		return tlog.Hash(hashes)
	}
	half := len(hashes) / 2
	return tlog.NodeHash(subtreeHash(hashes[:half]), subtreeHash(hashes[half:]))
}

// newestTile is the last tile of a level.
type newestTile struct {
	level  int
	n      int64
	hashes []byte
}

// readEdge reads the right edge of the stored tree.
func readEdge(ctx context.Context, db querier) (*edge, error) {
	rows, err := db.Query(ctx, sqlNewestTiles)
	if err != nil {
		return nil, fmt.Errorf("read the tree's edge: %w", err)
	}
	newest, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (t newestTile, err error) {
		return t, row.Scan(&t.level, &t.n, &t.hashes)
	})
	if err != nil {
		return nil, fmt.Errorf("read the tree's edge: %w", err)
	}
	return edgeOf(newest)
}

// errTiles is wrapped by what says that the stored tiles can't be a tree.
var errTiles = errors.New("the tree's rows are not as they were written")

// edgeOf makes the edge of the newest tile of each level.
func edgeOf(newest []newestTile) (*edge, error) {
	e := &edge{}
	var counts [maxLevel + 1]int64
	for _, t := range newest {
		width := int64(len(t.hashes) / tlog.HashSize)
		if len(t.hashes)%tlog.HashSize != 0 || width < 1 || width > tileWidth || t.n < 0 || t.n >= maxTiles {
			return nil, fmt.Errorf("%w: tile %d of level %d has %d bytes", errTiles, t.n, t.level, len(t.hashes))
		}
		counts[t.level] = t.n*tileWidth + width
		if width < tileWidth {
			e.levels[t.level] = append(make([]byte, 0, tileBytes), t.hashes...)
		}
	}
	e.size = counts[0]
	for level, count := range counts {
		if want := e.size >> (tileHeight * level); count != want {
			return nil, fmt.Errorf("%w: level %d has %d hashes, but over %d events it has to have %d", errTiles, level, count, e.size, want)
		}
	}
	return e, nil
}
