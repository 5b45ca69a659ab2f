package main

import (
	"fmt"
	"go/ast"
	"go/parser"
	gotoken "go/token"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/config"
	"github.com/orderlog/orderlog/internal/pgtest"
	"github.com/orderlog/orderlog/projections"
)

// root is the module's.
const root = "../.."

// A reference to a test, such as `delivery/ws.TestWindowSlides`.
var testName = regexp.MustCompile("`([a-z0-9/]+\\.(?:Test|Fuzz)[A-Za-z0-9_]*)`")

// TestEveryPromiseHasAProof holds docs/contract.md to the program and to its tests.
func TestEveryPromiseHasAProof(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile(filepath.Join(root, "docs", "contract.md"))
	if err != nil {
		t.Fatal(err)
	}
	sections := promises(t, string(page))
	for section, exists := range map[string][]string{
		"Events to clients":                    eventNames(),
		"What clients say over the socket":     clientEventNames(),
		"What the server says over the socket": serverMessageNames(),
		"How connections end":                  closeCodes(t),
		"Operations":                           operationsServed(t),
		"Commands":                             commandNames(),
		"Variables":                            variableNames(t),
	} {
		rows := sections[section]
		for _, name := range exists {
			if _, ok := rows[name]; !ok && !strings.HasPrefix(name, "101") { // the standard codes for trouble of the server
				t.Errorf("%s: %s has no row", section, name)
			}
		}
		for name := range rows {
			if !slices.Contains(exists, name) {
				t.Errorf("%s: there is no %s", section, name)
			}
		}
		if len(exists) < 5 {
			t.Errorf("%s: only %q is found: the test looks in the wrong place", section, exists)
		}
	}
	for _, e := range projections.Catalogue() {
		for _, channel := range e.Channels {
			if !strings.Contains(sections["Events to clients"][e.Name].promise, "`"+channel+"`") {
				t.Errorf("%s: its row does not say that %s carries it", e.Name, channel)
			}
		}
	}

	for section, rows := range sections {
		for name, row := range rows {
			if row.promise == "" {
				t.Errorf("%s: nothing is promised of %s", section, name)
			}
			if !testName.MatchString(row.tests) {
				t.Errorf("%s: %s has no test", section, name)
			}
			if rest := strings.TrimSpace(testName.ReplaceAllString(row.tests, "")); rest != "" {
				t.Errorf("%s: %s: %q names no test", section, name, rest)
			}
		}
	}
	tests := testsOf(t)
	for _, name := range testName.FindAllStringSubmatch(string(page), -1) {
		if !tests[name[1]] {
			t.Errorf("there is no test %s", name[1])
		}
	}
}

type promise struct{ promise, tests string }

// promises are the rows of the page's tables, by section and name.
func promises(t *testing.T, page string) map[string]map[string]promise {
	t.Helper()
	sections := map[string]map[string]promise{}
	for _, text := range strings.Split(page, "\n## ")[1:] {
		heading, text, _ := strings.Cut(text, "\n")
		rows := map[string]promise{}
		sections[heading] = rows
		_, table, _ := strings.Cut(text, "|---|---|---|\n")
		for line := range strings.Lines(table) {
			cells := strings.Split(strings.Trim(strings.TrimSpace(line), "|"), "|")
			if len(cells) != 3 {
				t.Fatalf("%s: no row of three: %s", heading, line)
			}
			name := strings.Trim(strings.TrimSpace(cells[0]), "`")
			if _, twice := rows[name]; twice || name == "" {
				t.Errorf("%s: %q is there twice, or without a name", heading, name)
			}
			rows[name] = promise{strings.TrimSpace(cells[1]), strings.TrimSpace(cells[2])}
		}
		if len(rows) == 0 {
			t.Errorf("%s has no rows", heading)
		}
	}
	return sections
}

func eventNames() (names []string) {
	for _, e := range projections.Catalogue() {
		names = append(names, e.Name)
	}
	return names
}

func clientEventNames() (names []string) {
	for _, e := range session.ClientEvents() {
		names = append(names, e.Name)
	}
	return names
}

func serverMessageNames() (names []string) {
	for _, m := range session.ServerMessages() {
		names = append(names, m.Name)
	}
	return append(names, "ack")
}

// closeCodes are those of the table of all codes, which are constants.
func closeCodes(t *testing.T) (codes []string) {
	t.Helper()
	for _, file := range []string{"domain/errors.go", "delivery/codes.go"} {
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), filepath.Join(root, file), nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 || !strings.HasPrefix(spec.Names[0].Name, "Code") {
				return true
			}
			code, err := strconv.Unquote(spec.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			if c := delivery.OutcomeOf(domain.Code(code)).Close; c > 0 {
				codes = append(codes, fmt.Sprint(c, " ", code))
			}
			return true
		})
	}
	return append(codes, "1001 going_away")
}

// operationsServed are those the server describes, and what stands beside them.
func operationsServed(t *testing.T) []string {
	t.Helper()
	s := start(t, serverSettings(t, pgtest.Database(t)))
	operations := []string{"GET /ws"}
	for _, path := range []string{"/health", "/ready", "/metrics", "/docs", "/openapi.json", "/asyncapi.json"} {
		if a := s.ask(t, "GET", path, "", ""); a.status == 200 {
			operations = append(operations, "GET "+path)
		} else {
			t.Errorf("%s is answered %d", path, a.status)
		}
	}
	paths, _ := s.ask(t, "GET", "/openapi.json", "", "").body["paths"].(map[string]any)
	for path, methods := range paths {
		for method := range methods.(map[string]any) {
			if operation := strings.ToUpper(method) + " " + path; !slices.Contains(operations, operation) {
				operations = append(operations, operation)
			}
		}
	}
	return operations
}

func commandNames() (names []string) {
	for line := range strings.Lines(usage) {
		if words := strings.Fields(line); strings.HasPrefix(line, "  ") && !strings.HasPrefix(line, "   ") {
			names = append(names, "app "+words[0])
		}
	}
	return names
}

// variableNames are those that the settings are read from.
func variableNames(t *testing.T) []string {
	t.Helper()
	asked := map[string]bool{}
	_, err := config.Load(func(name string) string {
		asked[name] = true
		return ""
	})
	if err != nil {
		t.Fatal(err)
	}
	return slices.Collect(maps.Keys(asked))
}

// testsOf are all tests of the module, as FOLDER.NAME.
func testsOf(t *testing.T) map[string]bool {
	t.Helper()
	tests := map[string]bool{}
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if name := entry.Name(); entry.IsDir() && strings.HasPrefix(name, ".") && path != root {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, "_test.go") {
			return nil
		}
		parsed, err := parser.ParseFile(gotoken.NewFileSet(), path, nil, parser.SkipObjectResolution)
		if err != nil {
			return err
		}
		folder, err := filepath.Rel(root, filepath.Dir(path))
		if err != nil {
			return err
		}
		for _, d := range parsed.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil {
				tests[filepath.ToSlash(folder)+"."+f.Name.Name] = true
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return tests
}
