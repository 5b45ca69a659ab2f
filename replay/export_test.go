package replay

import "encoding/json"

// Statements are all that a test can prepare against the schema.
func Statements() map[string]string {
	return map[string]string{
		"sqlPoint": sqlPoint, "sqlPosition": sqlPosition, "sqlAddKeys": sqlAddKeys, "sqlOrderSeqs": sqlOrderSeqs,
		"sqlOrderSeqsWithout": sqlOrderSeqsWithout, "sqlReadEvents": sqlReadEvents, "sqlReadRange": sqlReadRange,
		"sqlStreamBounds": sqlStreamBounds, "sqlHasVersion": sqlHasVersion, "sqlStreamsOf": sqlStreamsOf, "sqlTypes": sqlTypes,
		"by actor": sqlSearch(0, true), "by type": sqlSearch(1, false), "by type and actor": sqlSearch(1, true),
		"by types": sqlSearch(3, false), "by types and actor": sqlSearch(3, true),
		"of a stream": sqlReadStreamRange(false), "of a stream by actor": sqlReadStreamRange(true),
	}
}

var (
	Compare = compare
	Member  = member
	Money   = money
	Summary = summary
)

// Plain makes a JSON object into the values that Compare takes.
func Plain(object string) (map[string]any, error) {
	var m map[string]any
	err := remarshal(json.RawMessage(object), &m)
	return m, err
}
