package rest

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/replay"
)

// A page of events is as long as that of any list. An export has no bound but the log's end.
const (
	eventsByDefault = 50
	mostEvents      = 200
)

type eventsInput struct {
	MinSeq
	After  int64               `query:"after" minimum:"0" doc:"Events behind this seq."`
	Cursor int64               `query:"cursor" minimum:"0" doc:"next of the page before, as of any list: the same as after. The greater of both counts."`
	To     int64               `query:"to" minimum:"1" doc:"Events up to this seq, and with it."`
	Types  []string            `query:"type,explode" doc:"Names of event types, such as order.placed, each of which stands for all its versions. Several may be given, with commas or as several parameters."`
	Stream string              `query:"stream" doc:"A stream as TYPE/UUID, or all streams of a UUID."`
	Actor  string              `query:"actor" doc:"The user id of who caused the event."`
	Since  optional[time.Time] `query:"since" doc:"Recorded at this time or after it."`
	Until  optional[time.Time] `query:"until" doc:"Recorded before this time."`
	Limit  int64               `query:"limit" minimum:"1" doc:"The most events to answer: 1 to 200 for a page, 50 when absent; any number for an export, and all when absent."`

	lines string // the type to export as; empty: a page is wanted
}

// Resolve looks at what huma does not: what the client takes, and how it says what it wants.
func (in *eventsInput) Resolve(ctx huma.Context) []error {
	r, _ := humago.Unwrap(ctx)
	in.lines = acceptedLines(r.Header.Values("Accept"))
	faults := queryFaults(r.URL.RawQuery, "type")
	in.Types = nil
	for _, v := range r.URL.Query()["type"] {
		in.Types = append(in.Types, strings.Split(v, ",")...)
	}
	if in.lines != "" {
		faults = append(faults, exportFaults(r)...)
	}
	if in.lines == "" && in.Limit > mostEvents {
		faults = append(faults, &huma.ErrorDetail{Location: "query.limit", Message: "must be 1 to 200: ask for more pages, or for all with Accept: " + ndjsonType})
	}
	return faults
}

func (in *eventsInput) query() (replay.Query, error) {
	q := replay.Query{After: max(in.After, in.Cursor), To: in.To, Types: in.Types, Stream: in.Stream, Actor: in.Actor}
	var err error
	if q.Since, err = timeOf("since", in.Since); err != nil {
		return q, err
	}
	if q.Until, err = timeOf("until", in.Until); err != nil {
		return q, err
	}
	switch {
	case q.To > 0 && q.After > q.To:
		return q, domain.Invalid("after", "must not be greater than to")
	case in.Since.given && in.Until.given && q.Since.After(q.Until):
		return q, domain.Invalid("since", "must not be after until")
	}
	if err := domain.CheckLine("stream", q.Stream, 0, mostStream); err != nil {
		return q, err
	}
	return q, domain.CheckLine("actor", q.Actor, 0, domain.MaxUserID)
}

// mostStream is longer than the name of any stream.
const mostStream = 200

// eventsAnswer is a page or an export.
type eventsAnswer struct {
	Seq  int64 `header:"X-Seq" doc:"The search covers every event up to this one and none after. An export ends there."`
	Body func(huma.Context)
}

// auditEvent describes an event; what is sent is its canonical bytes.
type auditEvent struct {
	Seq     int64          `json:"seq" minimum:"1"`
	ID      uuid.UUID      `json:"id"`
	Stream  string         `json:"stream" doc:"TYPE/UUID" example:"order/0190c0de-0000-7000-8000-000000000001"`
	Version int64          `json:"version" minimum:"1" doc:"The event's place in its stream."`
	Type    string         `json:"type" doc:"As it is stored: from the second version of a type on the name ends in .v2 and so on." example:"order.placed"`
	At      time.Time      `json:"at" doc:"When it was recorded."`
	Data    map[string]any `json:"data" nullable:"false"`
	Meta    map[string]any `json:"meta" nullable:"false" doc:"Who asked, from where, and in which request."`
}

