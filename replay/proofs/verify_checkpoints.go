package proofs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"

	"github.com/google/uuid"
	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
)

const (
	// maxTrails bounds how many files of other logs are compared: they should not be there at all.
	maxTrails = 8
	// maxTried bounds how many checkpoints that do not agree with the events are compared with the stored tree.
	maxTried = 1000
)

// trail is the exported checkpoints of a log, which are compared one after the other as the events come to their sizes.
type trail struct {
	log   uuid.UUID
	file  *exported
	notes *noteReader

	next       signed // what is compared next; its size is MaxInt64 behind the last
	size       int64  // of the last that was read
	good       int64  // the size of the last that agrees with the events
	storedOnly int64  // the size of the first that agrees with the stored tree alone
	unequal    span   // what the first that agrees with neither tells of; none did while it is zero
	beyond     int64  // the largest size beyond the head
	tried      int
	any        bool // there is something in the file
	unsigned   bool // some could not be checked, for want of a key
}

func (t *trail) close() {
	if t.file != nil {
		t.file.close()
	}
}

// openTrails opens the files of this log and of others in the directory.
func (x *examination) openTrails(ctx context.Context, dir directory) error {
	x.nextNote = math.MaxInt64
	if dir == "" {
		x.warn("no directory of exported checkpoints is set: who owns the database could have made all of it anew")
		return nil
	}
	logs, err := dir.logs()
	if err != nil {
		x.problems.add(Problem{Kind: KindCheckpoints, Detail: err.Error()})
		return nil
	}
	if x.start.log == uuid.Nil && len(logs) == 1 {
		x.start.log = logs[0] // the log does not say its id any more
	}
	log := x.start.log
	for _, id := range logs {
		if id != log && len(x.trails) >= maxTrails {
			x.problems.add(Problem{Kind: KindOtherLog, Detail: dir.file(id) + " is of another log"})
			continue
		}
		if err := x.openTrail(ctx, dir, id); err != nil {
			return err
		}
	}
	if !slices.ContainsFunc(x.trails, func(t *trail) bool { return t.log == log && t.any }) {
		x.warn(fmt.Sprintf("there is no checkpoint in %s: who owns the database could have made all of it anew", dir.file(log)))
	}
	return nil
}

func (x *examination) openTrail(ctx context.Context, dir directory, log uuid.UUID) error {
	file, err := dir.openToRead(ctx, log)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err != nil || file == nil {
		x.problems.add(Problem{Kind: KindCheckpoints, Detail: fmt.Sprintf("%s can't be read: %v", dir.file(log), err)})
		return nil
	}
	t := &trail{log: log, file: file}
	x.trails = append(x.trails, t)
	end, err := file.tail()
	file.unlock() // what is there by now is never changed
	if err != nil {
		x.problems.add(Problem{Kind: KindCheckpoints, Detail: err.Error()})
		end.end = 0
	}
	if end.end < end.size {
		x.warn(fmt.Sprintf("%s ends in the middle of a checkpoint, as a crash leaves it; the next that is signed takes its place", file.file.Name()))
	}
	t.notes = newNoteReader(io.NewSectionReader(file.file, 0, end.end), 0)
	x.advance(t)
	x.nextNote = min(x.nextNote, t.next.N)
	return nil
}

func (x *examination) warn(s string) { x.warnings = append(x.warnings, s) }

// advance reads the next checkpoint that can be compared.
func (x *examination) advance(t *trail) {
	for {
		t.next = signed{Tree: tlog.Tree{N: math.MaxInt64}}
		p, err := t.notes.next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			x.problems.add(Problem{Kind: KindCheckpoints, Detail: fmt.Sprintf("%s can't be read: %v", t.file.file.Name(), err)})
			return
		}
		t.any = true
		where := fmt.Sprintf("%s, bytes %d to %d", t.file.file.Name(), p.offset, p.end)
		if p.note == "" {
			x.problems.add(Problem{Kind: KindCheckpoints, Detail: where + ": there is no checkpoint that can be read"})
			continue
		}
		s, err := x.ring.checkpoint(p.note)
		switch {
		case err != nil && errors.Is(err, errUnknownKey) && x.ring.empty() && s.N > 0:
			t.unsigned = true
		case errors.Is(err, errUnknownKey), errors.Is(err, errSignature):
			x.problems.add(Problem{Kind: KindSignature, Detail: fmt.Sprintf("%s: the checkpoint that claims to be of seq %d can't be trusted: %v", where, s.N, err)})
			continue
		case err != nil:
			x.problems.add(Problem{Kind: KindCheckpoints, Detail: fmt.Sprintf("%s: %v", where, err)})
			continue
		}
		switch {
		case s.log != t.log:
			x.problems.add(Problem{Kind: KindOtherLog, Detail: fmt.Sprintf("%s: the checkpoint is of log %s", where, s.log)})
		case s.N < t.size:
			x.problems.add(Problem{Kind: KindCheckpoints, Detail: fmt.Sprintf("%s: the checkpoint of seq %d stands behind one of seq %d", where, s.N, t.size)})
		default:
			t.size, t.next = s.N, s
			return
		}
	}
}

