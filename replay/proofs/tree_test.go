package proofs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"testing"

	"github.com/jackc/pgx/v5"
	"golang.org/x/mod/sumdb/tlog"
	"pgregory.net/rapid"

	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
	"github.com/orderlog/orderlog/replay/proofs"
)

// stored are all hashes of a tree, as package tlog keeps them: what ours is compared with.
type stored []tlog.Hash

func (s stored) ReadHashes(indexes []int64) ([]tlog.Hash, error) {
	hashes := make([]tlog.Hash, len(indexes))
	for i, index := range indexes {
		hashes[i] = s[index]
	}
	return hashes, nil
}

func (s *stored) add(t testing.TB, n int64, leaf tlog.Hash) {
	t.Helper()
	hashes, err := tlog.StoredHashesForRecordHash(n, leaf, *s)
	if err != nil {
		t.Fatal(err)
	}
	*s = append(*s, hashes...)
}

func TestTheTreeIsThatOfPackageTlogAtEachSize(t *testing.T) {
	t.Parallel()
	var reference stored
	full := make(map[string][]byte)
	tree := proofs.NewEdge(func(level int, n int64, hashes []byte) { full[fmt.Sprint(level, n)] = bytes.Clone(hashes) })
	for n := range int64(4200) {
		want, err := tlog.TreeHash(n, reference)
		if err != nil {
			t.Fatal(err)
		}
		if got := tree.Root(); got != want {
			t.Fatalf("the root of %d leaves is %s, want %s", n, got, want)
		}
		leaf := tlog.RecordHash(fmt.Appendf(nil, "%d", n))
		reference.add(t, n, leaf)
		tree.Add(leaf)
		for _, tile := range tlog.NewTiles(6, n, n+1) {
			want, err := tlog.ReadTileData(tile, reference)
			if err != nil {
				t.Fatal(err)
			}
			got := tree.Partial(tile.L)
			if tile.W == 64 {
				got = full[fmt.Sprint(tile.L, tile.N)]
			}
			if !bytes.Equal(got, want) {
				t.Fatalf("with %d leaves tile %d of level %d is not that of tlog", n+1, tile.N, tile.L)
			}
		}
	}
}

// tiles are the rows of merkle_tiles.
func (w *world) tiles(t testing.TB) map[string]string {
	t.Helper()
	rows, err := w.pool.Query(t.Context(), `SELECT level || '/' || n, hashes FROM merkle_tiles`)
	if err != nil {
		t.Fatal(err)
	}
	all := make(map[string]string)
	var name string
	var hashes []byte
	if _, err := pgx.ForEachRow(rows, []any{&name, &hashes}, func() error { all[name] = string(hashes); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// wantTiles are the tiles that package tlog makes of the events.
func (w *world) wantTiles(t testing.TB) map[string]string {
	t.Helper()
	events, err := w.store.ReadLog(t.Context(), 0, 1_000_000)
	if err != nil {
		t.Fatal(err)
	}
	var reference stored
	for i, e := range events {
		reference.add(t, int64(i), tlog.RecordHash(e.AppendCanonical(nil)))
	}
	all := make(map[string]string)
	for _, tile := range tlog.NewTiles(6, 0, int64(len(events))) {
		data, err := tlog.ReadTileData(tile, reference)
		if err != nil {
			t.Fatal(err)
		}
		all[fmt.Sprintf("%d/%d", tile.L, tile.N)] = string(data)
	}
	return all
}

func equalTiles(a, b map[string]string) bool {
	if len(a) != len(b) {
		return false
	}
	for name := range a {
		if a[name] != b[name] {
			return false
		}
	}
	return true
}

func TestTheTilesAreTheSameHoweverTheLogIsCutIntoSegments(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 700)
	want := w.wantTiles(t)
	rapid.Check(t, func(r *rapid.T) {
		w.forget(t)
		segment := rapid.OneOf(rapid.IntRange(60, 68), rapid.IntRange(30, 400))
		for w.projectOne(t, segment.Draw(r, "segment")) > 0 {
		}
		if !equalTiles(w.tiles(t), want) {
			r.Fatal("the tiles are not those of package tlog")
		}
	})
}

// forget has the tree and the index begin anew.
func (w *world) forget(t testing.TB) {
	t.Helper()
	_, err := w.pool.Exec(t.Context(), `TRUNCATE merkle_tiles, audit_index`)
	if err == nil {
		_, err = w.pool.Exec(t.Context(), `UPDATE checkpoints SET position = 0 WHERE group_name = 'proofs'`)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestATreeOfThreeLevelsGrowsEventByEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 4090)
	w.project(t, 4000)
	w.append(t, 20)
	w.project(t, 1)
	if !equalTiles(w.tiles(t), w.wantTiles(t)) {
		t.Fatal("the tiles are not those of package tlog")
	}
}

func TestASegmentThatWasBrokenOffLeavesTheTreeAsItWas(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 64)
	w.append(t, 100)
	before := w.tiles(t)
	events, err := w.store.ReadLog(t.Context(), 100, 100)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("the power is gone")
	err = pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error {
		return errors.Join(projectInto(t.Context(), tx, events), broken)
	})
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	if !equalTiles(w.tiles(t), before) {
		t.Fatal("something is left of it")
	}
	w.project(t, 30)
	if !equalTiles(w.tiles(t), w.wantTiles(t)) {
		t.Fatal("the tree did not go on from there")
	}
}