func (s *server) auditEvents(api huma.API, tags []string) {
	schemas := api.OpenAPI().Components.Schemas
	content := map[string]*huma.MediaType{jsonType: {Schema: schemas.Schema(reflect.TypeFor[list[auditEvent]](), true, "")}}
	for _, lines := range ndjsonTypes {
		content[lines] = &huma.MediaType{Schema: schemas.Schema(reflect.TypeFor[auditEvent](), true, "")}
	}
	register(s, api, huma.Operation{
		OperationID: "search-events", Method: http.MethodGet, Path: prefix + "/audit/events", Tags: tags,
		Summary: "Events of the log, in order of seq",
		Description: "A page; or, with Accept: " + ndjsonType + " (or application/ndjson), an export: a stream of all of them, one a line, up to where the log " +
			"was when it began. The items of a page and the lines of an export are the canonical bytes of the events, of which the leaves " +
			"of the Merkle tree are made: an event is the same wherever it is read, byte for byte.\n\n" +
			"An export that cannot be brought to its end is broken off, which any client for HTTP reports. Go on after the seq of the last " +
			"whole line. By HTTP/1.0, where that would look like the end, there are no exports: 400. A node makes 4 exports at a time.\n\n" +
			oneValueEach + " Only type may be given several times.",
		Responses: map[string]*huma.Response{
			"200": {Description: "The events: a page; or lines, each of which is an event as the schema of " + ndjsonType + " has it.", Content: content},
			"503": {Description: "overloaded: as many exports are under way as the node makes at a time. projection_behind, unavailable."},
		},
		RejectUnknownQueryParameters: true,
	}, admins, s.searchEvents)
}

func (s *server) searchEvents(ctx context.Context, _ *call, in *eventsInput) (*eventsAnswer, error) {
	q, err := in.query()
	if err != nil {
		return nil, err
	}
	if err := s.wait(ctx, in.MinSeq, s.cfg.Audit.WaitFor); err != nil {
		return nil, err
	}
	if in.lines != "" {
		return s.exportEvents(ctx, q, in)
	}
	q.Limit = eventsByDefault
	if in.Limit > 0 {
		q.Limit = int(in.Limit)
	}
	found, err := s.cfg.Audit.Events(ctx, q)
	if err != nil {
		return nil, err
	}
	body := list[json.RawMessage]{Items: make([]json.RawMessage, len(found.Events)), Next: cursorOf(found.Next)}
	for i, e := range found.Events {
		body.Items[i] = e.AppendCanonical(nil)
	}
	return &eventsAnswer{Seq: found.Seq, Body: func(ctx huma.Context) {
		ctx.AppendHeader("Vary", "Accept")
		ctx.SetHeader("Content-Type", jsonType)
		ctx.SetStatus(http.StatusOK)
		// Not json.Marshal, which would write < > & and two more in another way. A client that is gone cannot be told.
		_ = huma.DefaultJSONFormat.Marshal(ctx.BodyWriter(), body)
	}}, nil
}

// exportEvents settles what an export has before it begins: whether the query is one, and where it ends.
func (s *server) exportEvents(ctx context.Context, q replay.Query, in *eventsInput) (*eventsAnswer, error) {
	first := q
	first.Limit = 1
	found, err := s.cfg.Audit.Events(ctx, first)
	if err != nil {
		return nil, err
	}
	if q.To == 0 || q.To > found.Seq {
		q.To = found.Seq
	}
	if !q.Since.IsZero() || !q.Until.IsZero() { // which are between two seqs, once and for all
		after, to, err := s.cfg.Audit.Range(ctx, q)
		if err != nil {
			return nil, err
		}
		q.After, q.To, q.Since, q.Until = after, min(to, q.To), time.Time{}, time.Time{}
	}
	return &eventsAnswer{Seq: found.Seq, Body: func(ctx huma.Context) {
		r, w := humago.Unwrap(ctx)
		w.Header().Add("Vary", "Accept")
		s.export(w, r, in.lines, func(ctx context.Context, out handOver) error {
			if len(found.Events) == 0 { // and To is perhaps 0, which means no end
				return nil
			}
			return s.walk(ctx, q, in.Limit, out)
		})
	}}, nil
}
