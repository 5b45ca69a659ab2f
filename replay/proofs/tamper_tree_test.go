package proofs_test

import (
	"os"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/replay/proofs"
)

// flip changes a byte of a hash of a tile.
func flip(level, n, hash string) string {
	return `UPDATE merkle_tiles SET hashes = set_byte(hashes, 32 * ` + hash + ` + 7, (get_byte(hashes, 32 * ` + hash + ` + 7) + 1) % 256)
		WHERE level = ` + level + ` AND n = ` + n
}

const changeEvent = `UPDATE events SET data = jsonb_set(data, '{note}', '"nothing"') WHERE seq = 150`

// deriveAnew makes the tree and the index of what the events are now.
func deriveAnew(t *testing.T, w *world) {
	t.Helper()
	w.forget(t)
	w.project(t, 1000)
}

func TestWhatIsDoneToTheTreeIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]tampering{
		"a leaf": {
			statements: []string{flip("0", "2", "10")},
			want:       []found{{proofs.KindTree, 139, 0}}, firstBad: 139,
		},
		"a leaf of the newest tile": {
			statements: []string{flip("0", "4", "5")},
			want:       []found{{proofs.KindTree, 262, 0}}, firstBad: 262,
		},
		"three leaves": {
			statements: []string{flip("0", "0", "63"), flip("0", "1", "0"), flip("0", "1", "20")},
			want:       []found{{proofs.KindTree, 64, 0}, {proofs.KindTree, 65, 0}, {proofs.KindTree, 85, 0}}, firstBad: 64,
		},
		"an upper level": {
			statements: []string{flip("1", "0", "1")},
			want:       []found{{proofs.KindTree, 65, 128}}, firstBad: 65,
		},
		"a leaf and an event": {
			statements: []string{flip("0", "0", "3"), changeEvent},
			want:       []found{{proofs.KindTree, 4, 0}, {proofs.KindEvent, 150, 0}}, firstBad: 4,
		},
		"a leaf and what is above it": {
			statements: []string{flip("0", "1", "3"), flip("1", "0", "1")},
			want:       []found{{proofs.KindTree, 68, 0}, {proofs.KindTree, 65, 128}}, firstBad: 65,
		},
		"a tile is deleted": {
			statements: []string{`DELETE FROM merkle_tiles WHERE level = 0 AND n = 1`},
			want:       []found{{proofs.KindTree, 65, 128}}, firstBad: 65,
		},
		"the newest tile is deleted": {
			statements: []string{`DELETE FROM merkle_tiles WHERE level = 0 AND n = 4`},
			want:       []found{{proofs.KindTree, 257, 300}, {proofs.KindTree, 0, 0}}, firstBad: 257,
		},
		"the newest tile is cut": {
			statements: []string{`UPDATE merkle_tiles SET hashes = substr(hashes, 1, 32 * 20) WHERE level = 0 AND n = 4`},
			want:       []found{{proofs.KindTree, 277, 300}, {proofs.KindTree, 0, 0}}, firstBad: 277,
		},
		"a tile is longer": {
			statements: []string{`UPDATE merkle_tiles SET hashes = hashes || '\x00' WHERE level = 0 AND n = 2`},
			want:       []found{{proofs.KindTree, 129, 192}}, firstBad: 129,
		},
		"the newest tile is longer": {
			statements: []string{`UPDATE merkle_tiles SET hashes = hashes || '\x00' WHERE level = 0 AND n = 4`},
			want:       []found{{proofs.KindTree, 257, 300}}, firstBad: 257,
		},
		"an upper tile is deleted": {
			statements: []string{`DELETE FROM merkle_tiles WHERE level = 1`},
			want:       []found{{proofs.KindTree, 1, 256}}, firstBad: 1,
		},
		"all of it is deleted": {
			statements: []string{`DELETE FROM merkle_tiles`},
			want:       []found{{proofs.KindTree, 1, 64}}, firstBad: 1,
		},
		"the group's checkpoint": {
			statements: []string{`UPDATE checkpoints SET position = 290 WHERE group_name = 'proofs'`},
			want:       []found{{proofs.KindTree, 0, 0}}, firstBad: 291, // the index has more than that
		},
		"there is a leaf more": {
			statements: []string{
				`UPDATE merkle_tiles SET hashes = hashes || substr(hashes, 1, 32) WHERE level = 0 AND n = 4`,
				`UPDATE checkpoints SET position = 301 WHERE group_name = 'proofs'`,
			},
			want: []found{{proofs.KindTruncated, 301, 0}}, firstBad: 301,
		},
		"all of it follows from other events": {
			statements: []string{`CREATE TABLE kept AS SELECT data FROM events WHERE seq = 150`, changeEvent},
			then: func(t *testing.T, w *world) {
				deriveAnew(t, w)
				w.tamper(t, `UPDATE events SET data = (SELECT data FROM kept) WHERE seq = 150`)
			},
			want: []found{{proofs.KindTree, 150, 0}}, firstBad: 150,
		},
		"an event, with its leaf made to match": {
			statements: []string{`CREATE TABLE kept AS SELECT * FROM merkle_tiles`, changeEvent},
			then: func(t *testing.T, w *world) {
				deriveAnew(t, w)
				w.tamper(t, `UPDATE merkle_tiles t SET hashes = kept.hashes FROM kept WHERE (t.level, t.n) = (kept.level, kept.n) AND t.level > 0`)
			},
			want: []found{{proofs.KindEvent, 129, 192}}, firstBad: 129,
		},
		"an event under two checkpoints, with its leaf made to match": {
			statements: []string{`CREATE TABLE kept AS SELECT * FROM merkle_tiles`, `UPDATE events SET data = data - 'note' WHERE seq = 70`},
			then: func(t *testing.T, w *world) {
				deriveAnew(t, w)
				w.tamper(t, `UPDATE merkle_tiles t SET hashes = kept.hashes FROM kept WHERE (t.level, t.n) = (kept.level, kept.n) AND t.level > 0`)
			},
			want: []found{{proofs.KindEvent, 65, 128}}, firstBad: 65,
		},
		"it follows from events that were changed": {
			statements: []string{changeEvent}, then: deriveAnew,
			want: []found{{proofs.KindCheckpoint, 101, 200}}, firstBad: 101,
		},
		"the same, and the log's id is changed": {
			statements: []string{changeEvent, `UPDATE log_head SET log_id = gen_random_uuid()`}, then: deriveAnew,
			want: []found{{proofs.KindOtherLog, 101, 200}}, firstBad: 101,
		},
		"the log's id alone": {
			statements: []string{`UPDATE log_head SET log_id = gen_random_uuid()`},
			want:       []found{{proofs.KindOtherLog, 0, 0}},
		},
		"all that is after the second checkpoint": {
			statements: []string{
				`DELETE FROM events WHERE seq > 250`, `UPDATE log_head SET seq = 250`,
				`UPDATE streams SET version = 25, last_seq = last_seq - 50`,
			}, then: deriveAnew,
			want: []found{{proofs.KindTruncated, 251, 300}}, firstBad: 251,
		},
		"the same after the second checkpoint, under another id": {
			statements: []string{
				`DELETE FROM events WHERE seq > 250`, `UPDATE log_head SET seq = 250, log_id = gen_random_uuid()`,
				`UPDATE streams SET version = 25, last_seq = last_seq - 50`,
			}, then: deriveAnew,
			want: []found{{proofs.KindOtherLog, 251, 300}}, firstBad: 251,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

// notes are the three checkpoints in the file.
func notes(t *testing.T, w *world) []string {
	t.Helper()
	parts, err := proofs.ReadNotes(strings.NewReader(readFile(t, w.file(t))))
	if err != nil || len(parts) != 3 {
		t.Fatal(parts, err)
	}
	return []string{parts[0].Note, parts[1].Note, parts[2].Note}
}

func TestWhatIsDoneToTheExportedCheckpointsIsFound(t *testing.T) {
	t.Parallel()
	edit := func(change func(n []string) []string) func(*testing.T, *world) {
		return func(t *testing.T, w *world) {
			t.Helper()
			writeFile(t, w.file(t), strings.Join(change(notes(t, w)), ""))
		}
	}
	for name, c := range map[string]tampering{
		"a size": {
			then: edit(func(n []string) []string { return []string{n[0], strings.Replace(n[1], "\n200\n", "\n199\n", 1), n[2]} }),
			want: []found{{proofs.KindSignature, 0, 0}},
		},
		"a time": {
			then: edit(func(n []string) []string { return []string{n[0], strings.Replace(n[1], "at 20", "at 10", 1), n[2]} }),
			want: []found{{proofs.KindSignature, 0, 0}},
		},
		"one is cut": {
			then: edit(func(n []string) []string { return []string{n[0], n[1][:len(n[1])-60], n[2]} }),
			want: []found{{proofs.KindCheckpoints, 0, 0}},
		},
		"one has no signature": {
			then: edit(func(n []string) []string { return []string{n[0], n[1][:strings.Index(n[1], "—")], n[2]} }),
			want: []found{{proofs.KindCheckpoints, 0, 0}},
		},
		"something else is in the file": {
			then: edit(func(n []string) []string { return []string{n[0], "all is well\n", n[1], n[2]} }),
			want: []found{{proofs.KindCheckpoints, 0, 0}},
		},
		"they change places": {
			then: edit(func(n []string) []string { return []string{n[1], n[0], n[2]} }),
			want: []found{{proofs.KindCheckpoints, 0, 0}},
		},
		"one is of a key that nobody knows": {
			then: func(t *testing.T, w *world) {
				n := notes(t, w)
				key, _ := newKey(t)
				writeFile(t, w.file(t), n[0]+resign(t, key, n[1])+n[2])
			},
			want: []found{{proofs.KindSignature, 0, 0}},
		},
		"one is of another log": {
			then: func(t *testing.T, w *world) {
				n := notes(t, w)
				other := strings.Replace(n[1], w.logID(t).String(), uuid.NewString(), 1)
				writeFile(t, w.file(t), n[0]+resign(t, w.key, other)+n[2])
			},
			want: []found{{proofs.KindOtherLog, 0, 0}},
		},
		"one was signed over other events": {
			then: func(t *testing.T, w *world) {
				n := notes(t, w)
				lines := strings.Split(n[1], "\n")
				other := strings.Replace(n[1], lines[2], strings.Split(n[0], "\n")[2], 1)
				writeFile(t, w.file(t), n[0]+resign(t, w.key, other)+n[2])
			},
			want: []found{{proofs.KindCheckpoint, 200, 0}}, firstBad: 200,
		},
		"there are those of another log": {
			then: func(t *testing.T, w *world) {
				other := newWorld(t)
				other.key, other.public, other.dir = w.key, w.public, w.dir
				other.append(t, 100)
				other.project(t, 1000)
				n, err := proofs.Open(proofs.Config{Pool: other.pool, Store: other.store, Key: w.key, Dir: w.dir + "2"})
				must(t, err)
				c, err := n.Checkpoint(t.Context(), 0)
				must(t, err)
				writeFile(t, other.file(t), c.Note)
			},
			want: []found{{proofs.KindOtherLog, 0, 0}},
		},
		"the file can't be read": {
			then: func(t *testing.T, w *world) {
				path := w.file(t)
				must(t, os.Remove(path))
				must(t, os.Mkdir(path, 0o700))
			},
			want: []found{{proofs.KindCheckpoints, 0, 0}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c.run(t)
		})
	}
}

func TestWithoutCheckpointsAChangeIsStillFoundByTheTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 4200)
	w.project(t, 1000)
	if r := w.verify(t); !r.OK {
		t.Fatalf("%+v", r)
	}
	w.tamper(t, changeEvent, flip("0", "7", "1"), flip("0", "65", "20"), flip("2", "0", "0"))
	r := w.verify(t)
	want := []proofs.Problem{
		{Seq: 1, UpTo: 4096, Kind: proofs.KindTree},
		{Seq: 150, Kind: proofs.KindEvent},
		{Seq: 450, Kind: proofs.KindTree},   // the level above agrees with the event
		{Seq: 4181, Kind: proofs.KindEvent}, // there is nothing above it yet that could tell
	}
	if len(r.Problems) != len(want) {
		t.Fatalf("%+v", r)
	}
	for i := range want {
		want[i].Detail = r.Problems[i].Detail
		if r.Problems[i] != want[i] {
			t.Errorf("%+v", r.Problems[i])
		}
	}
}
