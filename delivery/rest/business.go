package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/business"
)

type businessStatusInput struct {
	Repeatable
	Body struct {
		IsOpen  bool   `json:"isOpen"`
		Message string `json:"message,omitempty" maxLength:"500" doc:"What customers are told; a default when empty."`
	}
}

func (s *server) business(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "get-business", Method: http.MethodGet, Path: prefix + "/business", Tags: []string{"Business"},
		Summary: "Whether orders are taken",
	}, everybody, func(ctx context.Context, _ *call, in *MinSeq) (*read[business.Business], error) {
		if err := s.wait(ctx, *in, s.cfg.Views.WaitFor); err != nil {
			return nil, err
		}
		found, seq, err := s.cfg.Views.Business(ctx)
		if found.Version == 0 && s.cfg.BusinessName != "" { // no event has named it yet
			found.BusinessName = s.cfg.BusinessName
		}
		return &read[business.Business]{Seq: seq, Body: found}, err
	})
	register(s, api, huma.Operation{
		OperationID: "set-business-status", Method: http.MethodPatch, Path: prefix + "/business/status", Tags: []string{"Business"},
		Summary:     "Open or close",
		Description: "Announced to everybody, also when the business already was as asked.",
	}, admins, func(ctx context.Context, c *call, in *businessStatusInput) (*done[business.Business], error) {
		return answerOf(s.cfg.Commands.SetBusinessStatus(ctx, c.request(), commands.SetBusinessStatus{
			IsOpen: in.Body.IsOpen, BusinessName: s.cfg.BusinessName, Message: in.Body.Message,
		}))
	})
}
