package proofs_test

import (
	"errors"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/replay/proofs"
)

func hashes(t testing.TB, texts []string) []tlog.Hash {
	t.Helper()
	out := make([]tlog.Hash, len(texts))
	for i, text := range texts {
		var err error
		if out[i], err = tlog.ParseHash(text); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

func TestEachEventIsProvenByTheCheckpoint(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 200)
	w.project(t, 1000)
	n := w.notary(t, nil)
	for seq := int64(1); seq <= 200; seq++ {
		p, err := n.Proof(t.Context(), seq)
		if err != nil {
			t.Fatal(err)
		}
		tree, _, err := proofs.ReadCheckpoint(p.Checkpoint, w.public)
		if err != nil {
			t.Fatal(err)
		}
		events, err := w.store.ReadLog(t.Context(), seq-1, 1)
		if err != nil {
			t.Fatal(err)
		}
		leaf := tlog.RecordHash(p.Event)
		if err := tlog.CheckRecord(hashes(t, p.Proof), tree.N, tree.Hash, seq-1, leaf); err != nil {
			t.Fatalf("seq %d: %v", seq, err)
		}
		if p.Seq != seq || p.TreeSize != tree.N || p.LeafHash != leaf.String() || string(p.Event) != string(events[0].AppendCanonical(nil)) {
			t.Fatalf("%+v", p)
		}
	}
}

func TestAProofIsOfWhatIsInTheTree(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	n := w.notary(t, nil)
	w.append(t, 10)
	for seq, want := range map[int64]domain.Code{
		-1: domain.CodeNotFound, 0: domain.CodeNotFound, 111: domain.CodeNotFound, 105: domain.CodeProjectionBehind, 100: "",
	} {
		if _, err := n.Proof(t.Context(), seq); domain.CodeOf(err) != want {
			t.Errorf("seq %d: %v, want %q", seq, err, want)
		}
	}
	w.project(t, 1000)
	if p, err := n.Proof(t.Context(), 110); err != nil || p.TreeSize != 110 { // which waits for its turn to sign
		t.Errorf("%+v, %v", p, err)
	}
}

func TestACheckpointProvesThatItContinuesEachEarlierOne(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	roots := make(map[int64]tlog.Hash)
	for range 15 {
		w.append(t, 10)
		w.project(t, 1000)
		c := w.sign(t)
		roots[c.Seq] = hashes(t, []string{c.Root})[0]
	}
	n := w.notary(t, nil)
	for since, root := range roots {
		c, err := n.Checkpoint(t.Context(), since)
		if err != nil {
			t.Fatal(err)
		}
		if err := tlog.CheckTree(hashes(t, c.Consistency), c.Seq, roots[c.Seq], since, root); err != nil {
			t.Errorf("since %d: %v", since, err)
		}
	}
	for _, since := range []int64{-1, 151} {
		if _, err := n.Checkpoint(t.Context(), since); domain.CodeOf(err) != domain.CodeInvalidRequest {
			t.Errorf("since %d: %v", since, err)
		}
	}
}

func TestNothingIsProvenThatIsNotSo(t *testing.T) {
	t.Parallel()
	for name, statement := range map[string]string{
		"the event was changed": `UPDATE events SET data = data || '{"note":"!"}' WHERE seq = 50`,
		"the event is missing":  `DELETE FROM events WHERE seq = 50`,
		"its tile was changed":  `UPDATE merkle_tiles SET hashes = set_byte(hashes, 9, (get_byte(hashes, 9) + 1) % 256) WHERE level = 0 AND n = 0`,
		"its tile is missing":   `DELETE FROM merkle_tiles WHERE level = 0 AND n = 0`,
		"the upper tile was changed": `UPDATE merkle_tiles SET hashes = set_byte(hashes, 9, (get_byte(hashes, 9) + 1) % 256)
			WHERE level = 1 AND n = 0`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.append(t, 100)
			w.project(t, 1000)
			n := w.notary(t, nil)
			if _, err := n.Proof(t.Context(), 50); err != nil {
				t.Fatal(err)
			}
			w.tamper(t, statement)
			_, err := n.Proof(t.Context(), 50)
			var refusal *domain.Error
			if !errors.As(err, &refusal) || refusal.Code != domain.CodeUnavailable || !strings.Contains(refusal.Message, "audit verify") {
				t.Errorf("%v", err)
			}
			if _, err := n.Bundle(t.Context(), w.orders[9]); err == nil { // which has seq 50
				t.Error("there is a bundle of it")
			}
		})
	}
}
