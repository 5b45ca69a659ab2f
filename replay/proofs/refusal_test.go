package proofs_test

import (
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/parttest"
	"github.com/orderlog/orderlog/replay/proofs"
)

func TestANotaryRefusesATreeThatDoesNotContinueWhatItSigned(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(t *testing.T, w *world)
		want   error
	}{
		"an event was changed and the tree made anew": {func(t *testing.T, w *world) {
			w.tamper(t, `UPDATE events SET meta = '{}' WHERE seq = 50`)
			w.forget(t)
			w.append(t, 10)
			w.project(t, 1000)
		}, proofs.ErrRewritten},
		"the same, and nothing was appended": {func(t *testing.T, w *world) {
			w.tamper(t, `UPDATE events SET meta = '{}' WHERE seq = 50`)
			w.forget(t)
			w.project(t, 1000)
		}, proofs.ErrRewritten},
		"a tile was changed": {func(t *testing.T, w *world) {
			w.append(t, 10)
			w.project(t, 1000)
			w.exec(t, `UPDATE merkle_tiles SET hashes = set_byte(hashes, 40, (get_byte(hashes, 40) + 1) % 256) WHERE level = 0 AND n = 1`)
		}, proofs.ErrRewritten},
		"the newest tile is missing": {func(t *testing.T, w *world) {
			w.exec(t, `DELETE FROM merkle_tiles WHERE level = 0 AND n = 1`)
		}, proofs.ErrRewritten},
		"the checkpoint of the group was moved": {func(t *testing.T, w *world) {
			w.exec(t, `UPDATE checkpoints SET position = 90 WHERE group_name = 'proofs'`)
		}, proofs.ErrRewritten},
		"the end of the log was cut off": {func(t *testing.T, w *world) {
			w.tamper(t, `DELETE FROM events WHERE seq > 90`, `UPDATE log_head SET seq = 90`)
			w.forget(t)
			w.project(t, 1000)
		}, proofs.ErrCut},
		"the log's id was changed": {func(t *testing.T, w *world) {
			w.exec(t, `UPDATE log_head SET log_id = gen_random_uuid()`)
		}, proofs.ErrOtherLog},
		"the file is of another key": {func(t *testing.T, w *world) {
			w.append(t, 10)
			w.project(t, 1000)
			w.key, w.public = newKey(t)
		}, proofs.ErrNotOurs},
		"the newest note was edited": {func(t *testing.T, w *world) {
			w.append(t, 10)
			w.project(t, 1000)
			writeFile(t, w.file(t), strings.Replace(readFile(t, w.file(t)), "\n100\n", "\n99\n", 1))
		}, proofs.ErrNotOurs},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.append(t, 100)
			w.project(t, 1000)
			w.sign(t)
			before := readFile(t, w.file(t))
			file := w.file(t)
			c.change(t, w)
			changed := readFile(t, file)
			n := w.notary(t, nil)
			_, err := n.Checkpoint(t.Context(), 0)
			if domain.CodeOf(err) != domain.CodeUnavailable || !errors.Is(err, c.want) || !errors.Is(n.Fault(), c.want) {
				t.Errorf("%v, fault %v; want %v", err, n.Fault(), c.want)
			}
			if files, err := os.ReadDir(w.dir); err != nil || len(files) != 1 {
				t.Errorf("the directory has %v, %v", files, err)
			}
			if now := readFile(t, file); now != changed || len(now) > len(before) {
				t.Error("something was signed")
			}
			stop := parttest.Run(t, n.Run) // which goes on whatever it finds
			stop()
		})
	}
}

func TestANotaryWaitsForATreeThatIsDerivedAnew(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.append(t, 100)
	w.project(t, 1000)
	c := w.sign(t)
	w.forget(t)
	w.projectOne(t, 40)
	if again := w.sign(t); again.Note != c.Note {
		t.Errorf("%+v", again)
	}
	w.append(t, 10)
	w.project(t, 1000)
	if next := w.sign(t); next.Seq != 110 {
		t.Errorf("%+v", next)
	}
}

func TestANotaryMissesWhatItExported(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(t *testing.T, path string, first string){
		"the file is gone":       func(t *testing.T, path, _ string) { must(t, os.Remove(path)) },
		"the file is empty":      func(t *testing.T, path, _ string) { writeFile(t, path, "") },
		"the newest one is gone": func(t *testing.T, path, first string) { writeFile(t, path, first) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.append(t, 100)
			w.project(t, 1000)
			first := w.sign(t)
			w.append(t, 10)
			w.project(t, 1000)
			n := w.notary(t, func(c *proofs.Config) { c.Every = time.Millisecond })
			parttest.Run(t, n.Run)
			parttest.Eventually(t, "a checkpoint", func() bool { got, _ := n.Signed(); return got == 110 })
			change(t, w.file(t), first.Note)
			w.append(t, 10)
			w.project(t, 1000)
			parttest.Eventually(t, "the fault", func() bool { return errors.Is(n.Fault(), proofs.ErrGone) })
			if got, _ := n.Signed(); got != 110 {
				t.Errorf("%d were signed", got)
			}
		})
	}
}
