package main

import (
	"fmt"
	"regexp"
	"strconv"

	"github.com/orderlog/orderlog/faults/history"
)

// struck is what a fault says of what it has struck, where that can be counted: "3 connections", "at 2 commits".
var struck = regexp.MustCompile(`^(?:at )?([0-9]+) (connections|commits|were taken)$`)

// hits is how much a fault has struck, and of what. A fault that does not count is one that cannot miss.
func hits(f history.Fault) (n int, of string) {
	m := struck.FindStringSubmatch(f.Detail)
	if m == nil {
		return 1, ""
	}
	n, _ = strconv.Atoi(m[1]) // digits
	return n, m[2]
}

// effective is how many faults there were that struck something.
func effective(faults []history.Fault) (n int) {
	for _, f := range faults {
		if hit, _ := hits(f); hit > 0 {
			n++
		}
	}
	return n
}

// effects sums up what all faults of a kind have struck, and says whether that is anything.
func effects(faults []history.Fault, kind string) (words string, some bool) {
	sum, of := 0, ""
	for _, f := range faults {
		if f.Kind == kind {
			n, what := hits(f)
			sum, of = sum+n, what
		}
	}
	if of == "" {
		return "", sum > 0
	}
	return fmt.Sprintf("%d %s", sum, of), sum > 0
}
