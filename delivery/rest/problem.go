package rest

import (
	"encoding/json"
	"errors"
	"maps"
	"net/http"
	"reflect"
	"strings"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/validation"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// Problem is the body of every refusal: RFC 9457, with the stable code. What a refusal says beyond that, such as the
// allowed statuses, is in members of its own.
type Problem struct {
	_      struct{}    `json:"-" additionalProperties:"true"`
	Type   string      `json:"type" doc:"Always about:blank; the code tells problems apart."`
	Title  string      `json:"title" doc:"The status in words."`
	Status int         `json:"status" doc:"The HTTP status."`
	Code   domain.Code `json:"code" doc:"Stable and meant for programs, such as invalid_transition."`
	Detail string      `json:"detail,omitempty" doc:"For people: what is wrong and what to do."`
	Errors []Fault     `json:"errors,omitempty" doc:"What is wrong with the request, one entry for each fault."`

	members map[string]any
	headers http.Header
}

// Fault is one thing that is wrong with a request.
type Fault struct {
	Location string `json:"location" doc:"Where, such as body.items[0].quantity or query.limit."`
	Message  string `json:"message" doc:"What it must be."`
}

// Huma makes its errors through a variable, which is the only way to give them another shape, and tells through
// another whether "IsOpen" passes for a required "isOpen"; here it does not.
func init() {
	huma.ValidateStrictCasing = true
	validation.MsgUnexpectedProperty = "there is no such field: leave it out, or see /docs for how it is called"
	huma.NewError = func(status int, message string, errs ...error) huma.StatusError {
		return fromHuma(status, message, errs)
	}
}

// problem makes the body of a refusal with a code.
func problem(code domain.Code, detail string) *Problem {
	status := delivery.OutcomeOf(code)
	p := &Problem{Type: "about:blank", Title: http.StatusText(status.Status), Status: status.Status, Code: code, Detail: detail}
	if status.Retry && status.Status != http.StatusConflict {
		p.set("Retry-After", "1")
	}
	return p
}

func (p *Problem) set(header, value string) *Problem {
	if p.headers == nil {
		p.headers = http.Header{}
	}
	p.headers.Set(header, value)
	return p
}

func (p *Problem) at(location, message string) *Problem {
	p.Errors = append(p.Errors, Fault{Location: location, Message: message})
	return p
}

func (p *Problem) with(member string, value any) *Problem {
	if p.members == nil {
		p.members = map[string]any{}
	}
	p.members[member] = value
	return p
}

// Error is the detail.
func (p *Problem) Error() string { return p.Detail }

// GetStatus is the HTTP status.
func (p *Problem) GetStatus() int { return p.Status }

// GetHeaders are headers the refusal needs, such as Retry-After.
func (p *Problem) GetHeaders() http.Header { return p.headers }

// ContentType marks the body as a problem.
func (p *Problem) ContentType(string) string { return problemType }

const problemType = "application/problem+json"

// MarshalJSON writes the extension members beside the others, which they cannot replace.
func (p *Problem) MarshalJSON() ([]byte, error) {
	all := maps.Clone(p.members)
	if all == nil {
		all = map[string]any{}
	}
	maps.Copy(all, map[string]any{"type": p.Type, "title": p.Title, "status": p.Status, "code": p.Code})
	delete(all, "detail")
	delete(all, "errors")
	if p.Detail != "" {
		all["detail"] = p.Detail
	}
	if len(p.Errors) > 0 {
		all["errors"] = p.Errors
	}
	return json.Marshal(all)
}

func (p *Problem) write(w http.ResponseWriter) {
	maps.Copy(w.Header(), p.headers)
	w.Header().Set("Content-Type", problemType)
	w.WriteHeader(p.Status)
	_ = json.NewEncoder(w).Encode(p) // a client that is gone cannot be told
}

// fromHuma gives huma's own errors, which are about the form of a request, a code. What it found at a location is
// kept, the value there is not: it may be long, or a secret.
func fromHuma(status int, message string, errs []error) *Problem {
	var p *Problem
	switch {
	case status == http.StatusUnsupportedMediaType:
		p = problem(delivery.CodeUnsupportedMediaType, "the body must be JSON: send Content-Type: application/json")
	case status == http.StatusRequestEntityTooLarge:
		p = problem(domain.CodeMessageTooLarge, message)
	case status >= 400 && status < 500:
		p = problem(domain.CodeInvalidRequest, "the request is not valid: "+message)
	default:
		return problem(domain.CodeInternal, internalDetail)
	}
	for _, err := range errs {
		var detailer huma.ErrorDetailer
		if errors.As(err, &detailer) {
			d := detailer.ErrorDetail()
			p.at(d.Location, inOurWords(d))
		} else if err != nil {
			p.at("", err.Error())
		}
	}
	if len(p.Errors) > 0 {
		p.Detail = "the request is not valid: " + strings.TrimPrefix(p.Errors[0].Location+": ", ": ") + p.Errors[0].Message
	}
	return p
}

// inOurWords is what is wrong, where huma says it in words that say nothing to those who only know the API.
func inOurWords(d *huma.ErrorDetail) string {
	switch {
	case strings.HasPrefix(d.Message, "invalid date/time for format"):
		const must = "must be a time as RFC 3339 has it, such as 2026-01-31T18:30:00Z"
		if text, ok := d.Value.(string); ok && strings.HasPrefix(d.Location, "query.") && strings.Contains(text, " ") {
			return must + ": in a query + stands for a space, so write a + as %2B"
		}
		return must
	case d.Message == "unknown query parameter":
		return "there is no such parameter: leave it out, or see /docs for how it is called"
	}
	return d.Message
}

const internalDetail = "something went wrong here; the operator finds it in the log by the X-Request-Id of this answer"

// asProblem turns any error into the refusal a client sees. unexpected says that it is one the operator should see.
func asProblem(err error, method string) (p *Problem, unexpected bool) {
	var refusal *domain.Error
	switch {
	case errors.As(err, &p):
		return p, false
	case errors.As(err, &refusal):
		return fromDomain(refusal, method), refusal.Code == domain.CodeInternal
	case errors.Is(err, auth.ErrTokenExpired):
		return unauthenticated(delivery.CodeTokenExpired, "the token has expired: get a new one"), false
	case errors.Is(err, auth.ErrUnauthenticated):
		return unauthenticated(domain.CodeUnauthenticated, strings.TrimPrefix(err.Error(), auth.ErrUnauthenticated.Error()+": ")), false
	case errors.Is(err, auth.ErrUnavailable), outOfReach(err):
		return problem(domain.CodeUnavailable, "the service cannot answer now: try again in a moment"), true
	default:
		return problem(domain.CodeInternal, internalDetail), true
	}
}

func fromDomain(refusal *domain.Error, method string) *Problem {
	p := problem(refusal.Code, refusal.Message)
	if refusal.Code == domain.CodeInternal {
		p.Detail = internalDetail
		return p
	}
	for member, value := range refusal.Details {
		p.with(member, value)
	}
	if field, ok := refusal.Details["field"].(string); ok && refusal.Code == domain.CodeInvalidRequest {
		p.at(locationOf(field, method), strings.TrimPrefix(refusal.Message, field+" "))
	}
	if refusal.Code == domain.CodeUnauthenticated {
		p.set("WWW-Authenticate", challenge)
	}
	return p
}

// locationOf is where a field of a request is.
func locationOf(field, method string) string {
	switch {
	case field == "body":
		return field
	case field == lastEventID:
		return "header." + field
	case method == http.MethodGet, method == http.MethodHead:
		return "query." + field
	}
	return "body." + field
}

// unauthenticated names the scheme as RFC 6750 asks; the error only when there was a token to find fault with.
func unauthenticated(code domain.Code, detail string) *Problem {
	fault := challenge + `, error="invalid_token"`
	if code == delivery.CodeTokenExpired {
		fault += `, error_description="the token has expired"`
	}
	return problem(code, detail).set("WWW-Authenticate", fault)
}

// challenge names the scheme by which clients are let in.
const challenge = `Bearer realm="orderlog"`

func errNoToken() *Problem {
	return problem(domain.CodeUnauthenticated, "a token is needed: send Authorization: Bearer TOKEN").
		set("WWW-Authenticate", challenge)
}

var problemGoType = reflect.TypeFor[Problem]()
