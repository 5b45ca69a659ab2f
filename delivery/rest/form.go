package rest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"mime"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
)

// maxNesting is how deep objects and lists of a body may lie in each other; none that is described here needs more
// than 4.
const maxNesting = 32

// checkForm looks at a body as a whole: whether its type is one that is taken, and whether everybody who reads it
// reads the same. What it should hold is checked against the operation's schema, later.
func checkForm(header http.Header, body []byte) error {
	if len(body) == 0 {
		return nil
	}
	if !utf8.Valid(body) { // the decoder would put other characters in
		return problem(domain.CodeInvalidRequest, "the body is not UTF-8").at("body", "must be UTF-8")
	}
	if encoding := header.Get("Content-Encoding"); encoding != "" && !strings.EqualFold(encoding, "identity") {
		return problem(delivery.CodeUnsupportedMediaType, "a compressed body is not accepted: send it as it is")
	}
	if given := header.Get("Content-Type"); given != "" { // without, it is JSON: that is all there is
		media, _, err := mime.ParseMediaType(given)
		if err != nil || (media != "application/json" && !strings.HasSuffix(media, "+json")) {
			return problem(delivery.CodeUnsupportedMediaType, "the body must be JSON: send Content-Type: application/json")
		}
	}
	return checkNames(body)
}

// checkNames refuses an object with the same name twice, and nesting without end. Of two values readers take the first
// or the last as they like; and the decoder takes "IsOpen" for "isOpen", which the schema does not look at. JSON that
// is broken is left to the decoder, which says where.
func checkNames(body []byte) error {
	type level struct {
		names map[string]struct{} // nil: a list
		value bool                // in an object: a value comes next, and not a name
	}
	var levels []level
	decoder := json.NewDecoder(bytes.NewReader(body))
	replaced := bytes.ContainsRune(body, utf8.RuneError) || bytes.Contains(bytes.ToLower(body), []byte(`\ufffd`))
	decoder.UseNumber() // a number that fits nowhere is the other decoder's to refuse, and to name
	for {
		token, err := decoder.Token()
		if err != nil {
			return nil //nolint:nilerr // the end, or broken
		}
		if text, ok := token.(string); ok && !replaced && strings.ContainsRune(text, utf8.RuneError) {
			return invalidBody("has half of a surrogate pair, such as \\ud800: escape the whole character, or send it as it is")
		}
		if delimiter, ok := token.(json.Delim); ok && (delimiter == '}' || delimiter == ']') {
			levels = levels[:len(levels)-1]
			continue
		}
		if n := len(levels); n > 0 && levels[n-1].names != nil {
			top := &levels[n-1]
			if top.value = !top.value; top.value {
				name, _ := token.(string)
				folded := strings.ToLower(strings.ToUpper(name)) // as the decoder compares names
				if _, twice := top.names[folded]; twice {
					return invalidBody(fmt.Sprintf("has %.50q twice in one object: send each name once", name))
				}
				top.names[folded] = struct{}{}
				continue
			}
		}
		switch token {
		case json.Delim('{'):
			levels = append(levels, level{names: map[string]struct{}{}})
		case json.Delim('['):
			levels = append(levels, level{})
		}
		if len(levels) > maxNesting {
			return invalidBody(fmt.Sprintf("is nested deeper than %d levels", maxNesting))
		}
	}
}

func invalidBody(what string) *Problem {
	return problem(domain.CodeInvalidRequest, "the body "+what).at("body", what)
}
