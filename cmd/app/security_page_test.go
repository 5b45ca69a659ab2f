package main

import (
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// A place in the code, as the threat model names it.
var codePlace = regexp.MustCompile("`([a-z0-9_]+(?:/[a-z0-9_.]+)*)`")

// TestEveryThreatHasATest holds docs/security.md to the code and to the tests.
func TestEveryThreatHasATest(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "security.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "\n## Threats\n")
	text, rest, _ := strings.Cut(text, "\n## ")
	threats := promises(t, "\n## Threats\n"+text)["Threats"]
	if len(threats) < 30 || !strings.HasPrefix(rest, "What is not defended against\n") {
		t.Errorf("%d threats, and then %.40q", len(threats), rest)
	}
	tests := testsOf(t)
	for threat, row := range threats {
		names := testName.FindAllStringSubmatch(row.tests, -1)
		if len(names) == 0 || strings.TrimSpace(testName.ReplaceAllString(row.tests, "")) != "" {
			t.Errorf("%s: %q are not its tests", threat, row.tests)
		}
		for _, name := range names {
			if !tests[name[1]] {
				t.Errorf("%s: there is no test %s", threat, name[1])
			}
		}
		places := codePlace.FindAllStringSubmatch(row.promise, -1)
		found := 0
		for _, place := range places {
			if _, err := os.Stat(filepath.Join(root, place[1])); err == nil {
				found++
			} else if strings.Contains(place[1], "/") {
				t.Errorf("%s: there is no %s", threat, place[1])
			}
		}
		if found == 0 {
			t.Errorf("%s: %q says of no place where the guard is", threat, row.promise)
		}
	}
}

// Nobody may find out a signature digit by digit, from how long it takes to refuse it. A test cannot measure that on every
// machine; it can see what compares.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	file, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join(root, "delivery", "rest", "webhook.go"), nil, parser.SkipObjectResolution)
	if err != nil {
		t.Fatal(err)
	}
	constant := 0
	for _, d := range file.Decls {
		f, ok := d.(*ast.FuncDecl)
		if !ok || f.Name.Name != "checkSignature" {
			continue
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if call, ok := n.(*ast.CallExpr); ok {
				switch name := nameOf(call.Fun); name {
				case "hmac.Equal":
					constant++
				case "bytes.Equal", "bytes.Compare", "slices.Equal", "reflect.DeepEqual", "strings.EqualFold":
					t.Errorf("it compares by %s", name)
				}
			}
			return true
		})
	}
	if constant != 1 {
		t.Errorf("hmac.Equal is asked %d times, want once", constant)
	}
}

func nameOf(e ast.Expr) string {
	if s, ok := e.(*ast.SelectorExpr); ok {
		if x, ok := s.X.(*ast.Ident); ok {
			return x.Name + "." + s.Sel.Name
		}
	}
	return ""
}
