package proofs_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/replay/proofs"
)

func TestACheckpointIsSignedAndExported(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.notary(t, nil)
	if _, err := n.Checkpoint(t.Context(), 0); domain.CodeOf(err) != domain.CodeProjectionBehind {
		t.Errorf("of an empty log: %v", err)
	}
	w.append(t, 100)
	w.project(t, 1000)
	c := w.sign(t)
	tree, at, err := proofs.ReadCheckpoint(c.Note, w.public)
	if err != nil {
		t.Fatal(err)
	}
	head, err := w.store.Head(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if c.Log != head.LogID || c.Seq != 100 || tree.N != 100 || tree.Hash.String() != c.Root || c.PublicKey != w.public ||
		!c.At.Equal(head.RecordedAt) || !at.Equal(c.At) || c.Consistency != nil {
		t.Errorf("%+v", c)
	}
	if got := readFile(t, w.file(t)); got != c.Note {
		t.Errorf("the file has %q", got)
	}
	if again := w.sign(t); again.Note != c.Note || readFile(t, w.file(t)) != c.Note {
		t.Error("a tree that has not grown was signed again")
	}
	w.append(t, 10)
	w.project(t, 1000)
	if next := w.sign(t); readFile(t, w.file(t)) != c.Note+next.Note || next.Seq != 110 {
		t.Error("the next checkpoint is not behind the first")
	}
}

// TestAfterAQuietWhileATreeIsSignedAtOnce: what happens first on a new day does not wait for its proof.
func TestAfterAQuietWhileATreeIsSignedAtOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	grown := make(chan struct{})
	n := w.notary(t, func(c *proofs.Config) { c.Every, c.Grown = time.Hour, grown })
	parttest.Run(t, n.Run)
	grow := func() {
		w.append(t, 10)
		w.project(t, 1000)
		grown <- struct{}{}
	}
	grow()
	parttest.Eventually(t, "the first checkpoint", func() bool { got, _ := n.Signed(); return got == 10 })
	grow()
	grow() // is taken when the one before was dealt with
	if got, _ := n.Signed(); got != 10 {
		t.Errorf("%d are signed, in the hour of the checkpoint of 10", got)
	}
}

func TestANotarySignsByItselfAndAtTheEnd(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	n := w.notary(t, func(c *proofs.Config) { c.Every = 10 * time.Millisecond })
	stop := parttest.Run(t, n.Run)
	signed := func(size int64) {
		t.Helper()
		parttest.Eventually(t, "a checkpoint", func() bool { got, _ := n.Signed(); return got == size })
	}
	signed(100)
	w.append(t, 10)
	w.project(t, 1000)
	signed(110)
	stop()
	w.append(t, 10)
	w.project(t, 1000)
	seldom := w.notary(t, func(c *proofs.Config) { c.Every = time.Hour })
	stop = parttest.Run(t, seldom.Run)
	parttest.Eventually(t, "the first checkpoint", func() bool { got, _ := seldom.Signed(); return got == 120 })
	w.append(t, 10)
	w.project(t, 1000)
	stop()
	if got, _ := seldom.Signed(); got != 130 {
		t.Errorf("at the end %d were signed, want 130", got)
	}
	if err := errors.Join(n.Fault(), seldom.Fault()); err != nil {
		t.Error(err)
	}
}

func TestWhoeverAsksGetsAllThatIsInTheTreeAndNoMoreThanOneIsSignedInASecond(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	n := w.notary(t, nil)
	started := time.Now()
	const times = 3
	for i := range int64(times) {
		w.append(t, 10)
		w.project(t, 1000)
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				if c, err := n.Checkpoint(t.Context(), 0); err != nil || c.Seq != 10*(i+1) {
					t.Errorf("of %d in the tree %d are signed, %v", 10*(i+1), c.Seq, err)
				}
			})
		}
		all.Wait()
	}
	if got := strings.Count(readFile(t, w.file(t)), "\n\n"); got != times {
		t.Errorf("%d were signed, not %d", got, times)
	}
	if took := time.Since(started); took < (times-1)*proofs.OnDemandEvery {
		t.Errorf("%d were signed within %s", times, took)
	}
}

