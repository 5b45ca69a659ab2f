package guard_test

import (
	"maps"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/faults/guard"
	"github.com/orderlog/orderlog/faults/patch"
)

// Who changes the sources sees here that a guard can no longer be taken out as it was, and rewrites how.
func TestEveryGuardStillFitsTheSources(t *testing.T) {
	t.Parallel()
	for _, g := range guard.All() {
		if g.Without == "" || len(g.Patches) == 0 || len(g.Tests) == 0 {
			t.Errorf("%s: without %q nothing is taken out, or nothing tests it", g.Threat, g.Without)
		}
		if err := patch.Fits(t.Context(), "../..", g.Patches); err != nil {
			t.Errorf("%s: without %s: %v", g.Threat, g.Without, err)
		}
	}
}

// Each test that docs/security.md names fails for want of a guard against that threat.
func TestEveryTestOfAThreatHasAGuardThatItMisses(t *testing.T) {
	t.Parallel()
	rows := threats(t)
	missed := map[string]map[string]bool{}
	for _, g := range guard.All() {
		if _, known := rows[g.Threat]; !known {
			t.Errorf("docs/security.md has no threat %q", g.Threat)
			continue
		}
		for _, test := range g.Tests {
			if !slices.Contains(rows[g.Threat], test) {
				t.Errorf("%s: docs/security.md does not name %s", g.Threat, test)
			}
			if missed[g.Threat] == nil {
				missed[g.Threat] = map[string]bool{}
			}
			missed[g.Threat][test] = true
		}
	}
	for _, threat := range slices.Sorted(maps.Keys(rows)) {
		for _, test := range rows[threat] {
			if !missed[threat][test] {
				t.Errorf("%s: no guard is taken out for %s", threat, test)
			}
		}
	}
}

var quoted = regexp.MustCompile("`([^`]+)`")

// threats are those of docs/security.md, with the tests of each.
func threats(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile("../../docs/security.md")
	if err != nil {
		t.Fatal(err)
	}
	_, table, found := strings.Cut(string(page), "| threat | guard | tests |\n|---|---|---|\n")
	if !found {
		t.Fatal("docs/security.md has no table of threats")
	}
	rows := map[string][]string{}
	for line := range strings.Lines(table) {
		cells := strings.Split(strings.Trim(line, "|\n "), " | ")
		if len(cells) != 3 {
			break
		}
		for _, test := range quoted.FindAllStringSubmatch(cells[2], -1) {
			rows[cells[0]] = append(rows[cells[0]], test[1])
		}
	}
	if len(rows) < 30 {
		t.Fatalf("docs/security.md has %d threats", len(rows))
	}
	return rows
}
