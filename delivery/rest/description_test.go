package rest

import (
	"encoding/json"
	"strings"
	"testing"
)

// Every other test here holds its answers to the document; this one is about the document itself.
func TestTheDocumentIsValidAndWhole(t *testing.T) {
	t.Parallel()
	described(t) // valid by the specification's own schema
	got := ask(t, newWorld().handler(t), "GET", "/openapi.json", "")
	var spec struct {
		Paths map[string]map[string]struct {
			OperationID, Summary string
			Tags                 []string
			Responses            map[string]struct {
				Description string
				Headers     map[string]struct{ Required bool }
				Content     map[string]struct {
					Schema map[string]any `json:"schema"`
				}
			}
		}
	}
	if err := json.Unmarshal([]byte(got.text), &spec); err != nil {
		t.Fatal(err)
	}
	operations, sequenced := 0, 0
	ids := map[string]string{}
	for path, methods := range spec.Paths {
		for method, op := range methods {
			operations++
			name := strings.ToUpper(method) + " " + path
			if op.OperationID == "" || op.Summary == "" || len(op.Tags) == 0 {
				t.Errorf("%s: id %q, summary %q, tags %v", name, op.OperationID, op.Summary, op.Tags)
			}
			if other := ids[op.OperationID]; other != "" {
				t.Errorf("%s and %s have the same id", name, other)
			}
			ids[op.OperationID] = name
			if ref := op.Responses["default"].Content[problemType].Schema["$ref"]; ref != "#/components/schemas/Problem" {
				t.Errorf("%s: its refusals are %v", name, ref)
			}
			for status, response := range op.Responses {
				if seq, ok := response.Headers["X-Seq"]; ok && status[0] == '2' {
					sequenced++
					if !seq.Required {
						t.Errorf("%s: X-Seq of a %s may be missing", name, status)
					}
				}
				if response.Description == "" || (status == "200" && len(response.Content) == 0) {
					t.Errorf("%s: nothing is said of a %s", name, status)
				}
			}
		}
	}
	if operations < 17 || sequenced < 14 {
		t.Errorf("only %d operations, %d with X-Seq: the test looks in the wrong place", operations, sequenced)
	}
}