func TestNotariesShareADirectory(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 10)
	w.project(t, 1000)
	var all sync.WaitGroup
	growing, stop := context.WithCancel(t.Context())
	for range 4 {
		n := w.notary(t, func(c *proofs.Config) { c.Every = time.Millisecond })
		all.Go(func() {
			if err := errors.Join(n.Run(growing), n.Fault()); err != nil {
				t.Error(err)
			}
		})
	}
	for range 50 {
		w.append(t, 10)
		w.project(t, 1000)
	}
	stop()
	all.Wait()
	parts, err := proofs.ReadNotes(strings.NewReader(readFile(t, w.file(t))))
	if err != nil || len(parts) < 2 {
		t.Fatal(len(parts), err)
	}
	size := int64(0)
	for _, p := range parts {
		tree, _, err := proofs.ReadCheckpoint(p.Note, w.public)
		if err != nil || tree.N <= size {
			t.Fatalf("seq %d stands behind %d: %v", tree.N, size, err)
		}
		size = tree.N
	}
	if size != 510 {
		t.Errorf("the last is of seq %d, want 510", size)
	}
	if r := w.verify(t); !r.OK || r.Checkpoints != len(parts) {
		t.Errorf("%+v", r)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestWhatIsNotInTheDirectoryIsNotGivenAway(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	must(t, os.MkdirAll(filepath.Dir(w.dir), 0o700))
	writeFile(t, w.dir, "this is no directory")
	n := w.notary(t, func(c *proofs.Config) { c.Every = time.Millisecond })
	parttest.Run(t, n.Run)
	parttest.Eventually(t, "the fault", func() bool { return n.Fault() != nil })
	if _, err := n.Checkpoint(t.Context(), 0); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%v", err)
	}
	must(t, os.Remove(w.dir))
	parttest.Eventually(t, "a checkpoint", func() bool { got, _ := n.Signed(); return got == 100 && n.Fault() == nil })
	must(t, os.RemoveAll(w.dir))
	writeFile(t, w.dir, "this is no directory")
	w.append(t, 10)
	w.project(t, 1000)
	parttest.Eventually(t, "the fault", func() bool { return n.Fault() != nil })
	if c, err := n.Checkpoint(t.Context(), 0); err != nil || c.Seq != 100 {
		t.Errorf("the last that is exported is %d, %v", c.Seq, err)
	}
}

func TestACheckpointThatACrashCutOffIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	first := w.sign(t)
	for _, cut := range []int{1, 20, 46, 100, len(first.Note) - 30, len(first.Note) - 1} {
		file := readFile(t, w.file(t))
		writeFile(t, w.file(t), file+first.Note[:cut])
		if c := w.sign(t); c.Note != first.Note {
			t.Fatalf("cut after %d bytes: the newest is %+v", cut, c)
		}
		if r := w.verify(t); !r.OK || len(r.Warnings) != 1 {
			t.Fatalf("cut after %d bytes: %+v", cut, r)
		}
		w.append(t, 10)
		w.project(t, 1000)
		first = w.sign(t)
		if got := readFile(t, w.file(t)); got != file+first.Note {
			t.Fatalf("cut after %d bytes: the file has %q", cut, got)
		}
	}
	file := readFile(t, w.file(t))
	writeFile(t, w.file(t), file+"somebody's remark")
	w.append(t, 10)
	w.project(t, 1000)
	if last := w.sign(t); readFile(t, w.file(t)) != file+"somebody's remark\n"+last.Note {
		t.Error("what is no part of a checkpoint was taken away, or is in it")
	}
}

func TestWithoutAKeyTheNewestThatOthersSignedIsGiven(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	reader := func() *proofs.Notary {
		return w.notary(t, func(c *proofs.Config) { c.Key, c.Trusted = "", []string{w.public} })
	}
	if _, err := reader().Checkpoint(t.Context(), 0); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%v", err)
	}
	signed := w.sign(t)
	w.append(t, 10)
	w.project(t, 1000)
	n := reader()
	if c, err := n.Checkpoint(t.Context(), 0); err != nil || c.Note != signed.Note || n.PublicKey() != "" {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := n.Proof(t.Context(), 50); err != nil {
		t.Error(err)
	}
	if _, err := n.Proof(t.Context(), 105); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%v", err)
	}
	if _, err := n.Bundle(t.Context(), uuid.New()); domain.CodeOf(err) != domain.CodeUnavailable {
		t.Errorf("%v", err)
	}
}
