package rest

import (
	"context"
	"errors"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/replay/proofs"
)

type verifyInput struct {
	OneValueEach
	MinSeq
}

// verifyAnswer is a proofs.Report, or how far a verification is.
type verifyAnswer struct {
	Status     int
	Seq        int64  `header:"X-Seq" doc:"The verification covers every event up to this one and none after."`
	RetryAfter string `header:"Retry-After" hidden:"true"`
	Body       any
}

// verifyingBody is a verification that is under way.
type verifyingBody struct {
	Running bool  `json:"running" enum:"true"`
	Checked int64 `json:"checked" doc:"How many events were checked so far."`
	Of      int64 `json:"of" doc:"How many there are to check."`
}

type checkpointInput struct {
	OneValueEach
	MinSeq
	Since int64 `query:"since" minimum:"0" doc:"The seq of an earlier checkpoint: the answer has consistency, the proof that it continues that one's tree, which is empty for the same tree. Absent or 0: no proof."`
}

type proofInput struct {
	OneValueEach
	MinSeq
	Seq int64 `path:"seq" minimum:"1" doc:"The event's seq."`
}

func (s *server) auditProofs(api huma.API, tags []string) {
	schemas := api.OpenAPI().Components.Schemas
	json := func(t reflect.Type) map[string]*huma.MediaType {
		return map[string]*huma.MediaType{jsonType: {Schema: schemas.Schema(t, true, "")}}
	}
	whole := &huma.Schema{Type: huma.TypeInteger, Format: "int64"}
	register(s, api, huma.Operation{
		OperationID: "verify-log", Method: http.MethodGet, Path: prefix + "/audit/verify", Tags: tags,
		Summary: "Whether the log is whole and unchanged",
		Description: "Everything is recomputed from the events and compared with the Merkle tree and with the checkpoints that were " +
			"exported. One verification runs at a time, and who asks meanwhile waits for the same one. It takes about a second for " +
			"some hundred thousand events: when it takes longer than a request should, ask again for its outcome. " + oneValueEach,
		Responses: map[string]*huma.Response{
			"200": {
				Description: "The outcome: ok says whether all is well. firstBadSeq is the first event of which something is wrong.",
				Content:     json(reflect.TypeFor[proofs.Report]()),
			},
			"202": {Description: "It is not over yet.", Content: json(reflect.TypeFor[verifyingBody]()), Headers: map[string]*huma.Param{
				"X-Seq":       {Schema: whole, Description: "What is verified are the events up to this one."},
				"Retry-After": {Schema: whole, Description: "In how many seconds to ask again."},
			}},
			"503": {Description: "unavailable: the node has no settings to prove anything by, as the detail says. projection_behind."},
		},
		RejectUnknownQueryParameters: true,
	}, admins, s.verify)
	register(s, api, huma.Operation{
		OperationID: "get-checkpoint", Method: http.MethodGet, Path: prefix + "/audit/checkpoint", Tags: tags,
		Summary: "The log's signed head",
		Description: "The newest checkpoint, made now if the log has grown: note is the signed text, as C2SP's tlog-checkpoint has it, and the other " +
			"members say what is in it. Who keeps it can show later that the log was changed since. " + oneValueEach,
		Responses: map[string]*huma.Response{
			"503": {Description: "unavailable: the node has no key to sign with, or found a reason not to sign; the detail says which. projection_behind."},
		},
		RejectUnknownQueryParameters: true,
	}, admins, s.checkpoint)
	register(s, api, huma.Operation{
		OperationID: "prove-event", Method: http.MethodGet, Path: prefix + "/audit/events/{seq}/proof", Tags: tags,
		Summary: "The proof that an event is in the log",
		Description: "event is the canonical bytes of the event. Their RFC 6962 leaf hash and the hashes of proof, from the leaf up, lead to the root " +
			"that the checkpoint signs. " + oneValueEach,
		Responses: map[string]*huma.Response{
			"404": {Description: "not_found: the log does not reach that seq."},
			"503": {Description: "projection_behind: the event is not in the tree yet; try again in a moment. unavailable: as of the checkpoint."},
		},
		RejectUnknownQueryParameters: true,
	}, admins, s.prove)
}

func (s *server) verify(ctx context.Context, c *call, in *verifyInput) (*verifyAnswer, error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Audit.WaitFor); err != nil {
		return nil, err
	}
	c.place.Leave() // one verification is under way for all who wait for it
	ctx, cancel := context.WithTimeout(ctx, s.cfg.VerifyWait)
	defer cancel()
	found, err := s.cfg.Proofs.Verification(ctx)
	if err == nil && found.Done && found.Report.Head < in.seq() {
		found, err = s.cfg.Proofs.Verification(ctx) // that one had begun before the log was as long; the next had not
	}
	if err != nil {
		return nil, err
	}
	if !found.Done {
		return &verifyAnswer{
			Status: http.StatusAccepted, Seq: found.Of, RetryAfter: "1",
			Body: verifyingBody{Running: true, Checked: found.Checked, Of: found.Of},
		}, nil
	}
	report := found.Report
	if report.Problems == nil {
		report.Problems = []proofs.Problem{}
	}
	return &verifyAnswer{Status: http.StatusOK, Seq: report.Head, Body: report}, nil
}

func (s *server) checkpoint(ctx context.Context, _ *call, in *checkpointInput) (*read[proofs.Checkpoint], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Audit.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Proofs.Checkpoint(ctx, in.Since)
	if err != nil {
		return nil, err
	}
	return &read[proofs.Checkpoint]{Seq: found.Seq, Body: found}, nil
}

func (s *server) prove(ctx context.Context, _ *call, in *proofInput) (*read[proofs.Proof], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Audit.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Proofs.Proof(ctx, in.Seq)
	if refusal := (*domain.Error)(nil); errors.As(err, &refusal) && refusal.Code == domain.CodeProjectionBehind {
		if err := s.wait(ctx, MinSeq{Query: in.Seq}, s.cfg.Audit.WaitFor); err != nil {
			return nil, err
		}
		found, err = s.cfg.Proofs.Proof(ctx, in.Seq)
	}
	if err != nil {
		return nil, err
	}
	if found.Proof == nil {
		found.Proof = []string{}
	}
	return &read[proofs.Proof]{Seq: found.TreeSize, Body: found}, nil
}
