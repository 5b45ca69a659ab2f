package rest

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
)

// Events tells clients of what happens, for as long as they listen.
type Events interface {
	// Serve answers GET and HEAD of /api/v1/events, a GET until the stream ends. user is whom the request's token speaks
	// for, nil without a token; remoteAddr is the client's address without a port. r's context ends when the client
	// leaves, and not when a request's time is over. An error says that nothing was written, and is answered as any
	// other's.
	Serve(w http.ResponseWriter, r *http.Request, user *auth.Identity, remoteAddr string) error
}

// Tickets stand for a token where no header can be sent.
type Tickets interface {
	// Issue makes a ticket for a user, that opens one stream until expires.
	Issue(ctx context.Context, user auth.Identity) (ticket string, expires time.Time, err error)
}

const (
	eventsPath    = prefix + "/events"
	eventsPattern = http.MethodGet + " " + eventsPath
	eventStream   = "text/event-stream"
	lastEventID   = "Last-Event-ID"
	ticket        = "ticket" // the scheme's name in the API's description, and the parameter's
)

type ticketBody struct {
	Ticket    string    `json:"ticket" doc:"For ?ticket= of GET /api/v1/events, once."`
	ExpiresAt time.Time `json:"expiresAt" doc:"Until when it may be used. The stream that it opens lasts as long as the token would."`
}

func (s *server) events(api huma.API) {
	tags := []string{"Feed"}
	api.OpenAPI().Components.SecuritySchemes[ticket] = &huma.SecurityScheme{
		Type: "apiKey", In: "query", Name: ticket,
		Description: "From POST " + eventsPath + "/ticket: good for one stream, within 30 s, on any node.",
	}
	s.mux.HandleFunc(eventsPattern, s.serveEvents)
	api.OpenAPI().AddOperation(describedEvents(api, tags))
	register(s, api, huma.Operation{
		OperationID: "issue-event-ticket", Method: http.MethodPost, Path: eventsPath + "/ticket", Tags: tags,
		Summary: "A ticket that opens one stream of events", DefaultStatus: http.StatusCreated,
		Description: "For an EventSource, which can send no header: its address ends up in logs, where a ticket that was used or is older " +
			"than 30 s is worth nothing. Each answer has another ticket; an Idempotency-Key changes nothing about that.",
	}, anyRole, func(ctx context.Context, c *call, _ *struct{}) (*struct{ Body ticketBody }, error) {
		issued, expires, err := s.cfg.Tickets.Issue(ctx, c.user())
		if err != nil {
			return nil, err
		}
		return &struct{ Body ticketBody }{ticketBody{Ticket: issued, ExpiresAt: expires}}, nil
	})
}

func describedEvents(api huma.API, tags []string) *huma.Operation {
	text, seq := &huma.Schema{Type: huma.TypeString}, &huma.Schema{Type: huma.TypeInteger, Format: "int64", Minimum: new(float64)}
	return &huma.Operation{
		OperationID: "listen-to-events", Method: http.MethodGet, Path: eventsPath, Tags: tags,
		Summary: "A stream of the caller's own notifications, as server-sent events",
		Description: "What happens on the caller's channels, as it happens, and before that everything after the last seq the client was told of. " +
			"id: is the seq, event: the name, data: the notification's data with seq. Beside what happens there are registered, caught_up, " +
			"checkpoint, resync, left, reconnect and error, as over the WebSocket. All of it is in docs/sse.md.\n\n" +
			"What passes by itself, which is 429 and 503, is answered to a request with Accept: " + eventStream + ", as an EventSource sends it, by " +
			"a stream of a retry: and an event error, and nothing else: an EventSource comes back after that, and after any other status never.\n\n" +
			oneValueEach + " Only room may be given several times.",
		Security: []map[string][]string{{bearer: {}}, {ticket: {}}},
		Parameters: []*huma.Param{
			{Name: lastEventID, In: "header", Schema: seq, Description: "The last id the client was told of, as an EventSource sends it when it comes back. It counts before lastSeq."},
			{Name: "lastSeq", In: "query", Schema: seq, Description: "The last seq the client was told of; 0 for all that is held. Without it the stream is live from now on."},
			{Name: "log", In: "query", Schema: &huma.Schema{Type: huma.TypeString, Format: "uuid"}, Description: "The log that the seq is of, as registered named it."},
			{
				Name: "room", In: "query", Schema: &huma.Schema{Type: huma.TypeArray, Items: text},
				Description: "A room to be in: order:ID or delivery:AGENT. Those that may not be joined are in refused of registered.",
			},
			{Name: ticket, In: "query", Schema: text, Description: "Instead of a token."},
		},
		Responses: describeRefusals(api, map[string]*huma.Response{
			"200": {Description: "The stream.", Content: map[string]*huma.MediaType{eventStream: {Schema: text}}},
			"401": {Description: "unauthenticated, token_expired: no token or ticket that counts. An EventSource is over then: get a ticket, and make another."},
			"503": {Description: "overloaded: the node serves as many streams as it does at a time. unavailable."},
		}),
	}
}

