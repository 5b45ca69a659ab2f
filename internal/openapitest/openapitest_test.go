package openapitest_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/orderlog/orderlog/internal/openapitest"
)

const document = `{
  "openapi": "3.1.0", "info": {"title": "Kitchen", "version": "1"},
  "paths": {
    "/dishes/{id}": {
      "get": {
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string", "format": "uuid"}}],
        "responses": {
          "200": {
            "description": "A dish", "headers": {"X-Seq": {"required": true, "schema": {"type": "integer"}}},
            "content": {
              "application/json": {"schema": {"$ref": "#/components/schemas/Dish"}},
              "application/x-ndjson": {"schema": {"$ref": "#/components/schemas/Dish"}}
            }
          },
          "default": {"description": "No", "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}}
        }
      },
      "delete": {
        "parameters": [{"name": "id", "in": "path", "required": true, "schema": {"type": "string"}}],
        "responses": {"204": {"description": "Gone"}}
      }
    }
  },
  "components": {"schemas": {
    "Dish": {
      "type": "object", "additionalProperties": false, "required": ["id", "price"],
      "properties": {"id": {"type": "string", "format": "uuid"}, "price": {"type": "integer"}, "note": {"type": ["string", "null"]}}
    },
    "Problem": {"type": "object", "required": ["code"], "properties": {"code": {"type": "string"}}}
  }}
}`

func load(t *testing.T) *openapitest.Checker {
	t.Helper()
	c, err := openapitest.Load([]byte(document))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

const (
	path     = "/dishes/0190c0de-0000-7000-8000-000000000001"
	dish     = `{"id":"0190c0de-0000-7000-8000-000000000001","price":9000,"note":null}`
	asJSON   = "Content-Type: application/json"
	asLines  = "Content-Type: application/x-ndjson"
	refusal  = "Content-Type: application/problem+json"
	seqOf42  = "X-Seq: 42"
	noRights = `{"code":"forbidden"}`
)

func TestAnswersThatAreAsDescribed(t *testing.T) {
	t.Parallel()
	c := load(t)
	for name, tc := range map[string]struct {
		method, path string
		status       int
		headers      []string
		body         string
	}{
		"a dish":                        {"GET", path, 200, []string{asJSON, seqOf42}, dish},
		"with a query, on a host":       {"GET", "http://kitchen.example:5000" + path + "?x=1", 200, []string{asJSON, seqOf42}, dish},
		"a refusal":                     {"GET", path, 403, []string{refusal}, noRights},
		"nothing, as asked for by HEAD": {"HEAD", path, 200, []string{asJSON, seqOf42}, ""},
		"a line a dish":                 {"GET", path, 200, []string{asLines, seqOf42}, dish + "\n" + dish + "\n"},
		"no dishes, and so no line":     {"GET", path, 200, []string{asLines, seqOf42}, ""},
		"gone":                          {"DELETE", path, 204, nil, ""},
		"a page that is not described":  {"GET", "/docs", 200, []string{"Content-Type: text/html"}, "<html>"},
		"a refusal of nothing":          {"GET", "/nothing", 404, []string{refusal}, noRights},
		"a refusal of a method":         {"PATCH", path, 405, []string{refusal}, noRights},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if err := c.Check(tc.method, tc.path, tc.status, header(tc.headers), []byte(tc.body)); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnswersThatAreNot(t *testing.T) {
	t.Parallel()
	c := load(t)
	for name, tc := range map[string]struct {
		method, path string
		status       int
		headers      []string
		body         string
		says         string
	}{
		"a field is missing":            {"GET", path, 200, []string{asJSON, seqOf42}, `{"id":"0190c0de-0000-7000-8000-000000000001"}`, "price"},
		"a field of another type":       {"GET", path, 200, []string{asJSON, seqOf42}, strings.Replace(dish, "9000", `"9000"`, 1), "integer"},
		"null for what is never null":   {"GET", path, 200, []string{asJSON, seqOf42}, strings.Replace(dish, "9000", "null", 1), "null"},
		"a field nobody described":      {"GET", path, 200, []string{asJSON, seqOf42}, strings.Replace(dish, "note", "secret", 1), "secret"},
		"an id that is none":            {"GET", path, 200, []string{asJSON, seqOf42}, strings.Replace(dish, "0190c0de", "dosa", 1), "uuid"},
		"a header is missing":           {"GET", path, 200, []string{asJSON}, dish, "X-Seq"},
		"a header of another type":      {"GET", path, 200, []string{asJSON, "X-Seq: soon"}, dish, "x-seq"},
		"another content type":          {"GET", path, 200, []string{"Content-Type: text/html", seqOf42}, dish, "text/html"},
		"no content":                    {"GET", path, 200, []string{asJSON, seqOf42}, "", ""},
		"no JSON":                       {"GET", path, 200, []string{asJSON, seqOf42}, `{"id"`, ""},
		"a second line with a fault":    {"GET", path, 200, []string{asLines, seqOf42}, dish + "\n" + strings.Replace(dish, "9000", "null", 1) + "\n", "null"},
		"a line that does not end":      {"GET", path, 200, []string{asLines, seqOf42}, dish + "\n" + dish, "cut off"},
		"lines without a header":        {"GET", path, 200, []string{asLines}, dish + "\n", "X-Seq"},
		"a refusal without code":        {"GET", path, 403, []string{refusal}, `{}`, "code"},
		"a refusal as plain JSON":       {"GET", path, 403, []string{asJSON}, noRights, "application/json"},
		"a status nobody described":     {"DELETE", path, 404, []string{refusal}, noRights, "404"},
		"a refusal of nothing, in text": {"GET", "/nothing", 404, []string{"Content-Type: text/plain"}, "not found", "text/plain"},
		"a refusal of nothing, no code": {"GET", "/nothing", 404, []string{refusal}, `{}`, "code"},
		"a refusal of HEAD, no code":    {"HEAD", "/nothing", 404, []string{refusal}, `{}`, "code"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			err := c.Check(tc.method, tc.path, tc.status, header(tc.headers), []byte(tc.body))
			if err == nil {
				t.Fatal("passed")
			}
			if !strings.Contains(err.Error(), tc.says) || !strings.Contains(err.Error(), tc.method+" ") {
				t.Errorf("does not say %q: %v", tc.says, err)
			}
		})
	}
}

func TestDocumentsThatAreNot(t *testing.T) {
	t.Parallel()
	for name, text := range map[string]string{
		"no JSON":                    `{"openapi":`,
		"no version":                 strings.Replace(document, `"openapi": "3.1.0", `, "", 1),
		"no title":                   strings.Replace(document, `"title": "Kitchen", `, "", 1),
		"a parameter from nowhere":   strings.Replace(document, `"in": "path"`, `"in": "air"`, 1),
		"an answer without its text": strings.Replace(document, `"description": "Gone"`, ``, 1),
		"no problem":                 strings.Replace(document, `"Problem": {`, `"Trouble": {`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			if _, err := openapitest.Load([]byte(text)); err == nil {
				t.Error("passed")
			}
		})
	}
}

func header(lines []string) http.Header {
	h := http.Header{}
	for _, line := range lines {
		name, value, _ := strings.Cut(line, ": ")
		h.Set(name, value)
	}
	return h
}
