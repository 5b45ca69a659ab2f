package proofs

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	tilesAtOnce = 256
	// maxSuspects bounds what is remembered of leaves and tiles that do not match.
	maxSuspects = 4096
	// maxUnknown bounds how many leaves are made up for events that are missing from the tree as well.
	maxUnknown = 1 << 20
)

// treeCheck builds the tree anew from the events and compares each tile of it with the stored one.
type treeCheck struct {
	events   edge
	whole    bool  // the root is that of the events: none is missing but those whose leaf the stored tree has
	size     int64 // of the stored tree, at the beginning
	stopped  bool  // too much is missing for the tree to go on
	unknown  int
	levels   [maxLevel + 1]tileCursor
	err      error
	problems *problems

	// differing are, for the tile of a level that is being filled, the hashes of the stored tiles below that are not as
	// they should be.
	differing [maxLevel + 1]map[int64]tlog.Hash
	suspects  []suspect
	more      int

	// goodEvents is up to where an exported checkpoint agrees with the events, goodStored with the stored tree.
	goodEvents, goodStored int64
}

// suspect is something that does not match. Whether the events are to blame or the stored tree is not always known at once.
type suspect struct {
	span
	kind   string
	detail string
}

func (t *treeCheck) begin(ctx context.Context, db querier, problems *problems, start storedTree) {
	t.whole, t.size, t.problems = true, start.position, problems
	t.events.full = func(level int, n int64, hashes []byte) {
		if t.err == nil {
			t.err = t.compare(level, n, hashes)
		}
	}
	for level := range t.levels {
		t.differing[level] = make(map[int64]tlog.Hash)
		t.levels[level].read = func(from int64) ([]newestTile, error) { return readTiles(ctx, db, level, from) }
	}
}

func (t *treeCheck) add(leaf tlog.Hash) error {
	if !t.stopped {
		t.events.add(leaf)
	}
	return t.err
}

// standIn adds the stored leaf for an event that is missing, so that the rest can be compared. It is false when there is
// no use in going on.
func (t *treeCheck) standIn() bool {
	if t.stopped || t.err != nil {
		return false
	}
	i := t.events.size
	if i >= t.size || t.unknown > maxUnknown {
		t.whole = false
		t.stop()
		return false
	}
	stored, err := t.levels[0].tile(i / tileWidth)
	if err != nil {
		t.err = err
		return false
	}
	var leaf tlog.Hash
	if at := i % tileWidth * tlog.HashSize; at+tlog.HashSize <= int64(len(stored)) {
		leaf = tlog.Hash(stored[at : at+tlog.HashSize])
	} else {
		t.whole = false
		t.unknown++
	}
	t.events.add(leaf)
	return t.err == nil
}

// stop compares what is not full yet, and ends the comparison.
func (t *treeCheck) stop() {
	if t.stopped {
		return
	}
	t.stopped = true
	for level, hashes := range t.events.levels {
		if len(hashes) > 0 && t.err == nil {
			t.err = t.compare(level, t.events.size>>(tileHeight*(level+1)), hashes)
		}
	}
}

// compare compares a tile that follows from the events with the stored one. Of each difference it must be said once, at the
// lowest level where it is: above, a stored tile that has the hash of the stored tile below is as it should be.
func (t *treeCheck) compare(level int, n int64, ours []byte) error {
	shift := tileHeight * level
	needed := max(0, min(tileWidth, t.size>>shift-n*tileWidth)) * tlog.HashSize
	needed = min(needed, int64(len(ours)))
	stored, err := t.levels[level].tile(n)
	if err != nil {
		return err
	}
	below := t.differing[max(level-1, 0)]
	if level > 0 {
		t.differing[level-1] = make(map[int64]tlog.Hash)
	}
	if bytes.Equal(stored, ours) && (level == 0 || len(below) == 0) {
		return nil
	}
	if int64(len(stored)) < needed {
		first := n*tileWidth + int64(len(stored)/tlog.HashSize)
		last := n*tileWidth + needed/tlog.HashSize - 1
		what := fmt.Sprintf("tile %d of level %d is cut off", n, level)
		if len(stored) == 0 {
			what = fmt.Sprintf("tile %d of level %d is missing", n, level)
		}
		t.suspect(span{first<<shift + 1, (last + 1) << shift}, KindTree, what)
	}
	if len(stored) > tileBytes || len(stored)%tlog.HashSize != 0 {
		t.suspect(span{(n*tileWidth)<<shift + 1, (n*tileWidth + int64(len(ours)/tlog.HashSize)) << shift}, KindTree,
			fmt.Sprintf("tile %d of level %d has %d bytes", n, level, len(stored)))
	}
	same := true
	for at := 0; at+tlog.HashSize <= min(len(stored), len(ours)); at += tlog.HashSize {
		child := n*tileWidth + int64(at/tlog.HashSize)
		covers := span{child<<shift + 1, (child + 1) << shift}
		theirs, differs := below[child]
		switch matches := bytes.Equal(stored[at:at+tlog.HashSize], ours[at:at+tlog.HashSize]); {
		case level == 0 && !matches:
			same = false
			t.suspect(covers, KindEvent, "the leaf of the tree is not that of the event")
		case level > 0 && matches && differs:
			t.blameTree(covers, fmt.Sprintf("tile %d of level %d was changed: the level above it agrees with the events", child, level-1))
		case level > 0 && !matches:
			same = false
			if theirs != tlog.Hash(stored[at:at+tlog.HashSize]) {
				t.suspect(covers, KindTree, fmt.Sprintf("tile %d of level %d is not what follows from the level below it", n, level))
			}
		}
	}
	if !same && len(stored) == tileBytes && len(ours) == tileBytes {
		t.differing[level][n] = subtreeHash(stored)
	}
	return nil
}

