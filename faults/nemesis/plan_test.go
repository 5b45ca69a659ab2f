package nemesis

import (
	"slices"
	"testing"
	"time"
)

func TestTheSameSeedMakesTheSamePlan(t *testing.T) {
	t.Parallel()
	first, again := Plan(7, time.Minute, 3, Kinds()), Plan(7, time.Minute, 3, Kinds())
	if !slices.Equal(first, again) {
		t.Error("two plans of one seed differ")
	}
	if other := Plan(8, time.Minute, 3, Kinds()); slices.Equal(first, other) {
		t.Error("two seeds make one plan")
	}
	if none := Plan(7, time.Minute, 3, nil); len(none) > 0 {
		t.Errorf("without kinds there are %d faults", len(none))
	}
}

func TestEachKindComesBeforeOneComesAgain(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		count := make(map[string]int)
		for _, f := range Plan(seed, 10*time.Minute, 3, Kinds()) {
			count[f.Kind]++
		}
		least, most := 1000, 0
		for _, k := range Kinds() {
			least, most = min(least, count[k]), max(most, count[k])
		}
		if least == 0 || most-least > 2 { // two decks are drawn from at the end
			t.Errorf("seed %d: from %d to %d of a kind: %v", seed, least, most, count)
		}
	}
}

// Progress that is to be lost needs time in which nothing is broken.
func TestAPlanKeepsToItsTimeAndHasQuietMoments(t *testing.T) {
	t.Parallel()
	for seed := range uint64(50) {
		span := time.Duration(10+seed) * time.Second
		plan := Plan(seed, span, 3, Kinds())
		if len(plan) == 0 {
			t.Errorf("seed %d: nothing is broken in %v", seed, span)
		}
		var mended time.Duration
		together := 0
		for i, f := range plan {
			if f.At+f.For > span {
				t.Errorf("seed %d: %v lasts longer than %v", seed, f, span)
			}
			if f.Node >= 3 || kindOf(f.Kind).part.ofNode() != (f.Node >= 0) {
				t.Errorf("seed %d: %v has a wrong node", seed, f)
			}
			if together++; f.At >= mended+quietLeast {
				together = 1
			}
			if together > 2 {
				t.Errorf("seed %d: %v is the third at a time", seed, f)
			}
			if together == 2 && f.conflicts(plan[i-1], 3) {
				t.Errorf("seed %d: %v and %v break the same part at once", seed, plan[i-1], f)
			}
			mended = max(mended, f.At+f.For)
		}
	}
}

func TestRestartsOfAllConflictWithWhatIsDoneToOne(t *testing.T) {
	t.Parallel()
	all := Fault{Kind: "nodes.restart", Node: -1}
	for _, f := range []Fault{{Kind: "node.kill", Node: 2}, {Kind: "postgres.kill", Node: -1}, all} {
		if !all.conflicts(f, 3) || !f.conflicts(all, 3) {
			t.Errorf("%v may go with %v", f, all)
		}
	}
	for _, f := range []Fault{{Kind: "clients.cut", Node: 2}, {Kind: "commit.after", Node: 0}} {
		if all.conflicts(f, 3) {
			t.Errorf("%v may not go with %v", f, all)
		}
	}
}
