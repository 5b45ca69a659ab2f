package rest

import (
	"maps"
	"net/url"
	"slices"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
)

// OneValueEach refuses a query that says less than its client meant: what huma would silently pass over. Embedded in an
// input it holds for all parameters. An auditor must not take the answer to another question for that to their own.
type OneValueEach struct{}

// oneValueEach describes it.
const oneValueEach = "A parameter of the query that is empty, given twice or not known is refused."

// Resolve is called by huma.
func (OneValueEach) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	return queryFaults(r.URL.RawQuery, "")
}

// queryFaults are the parameters that would be taken for absent, which of a filter means everything, and those that are
// given more than once, of which only the first would count. A list may be given more than once, with commas in it; each
// of what it names must be something.
func queryFaults(query, list string) (faults []error) {
	fault := func(location, message string) {
		faults = append(faults, &huma.ErrorDetail{Location: location, Message: message})
	}
	given, err := url.ParseQuery(query)
	if err != nil { // what can't be read is not among the parameters
		fault("query", "must be NAME=VALUE with & between: write a % as %25 and a ; as %3B")
	}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		values := given[name]
		if name != list && len(values) > 1 {
			fault("query."+name, "must be given once")
			continue
		}
		if name == list {
			values = strings.Split(strings.Join(values, ","), ",")
		}
		if slices.Contains(values, "") {
			fault("query."+name, "must not be empty: give it a value, or leave it out")
		}
	}
	return faults
}