// compareNotes compares the checkpoints of the size that is reached.
func (x *examination) compareNotes(ctx context.Context) error {
	x.nextNote = math.MaxInt64
	for _, t := range x.trails {
		for t.next.N <= x.at && t.next.N < math.MaxInt64 {
			if err := x.compareNote(ctx, t); err != nil {
				return err
			}
			x.advance(t)
		}
		x.nextNote = min(x.nextNote, t.next.N)
	}
	return x.tree.err
}

func (x *examination) compareNote(ctx context.Context, t *trail) error {
	tree := &x.tree
	own := t.log == x.start.log
	if tree.whole && tree.events.size == t.next.N && tree.events.root() == t.next.Hash {
		if own && t.unequal.last > 0 {
			x.problems.add(Problem{Seq: t.unequal.last, Kind: KindCheckpoint, Detail: fmt.Sprintf(
				"the exported checkpoint of seq %d was signed over other events than the one of seq %d, which agrees with the log", t.unequal.last, t.next.N)})
		}
		t.good, t.unequal = t.next.N, span{}
		tree.goodEvents = max(tree.goodEvents, t.next.N)
		if own && t.next.key != "" {
			x.compared++
		}
		return nil
	}
	if t.tried++; t.tried > maxTried {
		return nil
	}
	stored, err := tlog.TreeHash(t.next.N, storedHashes(ctx, x.pool))
	if failed := (*readError)(nil); errors.As(err, &failed) {
		return err
	}
	if err == nil && stored == t.next.Hash {
		if t.storedOnly == 0 {
			t.storedOnly = t.next.N
		}
		// What was not equal before was so because of lower tiles, which compare by themselves.
		tree.goodStored, t.unequal = max(tree.goodStored, t.next.N), span{}
		return nil
	}
	if t.unequal.last == 0 {
		t.unequal = span{max(t.good, tree.goodStored) + 1, t.next.N}
	}
	return nil
}

// storedHashes reads hashes of the stored tree as they are there.
func storedHashes(ctx context.Context, db querier) tlog.HashReader {
	read := tilesFrom(ctx, db)
	return tlog.HashReaderFunc(func(indexes []int64) ([]tlog.Hash, error) {
		tiles := make([]tlog.Tile, len(indexes))
		for i, index := range indexes {
			tiles[i] = tlog.TileForIndex(tileHeight, index)
		}
		data, err := read(tiles)
		if err != nil {
			return nil, err
		}
		hashes := make([]tlog.Hash, len(indexes))
		for i, index := range indexes {
			if hashes[i], err = tlog.HashFromTile(tiles[i], data[i], index); err != nil {
				return nil, err
			}
		}
		return hashes, nil
	})
}

// endTrails names what the checkpoints show.
func (x *examination) endTrails(_ context.Context, _ pgx.Tx, end storedTree) error {
	for _, t := range x.trails {
		for t.next.N < math.MaxInt64 {
			t.beyond = t.next.N
			x.advance(t)
		}
		if t.unsigned {
			x.warn(t.file.file.Name() + ": signatures were not checked, as no key is known")
		}
		if t.log != x.start.log {
			x.problems.add(t.ofOtherLog(end.head))
			continue
		}
		if t.unequal.last > 0 {
			x.problems.add(Problem{Seq: t.unequal.first, UpTo: t.unequal.last, Kind: KindCheckpoint, Detail: fmt.Sprintf(
				"the exported checkpoint of seq %d was signed over other events, with another among these", t.unequal.last)})
		}
		if t.storedOnly > 0 && (x.problems.first == 0 || x.problems.first > t.storedOnly) {
			x.problems.add(Problem{Seq: t.good + 1, UpTo: t.storedOnly, Kind: KindCheckpoint, Detail: fmt.Sprintf(
				"the exported checkpoint of seq %d agrees with the stored tree, but not with the events", t.storedOnly)})
		}
		if t.beyond > 0 {
			x.problems.add(Problem{Seq: end.head + 1, UpTo: t.beyond, Kind: KindTruncated, Detail: fmt.Sprintf(
				"events up to seq %d were signed, but the log ends at %d", t.beyond, end.head)})
		}
	}
	return nil
}

// ofOtherLog says what checkpoints of another log in the directory mean: this log under its old id, or nothing to do with it.
func (t *trail) ofOtherLog(head int64) Problem {
	p := Problem{Kind: KindOtherLog, Detail: t.file.file.Name() + " is of another log"}
	same := max(t.good, t.storedOnly)
	switch {
	case same == 0:
		p.Detail += ", and none of its checkpoints is of these events; move it away"
	case t.unequal.last > 0:
		p.Seq, p.UpTo = t.unequal.first, t.unequal.last
		p.Detail += fmt.Sprintf(", which had these very events up to seq %d and others up to %d: the log's id was changed", p.Seq-1, p.UpTo)
	case t.beyond > 0:
		p.Seq, p.UpTo = head+1, t.beyond
		p.Detail += fmt.Sprintf(", which had these very events and more, up to seq %d: the log's id was changed, or an older copy was restored under a new id", t.beyond)
	default:
		p.Detail += ", which had these very events: the log's id was changed. Where that was meant, move the file to where auditors keep it"
	}
	return p
}
