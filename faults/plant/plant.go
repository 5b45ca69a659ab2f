// Package plant has mistakes to be made in the program, so that it is seen that the fault suite finds them. Each is one
// that programs of this kind do have.
//
// A mistake is a change of a few lines of the real sources, for one build. The sources themselves are not touched.
package plant

import (
	"slices"

	"github.com/orderlog/orderlog/faults/patch"
)

// Plant is a mistake.
type Plant struct {
	Name string
	// What the program does wrong with it.
	What string
	// Rule of the checker that has to find it. Others may, too.
	Rule string
	// Faults are the kinds that have to be injected for it to show. Empty: it shows with nothing broken.
	Faults  []string
	Patches []patch.Patch
}

// All are all mistakes.
func All() []Plant { return slices.Concat(ofDelivery, ofLog, ofProjections, ofRules) }

// Find returns the mistake of a name.
func Find(name string) (Plant, bool) {
	all := All()
	if i := slices.IndexFunc(all, func(p Plant) bool { return p.Name == name }); i >= 0 {
		return all[i], true
	}
	return Plant{}, false
}

// Names are those of all mistakes.
func Names() []string {
	var names []string
	for _, p := range All() {
		names = append(names, p.Name)
	}
	return names
}
