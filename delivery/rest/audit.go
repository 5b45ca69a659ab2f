package rest

import (
	"context"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/eventstore"
	"github.com/orderlog/orderlog/replay"
	"github.com/orderlog/orderlog/replay/proofs"
)

// Histories tells what happened to orders, and how they stood.
type Histories interface {
	// Both set Seq also when there is no such order.
	History(ctx context.Context, q replay.HistoryQuery) (replay.History, error)
	State(ctx context.Context, orderID uuid.UUID, m replay.Moment) (replay.State, error)
}

// EventSearch finds events.
type EventSearch interface {
	Events(ctx context.Context, q replay.Query) (replay.Page, error)
	// Range is between which seqs a query looks: above after, up to and including to.
	Range(ctx context.Context, q replay.Query) (after, to int64, err error)
	// Each calls each with all events of a query, in order. An event's bytes are good until each returns. An error of
	// each ends it and is returned as it is.
	Each(ctx context.Context, q replay.Query, each func(eventstore.Recorded) error) error
}

// Audit reads the log for auditors; see replay.Log. Its WaitFor waits for the audit.
type Audit interface {
	Histories
	EventSearch
	Progress
}

// Proofs shows that the log is whole; see proofs.Notary.
type Proofs interface {
	// Checkpoint with since > 0 has the proof that it continues the tree of that size.
	Checkpoint(ctx context.Context, since int64) (proofs.Checkpoint, error)
	// Proof answers domain.CodeProjectionBehind for an event that is not in the tree yet.
	Proof(ctx context.Context, seq int64) (proofs.Proof, error)
	// Verification waits for a verification; when ctx ends before, the answer is how far it is.
	Verification(ctx context.Context) (proofs.Verification, error)
}

// noAudit stands for an audit that is not there.
type noAudit struct{}

func errNoAudit() error {
	return problem(domain.CodeUnavailable, "this node does not answer auditors: ask one that was started as app serve")
}

func (noAudit) History(context.Context, replay.HistoryQuery) (replay.History, error) {
	return replay.History{}, errNoAudit()
}

func (noAudit) State(context.Context, uuid.UUID, replay.Moment) (replay.State, error) {
	return replay.State{}, errNoAudit()
}

func (noAudit) Events(context.Context, replay.Query) (replay.Page, error) {
	return replay.Page{}, errNoAudit()
}

func (noAudit) Range(context.Context, replay.Query) (after, to int64, err error) {
	return 0, 0, errNoAudit()
}

func (noAudit) Each(context.Context, replay.Query, func(eventstore.Recorded) error) error {
	return errNoAudit()
}

func (noAudit) WaitFor(context.Context, int64) error { return errNoAudit() }

// noProofs stands for proofs that are not there.
type noProofs struct{}

func errNoProofs() error {
	return problem(domain.CodeUnavailable, "this node proves nothing: the operator must set AUDIT_KEY, or DATA_DIR where a key can be kept, "+
		"and CHECKPOINT_DIR where checkpoints can be written")
}

func (noProofs) Checkpoint(context.Context, int64) (proofs.Checkpoint, error) {
	return proofs.Checkpoint{}, errNoProofs()
}

func (noProofs) Proof(context.Context, int64) (proofs.Proof, error) {
	return proofs.Proof{}, errNoProofs()
}

func (noProofs) Verification(context.Context) (proofs.Verification, error) {
	return proofs.Verification{}, errNoProofs()
}

// nameSchema names the schemas of the document. What is answered just as replay and its proofs have it is named after
// the audit: others have an Entry and a Problem, too.
func nameSchema(t reflect.Type, hint string) string {
	name := huma.DefaultSchemaNamer(t, hint)
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if strings.Contains(t.PkgPath()+"/", "/orderlog/replay/") {
		return "Audit" + name
	}
	return name
}

