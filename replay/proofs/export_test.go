package proofs

import (
	"io"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/orderlog/orderlog/eventstore"
)

// Statements are all that a test can prepare against the schema.
func Statements() map[string]string {
	return map[string]string{
		"sqlNewestTiles": sqlNewestTiles, "sqlSaveTiles": sqlSaveTiles, "sqlTree": sqlTree, "sqlReadTiles": sqlReadTiles,
		"sqlTilesFrom": sqlTilesFrom, "sqlNextSeq": sqlNextSeq, "sqlNewestSeq": sqlNewestSeq,
		"sqlOddTiles": sqlOddTiles, "sqlTwins": sqlTwins, "sqlBeyond": sqlBeyond, "sqlStreams": sqlStreams,
		"sqlIndex": sqlIndex, "sqlIndexRange": sqlIndexRange, "sqlEnvelopes": sqlEnvelopes,
	}
}

// MaxNote and OnDemandEvery are bounds that tests go up to.
const (
	MaxNote       = maxNote
	OnDemandEvery = onDemandEvery
)

// Edge is a tree that is built leaf by leaf.
type Edge struct{ edge }

// NewEdge returns an empty tree that calls full with each tile that gets full.
func NewEdge(full func(level int, n int64, hashes []byte)) *Edge { return &Edge{edge{full: full}} }

// Add adds a leaf.
func (e *Edge) Add(leaf tlog.Hash) { e.add(leaf) }

// Root is the root of the tree.
func (e *Edge) Root() tlog.Hash { return e.root() }

// Partial are the hashes of the tile of a level that is not full yet.
func (e *Edge) Partial(level int) []byte { return e.levels[level] }

// LeafOf hashes an event as the tree does.
func LeafOf(e eventstore.Recorded) tlog.Hash { return new(leafHasher).hash(e) }

// Part is a part of a file of checkpoints.
type Part struct {
	Note        string
	Offset, End int64
	Torn        bool
}

// ReadNotes takes a file of checkpoints apart.
func ReadNotes(r io.Reader) (parts []Part, err error) {
	notes := newNoteReader(r, 0)
	for {
		p, err := notes.next()
		if err == io.EOF { //nolint:errorlint // it is returned as it is
			return parts, nil
		}
		if err != nil {
			return parts, err
		}
		parts = append(parts, Part{p.note, p.offset, p.end, p.torn})
	}
}

// ReadCheckpoint opens a note and reads what it says.
func ReadCheckpoint(raw string, keys ...string) (tlog.Tree, time.Time, error) {
	ring, err := newKeyring(keys...)
	if err != nil {
		return tlog.Tree{}, time.Time{}, err
	}
	s, err := ring.checkpoint(raw)
	return s.Tree, s.at, err
}
