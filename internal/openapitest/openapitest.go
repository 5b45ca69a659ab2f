// Package openapitest holds the answers of a server to its own OpenAPI document.
//
// Guarantee: an answer passes only if its operation describes the status (or has a default), its content type, every
// header that must be there, and its body. A refusal outside of every operation has to be a problem as the others are.
package openapitest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/pb33f/libopenapi"
	validator "github.com/pb33f/libopenapi-validator"
	"github.com/pb33f/libopenapi-validator/config"
	invalid "github.com/pb33f/libopenapi-validator/errors"
	"github.com/pb33f/libopenapi-validator/schema_validation"
	"github.com/pb33f/libopenapi/datamodel/high/base"
)

// Checker knows a document. It is safe for concurrent use.
type Checker struct {
	answers validator.Validator
	schemas schema_validation.SchemaValidator
	problem *base.Schema
}

// Load reads a document. It fails when the document is not what the OpenAPI specification asks for, or has no schema
// named Problem.
func Load(document []byte) (*Checker, error) {
	parsed, err := libopenapi.NewDocument(document)
	if err != nil {
		return nil, fmt.Errorf("read the OpenAPI document: %w", err)
	}
	if valid, faults := schema_validation.ValidateOpenAPIDocument(parsed); !valid {
		return nil, fmt.Errorf("the document is not valid OpenAPI: %w", joined(faults))
	}
	answers, errs := validator.NewValidator(parsed, config.WithFormatAssertions())
	if len(errs) > 0 {
		return nil, fmt.Errorf("the OpenAPI document cannot be used: %w", errors.Join(errs...))
	}
	model, err := parsed.BuildV3Model()
	if err != nil {
		return nil, fmt.Errorf("the OpenAPI document cannot be used: %w", err)
	}
	problem := model.Model.Components.Schemas.GetOrZero("Problem")
	if problem == nil {
		return nil, errors.New("the OpenAPI document has no schema Problem")
	}
	return &Checker{
		answers: answers, schemas: schema_validation.NewSchemaValidator(config.WithFormatAssertions()), problem: problem.Schema(),
	}, nil
}

// Check says what is wrong with an answer to a request for a target, which is a path and perhaps a query, on any host.
// Nil: nothing. What is neither described nor refused, such as a page, is not looked at.
func (c *Checker) Check(method, target string, status int, header http.Header, body []byte) error {
	like := method
	if method == http.MethodHead {
		like = http.MethodGet // it is described by that
		if len(body) == 0 {
			return nil
		}
	}
	request, err := http.NewRequest(like, target, http.NoBody) //nolint:noctx // it is not sent
	if err != nil {
		return fmt.Errorf("%s %s: %w", method, target, err)
	}
	if strings.HasSuffix(header.Get("Content-Type"), "ndjson") {
		return c.checkLines(request, status, header, body)
	}
	return c.check(request, method, status, header, body)
}

// checkLines looks at each line of JSON by itself: it is what the schema describes. There may be none.
func (c *Checker) checkLines(request *http.Request, status int, header http.Header, body []byte) error {
	for line := range bytes.Lines(body) {
		if err := c.check(request, request.Method, status, header, line); err != nil {
			return err
		}
		if line[len(line)-1] != '\n' {
			return fmt.Errorf("the answer %d to %s %s is cut off within a line: %s", status, request.Method, request.URL, line)
		}
	}
	return nil
}

func (c *Checker) check(request *http.Request, method string, status int, header http.Header, body []byte) error {
	answer := &http.Response{StatusCode: status, Header: header, Body: io.NopCloser(bytes.NewReader(body)), Request: request}
	valid, faults := c.answers.ValidateHttpResponse(request, answer)
	var err error
	switch {
	case valid && len(body) == 0 && header.Get("Content-Type") != "":
		err = errors.New("it is empty") // which the validator takes for a body that need not be there
	case valid:
		return nil
	case !undescribed(faults):
		err = joined(faults)
	case status < 400:
		return nil
	default:
		err = c.checkProblem(header, body)
	}
	if err != nil {
		return fmt.Errorf("the answer %d to %s %s is not as described: %w\n%s", status, method, request.URL, err, body)
	}
	return nil
}

func (c *Checker) checkProblem(header http.Header, body []byte) error {
	if given := header.Get("Content-Type"); given != "application/problem+json" {
		return fmt.Errorf("a refusal is %q", given)
	}
	var decoded any
	if err := json.Unmarshal(body, &decoded); err != nil {
		return err
	}
	if valid, faults := c.schemas.ValidateSchemaObject(c.problem, decoded); !valid {
		return joined(faults)
	}
	return nil
}

// undescribed says that the document knows nothing of the request.
func undescribed(faults []*invalid.ValidationError) bool {
	for _, f := range faults {
		if f.IsPathMissingError() || f.IsOperationMissingError() {
			return true
		}
	}
	return false
}

func joined(faults []*invalid.ValidationError) error {
	var all []string
	for _, f := range faults {
		text := f.Message + ": " + f.Reason
		for _, s := range f.SchemaValidationErrors {
			text += fmt.Sprintf(" [%s at %s]", s.Reason, strings.Join(s.InstancePath, "."))
		}
		all = append(all, text)
	}
	return errors.New(strings.Join(all, "; "))
}
