package proofs

import (
	"context"
	"fmt"
	"math"

	"github.com/jackc/pgx/v5"
)

// findOddTiles names the stored tiles that are no part of a tree of the size it should have, or are there several times.
func (x *examination) findOddTiles(ctx context.Context, tx pgx.Tx, end storedTree) error {
	size := max(0, end.position)
	look := func(sql string, args []any, say func(level int, n int64)) error {
		rows, err := tx.Query(ctx, sql, args...)
		if err != nil {
			return fmt.Errorf("look for tiles that should not be there: %w", err)
		}
		var level int
		var n int64
		if _, err := pgx.ForEachRow(rows, []any{&level, &n}, func() error { say(level, n); return nil }); err != nil {
			return fmt.Errorf("look for tiles that should not be there: %w", err)
		}
		return nil
	}
	err := look(sqlOddTiles, []any{size}, func(level int, n int64) {
		x.problems.add(Problem{
			Seq: beyondTree(level, n, size), Kind: KindTree,
			Detail: fmt.Sprintf("a tree of %d events has no tile %d of level %d", size, n, level),
		})
	})
	if err != nil {
		return err
	}
	return look(sqlTwins, nil, func(level int, n int64) {
		x.problems.add(Problem{Seq: firstOf(level, n, size), Kind: KindTree, Detail: fmt.Sprintf("tile %d of level %d is there several times", n, level)})
	})
}

// firstOf is the seq of the first event that a tile is over, 0 where no tile can be there, and behind a tree's size where it
// would be over no event.
func firstOf(level int, n, size int64) int64 {
	shift := tileHeight * (level + 1)
	switch {
	case level < 0 || level > maxLevel || n < 0:
		return 0
	case n > (math.MaxInt64-1)>>shift:
		return min(size, math.MaxInt64-1) + 1
	}
	return n<<shift + 1
}

// beyondTree is the first seq of a tile that the tree does not have: what it is over begins behind the tree.
func beyondTree(level int, n, size int64) int64 {
	first := firstOf(level, n, size)
	if first == 0 {
		return 0
	}
	return max(first, min(size, math.MaxInt64-1)+1)
}
