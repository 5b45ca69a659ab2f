package parttest_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A package whose tests do not look for goroutines that were left behind finds no leak, and nobody notices.
func TestEveryPackageWithTestsLooksForLeaks(t *testing.T) {
	t.Parallel()
	looked := map[string]bool{} // by folder
	err := filepath.WalkDir("../..", func(path string, entry fs.DirEntry, err error) error {
		name := entry.Name()
		switch {
		case err != nil:
			return err
		case entry.IsDir() && path != "../.." && (strings.HasPrefix(name, ".") || name == "testdata" || name == "node_modules"):
			return fs.SkipDir
		case !strings.HasSuffix(name, "_test.go"):
			return nil
		}
		source, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		folder := filepath.Dir(path)
		looks, err := looksForLeaks(source)
		looked[folder] = looked[folder] || looks
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(looked) < 40 {
		t.Errorf("only %d packages with tests were found", len(looked))
	}
	for folder, looks := range looked {
		if !looks {
			t.Errorf("%s has tests, and no TestMain that looks for leaks: func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }", folder)
		}
	}
}

func TestWhoLooksForLeaks(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`package p; func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }`:                 true,
		`package p; func TestMain(m *testing.M) { pgtest.Main(m) }`:                           true,
		`package p; func TestMain(m *testing.M) { if program { main() }; pgtest.Main(m) }`:    true,
		`package p; func TestMain(m *testing.M) { m.Run(); if goleak.Find() != nil { f() } }`: true,
		`package p; func TestMain(m *testing.M) { os.Exit(m.Run()) }`:                         false,
		`package p; func TestThing(t *testing.T) { goleak.VerifyTestMain(t) }`:                false,
		`package p; // func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }`:              false,
	} {
		if got, err := looksForLeaks([]byte(source)); err != nil || got != want {
			t.Errorf("%s: %v, %v", source, got, err)
		}
	}
}

// looksForLeaks says whether a file has the TestMain that does.
func looksForLeaks(source []byte) (looks bool, err error) {
	file, err := parser.ParseFile(token.NewFileSet(), "", source, parser.SkipObjectResolution)
	if err != nil {
		return false, err
	}
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "TestMain" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if s, ok := n.(*ast.SelectorExpr); ok {
				from, _ := s.X.(*ast.Ident)
				looks = looks || from != nil && slices.Contains([]string{"goleak.VerifyTestMain", "goleak.Find", "pgtest.Main"}, from.Name+"."+s.Sel.Name)
			}
			return true
		})
	}
	return looks, nil
}