// serveEvents has the time limit of requests lifted by ServeHTTP.
func (s *server) serveEvents(w http.ResponseWriter, r *http.Request) {
	c := callOf(r.Context())
	if err := s.cfg.Events.Serve(w, r, c.identity, c.remoteAddr); err != nil {
		s.refuse(w, r, err)
	}
}

// comesBack says that a refusal is one that passes, of a request by what gives up at any status but 200: so the HTML
// Living Standard has it for an EventSource (section 9.2.3), which asks for a stream by its Accept header.
func comesBack(r *http.Request, p *Problem) bool {
	return r.Method == http.MethodGet && r.URL.Path == eventsPath &&
		(p.Status == http.StatusServiceUnavailable || p.Status == http.StatusTooManyRequests) &&
		mediaRanges(r.Header.Values("Accept"))[eventStream] > 0
}

// retrySpread is the time over which clients come back that were refused at once.
const retrySpread = 5 * time.Second

// writeStream writes a refusal as a stream that ends at once, and to which the client comes back.
func (p *Problem) writeStream(w http.ResponseWriter) {
	var after int
	_, _ = fmt.Sscan(p.headers.Get("Retry-After"), &after) // 0 when it is not there
	wait := time.Duration(after)*time.Second + rand.N(retrySpread)
	data, err := json.Marshal(struct {
		Code    domain.Code `json:"code"`
		Message string      `json:"message"`
	}{p.Code, p.Detail})
	if err != nil {
		panic(err) // two texts can be encoded
	}
	w.Header().Set("Content-Type", eventStream)
	w.Header().Set("Cache-Control", "no-store, no-transform")
	w.WriteHeader(http.StatusOK)
	_, _ = fmt.Fprintf(w, "retry: %d\nevent: error\ndata: %s\n\n", wait.Milliseconds(), data) // a client that is gone cannot be told
}

// NotYet answers a request, of whatever path, in the place of a node that is not there yet, as the node would that is
// there and can't answer: 503 unavailable, or a stream for who gives up at that, which scripts of origins can read.
func NotYet(w http.ResponseWriter, r *http.Request, origins []string, detail string) {
	if (&server{cfg: Config{Origins: origins}}).cors(w, r) {
		return
	}
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	p := problem(domain.CodeUnavailable, detail)
	if comesBack(r, p) {
		p.writeStream(w)
		return
	}
	p.write(w)
}

// noEvents stands for streams that are not there.
type noEvents struct{}

func errNoEvents() error {
	return problem(domain.CodeUnavailable, "this node has no streams of events: ask one that was started as app serve")
}

func (noEvents) Serve(http.ResponseWriter, *http.Request, *auth.Identity, string) error {
	return errNoEvents()
}

func (noEvents) Issue(context.Context, auth.Identity) (string, time.Time, error) {
	return "", time.Time{}, errNoEvents()
}
