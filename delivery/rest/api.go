package rest

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/apischema"
)

const bearer = "bearer"

func (s *server) newAPI() huma.API {
	config := huma.DefaultConfig("Orderlog", s.cfg.Version)
	config.Info.Description = apiDescription
	config.CreateHooks = nil // no $schema in answers
	config.SchemasPath = ""
	config.DocsPath = "" // pages serves them
	config.Components.Schemas = huma.NewMapRegistry(apischema.Prefix, nameSchema)
	config.Components.SecuritySchemes = map[string]*huma.SecurityScheme{
		bearer: {Type: "http", Scheme: bearer, BearerFormat: "JWT", Description: "The claims sub, role and exp are required."},
	}
	format := huma.Format{Marshal: huma.DefaultJSONFormat.Marshal, Unmarshal: unmarshal}
	config.Formats = map[string]huma.Format{"application/json": format, "json": format}
	return humago.New(ownDescription{s.mux}, config)
}

// ownDescription keeps huma from serving the API's description, which it makes at the first request without a lock and
// without looking at the error; describe has it made once.
type ownDescription struct{ *http.ServeMux }

// HandleFunc registers everything but the description.
func (m ownDescription) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	if !strings.HasPrefix(pattern, "GET /openapi") {
		m.ServeMux.HandleFunc(pattern, handler)
	}
}

func (s *server) describe(api huma.API) {
	spec := api.OpenAPI()
	apischema.Narrow(spec.Components.Schemas)
	requireSeq(spec)
	s.document("GET /openapi.json", "application/openapi+json", func() ([]byte, error) { return json.Marshal(spec) })
	s.document("GET /openapi.yaml", "application/openapi+yaml", spec.YAML)
	s.pages()
}

// document serves what takes some time to make and never changes: it is made when first asked for.
func (s *server) document(pattern, contentType string, made func() ([]byte, error)) {
	once := sync.OnceValues(made)
	s.mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
		content, err := once()
		if err != nil {
			s.refuse(w, r, fmt.Errorf("describe the API: %w", err))
			return
		}
		w.Header().Set("Content-Type", contentType)
		_, _ = w.Write(content)
	})
}

// requireSeq says of every answer, other than a refusal, that has X-Seq that it always does, which a Go type cannot say.
func requireSeq(spec *huma.OpenAPI) {
	for _, path := range spec.Paths {
		for _, op := range []*huma.Operation{path.Get, path.Post, path.Patch, path.Put, path.Delete} {
			if op == nil {
				continue
			}
			for status, response := range op.Responses {
				if header := response.Headers["X-Seq"]; header != nil && strings.HasPrefix(status, "2") {
					header.Required = true
				}
			}
		}
	}
}

// unmarshal is the JSON decoder with errors that name the client's fields and not the program's types.
func unmarshal(data []byte, into any) error {
	err := json.Unmarshal(data, into)
	if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) {
		return fmt.Errorf("%s cannot be %s", cmp.Or(wrong.Field, "a value"), wrong.Value)
	}
	return err
}

// access says who may call an operation.
type access struct {
	public bool
	roles  []domain.Role // empty: every role
}

var (
	everybody = access{public: true}
	anyRole   = access{}
	admins    = access{roles: []domain.Role{domain.RoleAdmin}}
	customers = access{roles: []domain.Role{domain.RoleCustomer}}
)

func (a access) check(c *call) error {
	if a.public {
		return nil
	}
	if c.identity == nil {
		return errNoToken()
	}
	if len(a.roles) > 0 && !slices.Contains(a.roles, c.identity.Role) {
		names := make([]string, len(a.roles))
		for i, role := range a.roles {
			names[i] = string(role)
		}
		return problem(domain.CodeForbidden, "this is for the role "+strings.Join(names, " or ")).with("roles", names)
	}
	return nil
}

// register adds an operation. Who may call it is checked before its input is, so that nobody learns from the faults in
// a request they may not make.
func register[I, O any](s *server, api huma.API, op huma.Operation, who access, run func(context.Context, *call, *I) (*O, error)) {
	if !who.public {
		op.Security = []map[string][]string{{bearer: {}}}
	}
	op.Middlewares = append(op.Middlewares, func(ctx huma.Context, next func(huma.Context)) {
		c := callOf(ctx.Context())
		if err := cmp.Or(who.check(c), c.form); err != nil {
			r, w := humago.Unwrap(ctx)
			s.refuse(w, r, err)
			return
		}
		next(ctx)
	})
	op.Responses = describeRefusals(api, op.Responses)
	huma.Register(api, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := run(ctx, callOf(ctx), in)
		if err != nil {
			return nil, s.explain(ctx, err)
		}
		return out, nil
	})
}

// describeRefusals gives each described refusal, and the default one, its body, unless it has one of its own. What is
// described and is no refusal stays as it is.
func describeRefusals(api huma.API, described map[string]*huma.Response) map[string]*huma.Response {
	all := map[string]*huma.Response{"default": {Description: "A refusal; its code says which."}}
	for status, response := range described {
		all[status] = response
	}
	schema := api.OpenAPI().Components.Schemas.Schema(problemGoType, true, "Problem")
	whole := &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	for status, response := range all {
		if strings.HasPrefix(status, "2") {
			continue
		}
		response.Headers = map[string]*huma.Param{
			"X-Seq":       {Schema: whole, Description: "Of what is not there, or not the caller's: up to which seq that is so."},
			"Retry-After": {Schema: whole, Description: "Where the same request may succeed later: in how many seconds."},
		}
		if response.Content != nil {
			continue
		}
		response.Content = map[string]*huma.MediaType{problemType: {Schema: schema}}
	}
	return all
}

const apiDescription = `The REST side of Orderlog.

Every answer from a read model carries X-Seq: it includes every event up to that number and none after. Read, then
subscribe with lastSeq set to it, and nothing is missed. A command's X-Seq is that of its last event; give it as min_seq
to the next read to see what was just changed.

Errors are application/problem+json (RFC 9457) with a stable code.

A field of a body that is not described here is refused, and nothing is done: it may be a misspelled one. Prices and sums may
be sent with an order and change nothing. The payment provider may send more fields than are described.

POST, PATCH and DELETE accept Idempotency-Key: the same key, user and bytes are answered again with
Idempotent-Replayed: true; the same key with anything else is 422 idempotency_mismatch.

Who asks too often is answered 429 rate_limited, and Retry-After says in how many seconds the next request gets through.

Lists answer {items, next}. next is an opaque cursor for the next page, null on the last. A cursor stays good while
entries are added.`