type historyInput struct {
	OneValueEach
	ByID
	MinSeq
	Limit   int   `query:"limit" minimum:"1" maximum:"200" doc:"The most events to answer. Absent: up to 1000."`
	Cursor  int64 `query:"cursor" minimum:"0" doc:"next of the page before; none for the first page."`
	Changes bool  `query:"changes" doc:"true: each entry also has changes, which are what its event changed in the order's state."`
}

type historyBody struct {
	OrderID uuid.UUID      `json:"orderId" format:"uuid"`
	Log     uuid.UUID      `json:"log" format:"uuid" doc:"The id of the log the seqs belong to."`
	Items   []replay.Entry `json:"items" nullable:"false"`
	Next    *string        `json:"next" doc:"The cursor of the next page; null on the last."`
}

type stateInput struct {
	OneValueEach
	ByID
	MinSeq
	Seq int64               `query:"seq" minimum:"1" doc:"As it was with every event up to this one and none after."`
	At  optional[time.Time] `query:"at" doc:"As it was at this time."`
}

func (s *server) audit(api huma.API) {
	tags := []string{"Audit"}
	register(s, api, huma.Operation{
		OperationID: "get-order-history", Method: http.MethodGet, Path: prefix + "/audit/orders/{id}", Tags: tags,
		Summary: "What happened to an order, in order of seq",
		Description: "Every event of the order, of its payments and of its delivery: what, when, by whom, from which request and why. " +
			"data and meta are as they are in the log. " + oneValueEach,
		RejectUnknownQueryParameters: true,
	}, admins, s.orderHistory)
	register(s, api, huma.Operation{
		OperationID: "get-order-state", Method: http.MethodGet, Path: prefix + "/audit/orders/{id}/state", Tags: tags,
		Summary: "An order as it was",
		Description: "At a seq, at a time, or now. It is made out of the events alone, and has the members of the order as it was read then, " +
			"and its payments. X-Seq, and the member seq, are that of the moment; at is when the event with that seq was recorded. " +
			"An order that had not been placed yet is 404. A seq that the log does not reach is 400. " + oneValueEach,
		RejectUnknownQueryParameters: true,
	}, admins, s.orderState)
	s.auditEvents(api, tags)
	s.auditProofs(api, tags)
}

func (s *server) orderHistory(ctx context.Context, _ *call, in *historyInput) (*read[historyBody], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Audit.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Audit.History(ctx, replay.HistoryQuery{OrderID: in.ID, After: in.Cursor, Limit: in.Limit, Changes: in.Changes})
	if err != nil {
		return nil, asOf(found.Seq, err)
	}
	body := historyBody{OrderID: in.ID, Log: found.LogID, Items: found.Entries, Next: cursorOf(found.Next)}
	if body.Items == nil {
		body.Items = []replay.Entry{}
	}
	return &read[historyBody]{Seq: found.Seq, Body: body}, nil
}

func (s *server) orderState(ctx context.Context, _ *call, in *stateInput) (*read[replay.State], error) {
	if in.Seq != 0 && in.At.given {
		return nil, domain.Invalid("at", "must not be given together with seq: each names a moment")
	}
	at, err := timeOf("at", in.At)
	if err != nil {
		return nil, err
	}
	if err := s.wait(ctx, in.MinSeq, s.cfg.Audit.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Audit.State(ctx, in.ID, replay.Moment{Seq: in.Seq, At: at})
	if err != nil {
		return nil, asOf(found.Seq, err)
	}
	return &read[replay.State]{Seq: found.Seq, Body: found}, nil
}

// timeOf is a time that was given, or the zero time.
func timeOf(field string, given optional[time.Time]) (time.Time, error) {
	if given.given && given.value.IsZero() { // which would be taken for none
		return time.Time{}, domain.Invalid(field, "must be a time after the first moment of the year 1")
	}
	return given.value.UTC(), nil
}

// cursorOf is the After of a next page as lists have it.
func cursorOf(next int64) *string {
	if next == 0 {
		return nil
	}
	text := strconv.FormatInt(next, 10)
	return &text
}
