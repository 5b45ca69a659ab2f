package rest

import (
	"encoding/json"
	"fmt"
	"path"
	"strings"
	"testing"
)

// The longest that the document allows is the longest that the commands take: in characters, not in bytes.
func TestTextsAreAsLongAsDescribed(t *testing.T) {
	t.Parallel()
	k := newKitchen(t)
	h := k.open(t)
	var document struct {
		Paths map[string]map[string]struct {
			RequestBody struct {
				Content map[string]struct {
					Schema struct {
						Ref string `json:"$ref"`
					} `json:"schema"`
				}
			}
		}
		Components struct {
			Schemas map[string]struct {
				Properties map[string]struct{ MaxLength int }
			}
		}
	}
	if err := json.Unmarshal([]byte(ask(t, h, "GET", "/openapi.json", "").text), &document); err != nil {
		t.Fatal(err)
	}
	product := `{"name":"%s","description":"%s","price":1,"currency":"EUR"}`
	order := strings.Replace(place, "{", `{"customerName":"%s","note":"%s",`, 1)
	order = strings.Replace(order, "12 Hill Rd", "%s", 1)
	for _, tc := range []struct {
		method, path, user, body string
		fields                   []string // of the body's texts, in their order
	}{
		{"PATCH", "/business/status", "admin", `{"isOpen":true,"message":"%s"}`, []string{"message"}},
		{"POST", "/products", "admin", product, []string{"name", "description"}},
		{"POST", "/orders", "asha", order, []string{"customerName", "note", "deliveryAddress"}},
		{"POST", "/offers", "admin", strings.Replace(strings.Replace(half, "Half off", "%s", 1), "HALF", "LONG", 1), []string{"description"}},
		{"POST", "/notifications", "admin", `{"userId":"%s","title":"%s","message":"%s","type":"news"}`, []string{"userId", "title", "message"}},
	} {
		ref := document.Paths[prefix+tc.path][strings.ToLower(tc.method)].RequestBody.Content["application/json"].Schema.Ref
		described := document.Components.Schemas[path.Base(ref)].Properties
		texts := func(longer string) (all []any) {
			for _, f := range tc.fields {
				n := described[f].MaxLength
				if f == longer {
					n++
				}
				all = append(all, strings.Repeat("ñ", n))
			}
			return all
		}
		for _, f := range tc.fields {
			if described[f].MaxLength == 0 {
				t.Errorf("%s %s: nothing is said of how long %s may be", tc.method, tc.path, f)
				continue
			}
			got := ask(t, h, tc.method, prefix+tc.path, tc.user, fmt.Sprintf(tc.body, texts(f)...))
			refused(t, got, 400, "invalid_request")
			if !strings.Contains(got.text, `"location":"body.`+f+`"`) {
				t.Errorf("too long a %s is answered %s", f, got.text)
			}
		}
		if got := ask(t, h, tc.method, prefix+tc.path, tc.user, fmt.Sprintf(tc.body, texts("")...)); got.status >= 300 {
			t.Errorf("%s %s with the longest texts is answered %d: %s", tc.method, tc.path, got.status, got.text)
		}
	}
}
