package guard_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/faults/guard"
	"github.com/orderlog/orderlog/faults/patch"
)

// door is a module whose only guard is tested by one test, and not by the other.
var door = map[string]string{
	"go.mod":       "module door\n\ngo 1.26\n",
	"lock/lock.go": "package lock\n\nfunc Opens(key string) bool { return key == \"right\" }\n",
	"lock/lock_test.go": `package lock

import "testing"

func TestWrongKeys(t *testing.T) {
	t.Run("bent", func(t *testing.T) {
		if Opens("bent") {
			t.Error("it opens")
		}
	})
}

func TestTheRightKey(t *testing.T) {
	if !Opens("right") {
		t.Error("it stays shut")
	}
}
`,
	".git/config": "nothing to test",
}

func newDoor(t *testing.T) (module string, copied *guard.Copy) {
	t.Helper()
	module, dir := t.TempDir(), t.TempDir()
	for name, content := range door {
		path := filepath.Join(module, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	copied, err := guard.NewCopy(module, dir)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(filepath.Join(dir, ".git")); !os.IsNotExist(err) {
		t.Errorf("what nobody tests is copied too: %v", err)
	}
	return module, copied
}

func without(what, instead string, tests ...string) guard.Guard {
	return guard.Guard{Threat: "a thief", Without: what, Patches: []patch.Patch{{File: "lock/lock.go", Old: what, New: instead}}, Tests: tests}
}

func TestATestThatDoesNotMissTheGuardIsTold(t *testing.T) {
	t.Parallel()
	module, door := newDoor(t)
	both := []string{"lock.TestWrongKeys", "lock.TestTheRightKey"}
	for instead, want := range map[string][]string{
		"true":          {"lock.TestTheRightKey"},
		"false":         {"lock.TestWrongKeys"},
		`key == "bent"`: nil,
	} {
		passed, err := door.Unnoticed(t.Context(), without(`key == "right"`, instead, both...))
		if err != nil || !slices.Equal(passed, want) {
			t.Errorf("with %s: not noticed by %v, and not by %v: %v", instead, passed, want, err)
		}
	}
	if err := door.Sound(t.Context(), []guard.Guard{without("x", "y", both...)}); err != nil {
		t.Errorf("the guard was not put back: %v", err)
	}
	if content, err := os.ReadFile(filepath.Join(module, "lock", "lock.go")); err != nil || !strings.Contains(string(content), `"right"`) {
		t.Errorf("the module itself was changed: %q, %v", content, err)
	}
}

func TestTestsThatFailAnywayShowNothing(t *testing.T) {
	t.Parallel()
	module, _ := newDoor(t)
	path := filepath.Join(module, "lock", "lock.go")
	if err := os.WriteFile(path, []byte("package lock\n\nfunc Opens(string) bool { return true }\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	open, err := guard.NewCopy(module, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	err = open.Sound(t.Context(), []guard.Guard{without("x", "y", "lock.TestWrongKeys", "lock.TestTheRightKey")})
	if err == nil || !strings.Contains(err.Error(), "lock.TestWrongKeys") || strings.Contains(err.Error(), "TestTheRightKey") {
		t.Errorf("it is said that %v", err)
	}
}

// A guard whose tests do not compile without it, or are not there, would otherwise be one that is missed.
func TestWhatCannotBeRunIsAnError(t *testing.T) {
	t.Parallel()
	_, door := newDoor(t)
	for what, g := range map[string]guard.Guard{
		"does not compile": without(`key == "right"`, "nobody", "lock.TestWrongKeys"),
		"no such package":  without(`key == "right"`, "true", "window.TestWrongKeys"),
		"does not fit":     without("left", "true", "lock.TestWrongKeys"),
	} {
		if passed, err := door.Unnoticed(t.Context(), g); err == nil {
			t.Errorf("%s: not noticed by %v", what, passed)
		}
	}
	passed, err := door.Unnoticed(t.Context(), without(`key == "right"`, "true", "lock.TestNothing"))
	if err != nil || !slices.Equal(passed, []string{"lock.TestNothing"}) {
		t.Errorf("a test that is not there: %v, %v", passed, err)
	}
}
