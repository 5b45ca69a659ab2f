package rest

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"golang.org/x/sync/singleflight"
)

const (
	healthPath = "/health"
	readyPath  = "/ready"

	readinessTimeout = 3 * time.Second
)

type healthBody struct {
	Status string `json:"status" enum:"ok"`
}

type readyBody struct {
	Status     string      `json:"status" enum:"ready,not_ready"`
	Components []Component `json:"components" nullable:"false"`
}

type readyAnswer struct {
	Status int
	Body   readyBody
}

func (s *server) health(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-health", Method: http.MethodGet, Path: healthPath, Tags: []string{"Operation"},
		Summary: "Whether the process is alive",
	}, everybody, func(context.Context, *call, *struct{}) (*struct{ Body healthBody }, error) {
		return &struct{ Body healthBody }{healthBody{Status: "ok"}}, nil
	})
	register(s, api, huma.Operation{
		OperationID: "get-readiness", Method: http.MethodGet, Path: readyPath, Tags: []string{"Operation"},
		Summary:     "Whether the program should get requests",
		Description: "200 when every part is ready, else 503; the parts are listed either way.",
		Responses: map[string]*huma.Response{"503": {
			Description: "Some part is not ready.",
			Content: map[string]*huma.MediaType{"application/json": {
				Schema: api.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[readyBody](), true, "ReadyBody"),
			}},
		}},
	}, everybody, func(ctx context.Context, c *call, _ *struct{}) (*readyAnswer, error) {
		found, err := s.readiness(ctx)
		out := &readyAnswer{Status: http.StatusOK, Body: readyBody{Status: "ready", Components: found.Components}}
		if out.Body.Components == nil {
			out.Body.Components = []Component{}
		}
		if err != nil {
			s.cfg.Logger.WarnContext(ctx, "readiness could not be told", "request", c.id, "error", err)
		}
		if err != nil || !found.Ready {
			out.Status, out.Body.Status = http.StatusServiceUnavailable, "not_ready"
		}
		return out, nil
	})
}

// readyLook is shared by all who ask at the same time: the question is not rate-limited, and must not cost the
// database more the more often it is asked.
type readyLook struct{ flight singleflight.Group }

func (s *server) readiness(ctx context.Context) (Readiness, error) {
	found, err, _ := s.ready.flight.Do("", func() (any, error) {
		// Whoever asked first may leave; the others still want to know.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readinessTimeout)
		defer cancel()
		return s.cfg.Ready.Ready(ctx)
	})
	r, _ := found.(Readiness)
	return r, err
}