// suspect notes a difference; one that follows on the last one, in the same tile, is part of it.
func (t *treeCheck) suspect(s span, kind, detail string) {
	if last := len(t.suspects) - 1; last >= 0 {
		l := &t.suspects[last]
		if l.last+1 == s.first && l.kind == kind && l.detail == detail && (l.first-1)/tileWidth == (s.first-1)/tileWidth {
			l.last = s.last
			return
		}
	}
	if len(t.suspects) == maxSuspects {
		t.more++
		return
	}
	t.suspects = append(t.suspects, suspect{s, kind, detail})
}

// blameTree says that of all differences in a range the stored tree is the cause.
func (t *treeCheck) blameTree(covers span, detail string) {
	for i := range t.suspects {
		if s := &t.suspects[i]; s.first >= covers.first && s.last <= covers.last {
			s.kind, s.detail = KindTree, detail
		}
	}
}

// end decides about all differences and names them.
func (t *treeCheck) end() error {
	if t.stop(); t.err != nil {
		return t.err
	}
	var said []Problem
	for _, s := range t.suspects {
		switch {
		case s.last <= t.goodEvents:
			s.kind = KindTree
			s.detail += fmt.Sprintf("; the events agree with the exported checkpoint of seq %d, so it is the tree that was changed", t.goodEvents)
		case s.last <= t.goodStored:
			s.kind = KindEvent
			s.detail += fmt.Sprintf("; the tree agrees with the exported checkpoint of seq %d, so it is the event that was changed", t.goodStored)
		}
		if last := len(said) - 1; last >= 0 && said[last].UpTo+1 == s.first && said[last].Kind == s.kind && said[last].Detail == s.detail {
			said[last].UpTo = s.last
			continue
		}
		said = append(said, Problem{Seq: s.first, UpTo: s.last, Kind: s.kind, Detail: s.detail})
	}
	for _, p := range said {
		t.problems.add(p)
	}
	t.problems.count += t.more
	return nil
}

// endTree ends the comparison, and looks whether the stored tree is whole by itself.
func (x *examination) endTree(_ context.Context, _ pgx.Tx, end storedTree) error {
	if err := x.tree.end(); err != nil {
		return err
	}
	if size := max(end.N, end.position); size > end.head {
		x.problems.add(Problem{
			Seq: end.head + 1, UpTo: size, Kind: KindTruncated,
			Detail: fmt.Sprintf("the tree holds events up to seq %d, but the log ends at %d", size, end.head),
		})
	} else if end.fault != nil && x.start.fault == nil && !errors.Is(end.fault, errTime) {
		x.problems.add(Problem{Kind: KindTree, Detail: end.fault.Error()})
	}
	return nil
}

// tileCursor reads the tiles of a level in their order, many at once.
type tileCursor struct {
	read  func(from int64) ([]newestTile, error)
	ahead []newestTile
	ended bool
}

// tile returns the hashes of a tile, nil if there is none. n never falls.
func (c *tileCursor) tile(n int64) ([]byte, error) {
	for len(c.ahead) > 0 && c.ahead[0].n < n {
		c.ahead = c.ahead[1:]
	}
	if len(c.ahead) == 0 && !c.ended {
		var err error
		if c.ahead, err = c.read(n); err != nil {
			return nil, err
		}
		c.ended = len(c.ahead) == 0
	}
	if len(c.ahead) > 0 && c.ahead[0].n == n {
		return c.ahead[0].hashes, nil
	}
	return nil, nil
}

func readTiles(ctx context.Context, db querier, level int, from int64) ([]newestTile, error) {
	rows, err := db.Query(ctx, sqlTilesFrom, level, from, tilesAtOnce)
	if err != nil {
		return nil, fmt.Errorf("read the tiles of level %d: %w", level, err)
	}
	tiles, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (newestTile, error) {
		t := newestTile{level: level}
		return t, row.Scan(&t.n, &t.hashes)
	})
	if err != nil {
		return nil, fmt.Errorf("read the tiles of level %d: %w", level, err)
	}
	return tiles, nil
}
