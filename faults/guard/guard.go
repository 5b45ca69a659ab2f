// Package guard takes the guards of the program out, one after the other, and sees that the tests that docs/security.md names
// for the threat fail for want of it.
package guard

import (
	"slices"

	"github.com/orderlog/orderlog/faults/patch"
)

// Guard is what keeps a threat off.
type Guard struct {
	// Threat is the row of docs/security.md, as it is written there.
	Threat string
	// Without is what the program lacks when it is taken out.
	Without string
	Patches []patch.Patch
	// Tests are those that have to fail then, as docs/security.md names them: "internal/auth.TestClaims".
	Tests []string
}

// All are all guards.
func All() []Guard {
	return slices.Concat(ofTokens, ofAccess, ofBrowsers, ofMoney, ofInput, ofSecrets, ofLimits, ofDatabase)
}

// in is a change of one place.
func in(file, old, instead string) []patch.Patch {
	return []patch.Patch{{File: file, Old: old, New: instead}}
}
