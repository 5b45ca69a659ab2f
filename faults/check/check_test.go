package check

import (
	"maps"
	"slices"
	"testing"
)

func TestAnEveningInWhichNothingGoesWrongBreaksNoRule(t *testing.T) {
	t.Parallel()
	for rule, text := range evening(t).judged() {
		t.Errorf("%s: %s", rule, text)
	}
}

// Each fault is found by its own rule, and by no other: what a rule says can be believed.
func TestEachFaultIsFoundByItsRuleAlone(t *testing.T) {
	t.Parallel()
	caught := map[string]bool{}
	for name, fault := range planted {
		s := evening(t)
		fault.plant(s)
		broken := s.judged()
		if rules := slices.Sorted(maps.Keys(broken)); !slices.Equal(rules, []string{fault.rule}) {
			t.Errorf("%s: found by %q, want %q: %v", name, rules, fault.rule, broken)
		}
		caught[fault.rule] = true
	}
	for _, rule := range Rules() {
		if rule != ruleProgram && !caught[rule] {
			t.Errorf("no fault is planted for rule %q", rule)
		}
	}
}

// Of a million of the same violations the report has a few, and how many they are.
func TestManyViolationsAreToldOfByAFew(t *testing.T) {
	t.Parallel()
	f := newFindings()
	for range 3 * most {
		f.add(ruleLog, "x")
	}
	if told := f.told(); len(told) != most+1 || told[most].Text != "and 40 more" || f.broken != 3*most {
		t.Errorf("%d are told, the last one %q", len(told), told[len(told)-1].Text)
	}
}

// A rule that looked at nothing could not have failed.
func TestARuleThatSawNothingIsAViolation(t *testing.T) {
	t.Parallel()
	f := newFindings()
	f.blind(false)
	if len(f.told()) != len(Rules()) {
		t.Errorf("%v", f.told())
	}
}
