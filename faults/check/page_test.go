package check

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// The page that says what holds under faults says by which rules; each is one of these, and none is forgotten.
func TestThePageNamesTheRules(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../docs/reliability.md")
	if err != nil {
		t.Fatal(err)
	}
	var named []string
	for _, list := range regexp.MustCompile("rules? (`[a-z_ ]+`(?:, `[a-z_ ]+`)*)").FindAllStringSubmatch(string(page), -1) {
		for _, name := range strings.Split(list[1], ", ") {
			named = append(named, strings.Trim(name, "`"))
		}
	}
	for _, name := range named {
		if !slices.Contains(Rules(), name) {
			t.Errorf("there is no rule %q", name)
		}
	}
	for _, rule := range Rules() {
		if !slices.Contains(named, rule) {
			t.Errorf("the page says nothing of the rule %q", rule)
		}
	}
}
