package patch_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"github.com/orderlog/orderlog/faults/patch"
)

func TestAPatchIsOfTheTextAloneAndHasToFit(t *testing.T) {
	t.Parallel()
	module := t.TempDir()
	file := filepath.Join(module, "main.go")
	if err := os.WriteFile(file, []byte("one two two"), 0o600); err != nil {
		t.Fatal(err)
	}
	patched, err := patch.Apply(t.Context(), module, []patch.Patch{{File: "main.go", Old: "one", New: "1"}, {File: "main.go", Old: "1 two", New: "12"}})
	if err != nil {
		t.Fatal(err)
	}
	if got := patched[file]; got != "12 two" {
		t.Errorf("it makes %q", got)
	}
	if content, err := os.ReadFile(file); err != nil || string(content) != "one two two" {
		t.Errorf("the source itself was changed: %q, %v", content, err)
	}
	for _, misfit := range []string{"two", "three"} {
		if err := patch.Fits(t.Context(), module, []patch.Patch{{File: "main.go", Old: misfit}}); !errors.Is(err, patch.ErrNoFit) {
			t.Errorf("a patch of %q fits", misfit)
		}
	}
}