func TestTheTreeTakesOnlyTheEventThatComesNext(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	events, err := w.store.ReadLog(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	project := func(from, to int) error {
		return pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { return projectInto(t.Context(), tx, events[from:to]) })
	}
	if err := project(10, 20); err == nil {
		t.Error("events 11 to 20 were added to an empty tree")
	}
	if err := project(0, 20); err != nil {
		t.Fatal(err)
	}
	for _, from := range []int{0, 19, 21} {
		if err := project(from, from+5); err == nil {
			t.Errorf("the event with seq %d was added to a tree of 20", from+1)
		}
	}
	events[30].Seq = 32
	if err := project(20, 40); err == nil {
		t.Error("a segment with a gap was added")
	}
}

func TestTheTreeStopsWhereItsRowsAreNoTree(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]string{
		"a tile is missing":        `DELETE FROM merkle_tiles WHERE level = 1`,
		"the newest is missing":    `DELETE FROM merkle_tiles WHERE level = 0 AND n = 1`,
		"a tile is cut":            `UPDATE merkle_tiles SET hashes = substr(hashes, 1, 33) WHERE level = 0 AND n = 1`,
		"a tile is empty":          `UPDATE merkle_tiles SET hashes = '' WHERE level = 0 AND n = 1`,
		"there is one level more":  `INSERT INTO merkle_tiles (level, n, hashes) SELECT 2, 0, hashes FROM merkle_tiles WHERE level = 1`,
		"there is one tile before": `INSERT INTO merkle_tiles (level, n, hashes) SELECT 3, -1, hashes FROM merkle_tiles WHERE level = 1`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.append(t, 100)
			w.project(t, 1000)
			w.append(t, 10)
			if _, err := w.pool.Exec(t.Context(), change); err != nil {
				t.Fatal(err)
			}
			events, err := w.store.ReadLog(t.Context(), 100, 10)
			if err != nil {
				t.Fatal(err)
			}
			err = pgx.BeginFunc(t.Context(), w.pool, func(tx pgx.Tx) error { return projectInto(t.Context(), tx, events) })
			if err == nil {
				t.Error("it was added to")
			}
		})
	}
}

func TestTheGroupKeepsTheTreeUpWithTheLog(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	committed := make(chan int64, 100)
	runner := projections.NewRunner(w.pool, nil, slog.New(slog.DiscardHandler), projections.Group{
		Name: projections.GroupProofs, Models: models, Undecoded: true,
		Committed: func(position int64) {
			select {
			case committed <- position:
			default:
			}
		},
	})
	w.append(t, 300)
	parttest.Run(t, func(ctx context.Context) error { return runner.Run(ctx) })
	for parttest.Await(t, "the group", committed) < 300 {
	}
	if !equalTiles(w.tiles(t), w.wantTiles(t)) {
		t.Fatal("the tiles are not those of package tlog")
	}
}

// The time is that of a segment of 10 thousand events.
func BenchmarkProject(b *testing.B) {
	w := newWorld(b)
	for range 10 {
		w.append(b, 1000)
	}
	events, err := w.store.ReadLog(b.Context(), 0, 10_000)
	if err != nil {
		b.Fatal(err)
	}
	list := make([]projections.Event, len(events))
	for i, e := range events {
		list[i].Recorded = e
	}
	pool := pgtest.Pool(b, w.url)
	for b.Loop() {
		w.forget(b)
		err := pgx.BeginFunc(b.Context(), pool, func(tx pgx.Tx) error { return proofs.Tree{}.Project(b.Context(), tx, list) })
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N*len(list))/b.Elapsed().Seconds(), "events/s")
}
