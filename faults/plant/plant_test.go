package plant_test

import (
	"slices"
	"testing"

	"github.com/orderlog/orderlog/faults/check"
	"github.com/orderlog/orderlog/faults/nemesis"
	"github.com/orderlog/orderlog/faults/patch"
	"github.com/orderlog/orderlog/faults/plant"
)

// Who changes the sources sees here that a mistake can no longer be made as it was, and rewrites it.
func TestEveryPlantStillFitsTheSources(t *testing.T) {
	t.Parallel()
	for _, p := range plant.All() {
		if err := patch.Fits(t.Context(), "../..", p.Patches); err != nil {
			t.Errorf("%s: %v", p.Name, err)
		}
	}
}

func TestEveryPlantNamesWhatFindsIt(t *testing.T) {
	t.Parallel()
	seen := map[string]bool{}
	for _, p := range plant.All() {
		if seen[p.Name] || p.What == "" || len(p.Patches) == 0 {
			t.Errorf("%q is there twice, or is nothing", p.Name)
		}
		seen[p.Name] = true
		if !slices.Contains(check.Rules(), p.Rule) {
			t.Errorf("%s: there is no rule %q", p.Name, p.Rule)
		}
		for _, kind := range p.Faults {
			if !slices.Contains(nemesis.Kinds(), kind) {
				t.Errorf("%s: there is no fault %q", p.Name, kind)
			}
		}
		if found, ok := plant.Find(p.Name); !ok || found.What != p.What {
			t.Errorf("%s is not found", p.Name)
		}
	}
	if _, ok := plant.Find("nothing"); ok || len(plant.Names()) != len(seen) {
		t.Error("there are others")
	}
}
