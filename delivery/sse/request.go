package sse

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
)

// lastEventID is the header by which a client says where its stream was cut (section 9.2.4 of the standard).
const lastEventID = "Last-Event-ID"

// asked is what a client wants of a stream.
type asked struct {
	start  session.Start
	ticket string // empty: none
}

// The parameters of the query.
const (
	paramLastSeq = "lastSeq"
	paramLog     = "log"
	paramRoom    = "room"
	paramTicket  = "ticket"
)

// parse reads a request. A parameter that is misspelled, empty or given twice is refused: passed over, it would be a
// stream that begins somewhere else, or lacks a room, and nobody would know. Errors are a *domain.Error invalid_request.
func parse(r *http.Request, maxRooms int) (asked, error) {
	var a asked
	if r.ContentLength != 0 { // it would stand between this side and the news that the client left
		return a, domain.Invalid("body", "must not be there: a stream is asked for by its address and headers alone")
	}
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return a, domain.Errorf(domain.CodeInvalidRequest,
			"the query must be NAME=VALUE with & between: write a %% as %%25 and a ; as %%3B").WithCause(err)
	}
	if err := checkNames(query); err != nil {
		return a, err
	}
	a.ticket = query.Get(paramTicket)
	if a.start.LastSeq, err = parseSeq(paramLastSeq, query.Get(paramLastSeq)); err != nil {
		return a, err
	}
	// The address of an EventSource stays what it was, so where it was cut last counts, and not where it began once.
	values := r.Header.Values(lastEventID)
	if len(values) > 1 {
		return a, domain.Invalid(lastEventID, "must be given once")
	}
	if len(values) == 1 && values[0] != "" { // which is the id of a client that was told none
		if a.start.LastSeq, err = parseSeq(lastEventID, values[0]); err != nil {
			return a, err
		}
	}
	a.start.Log = query.Get(paramLog)
	if _, err := uuid.Parse(a.start.Log); a.start.Log != "" && (err != nil || len(a.start.Log) != 36) {
		return a, domain.Invalid(paramLog, "must be the UUID that registered told as log")
	}
	a.start.Rooms = query[paramRoom]
	return a, checkRooms(a.start.Rooms, maxRooms)
}

func checkNames(query url.Values) error {
	for _, name := range slices.Sorted(maps.Keys(query)) {
		values := query[name]
		switch {
		case name == "token" || name == "access_token":
			return domain.Invalid(name, "must not be in an address, which ends up in logs: "+
				"send Authorization: Bearer TOKEN, or get a ticket by POST /api/v1/events/ticket")
		case name != paramLastSeq && name != paramLog && name != paramRoom && name != paramTicket:
			return domain.Errorf(domain.CodeInvalidRequest,
				"there is no parameter %.50q: leave it out, or see /docs for how it is called", name)
		case slices.Contains(values, ""):
			return domain.Invalid(name, "must not be empty: give it a value, or leave it out")
		case len(values) > 1 && name != paramRoom:
			return domain.Invalid(name, "must be given once")
		}
	}
	return nil
}

// parseSeq reads a seq in decimal digits; an empty one is none.
func parseSeq(field, text string) (*int64, error) {
	if text == "" {
		return nil, nil //nolint:nilnil // none is no error
	}
	seq, err := strconv.ParseInt(text, 10, 64)
	if err != nil || strings.Trim(text, "0123456789") != "" {
		return nil, domain.Invalid(field, "must be a seq: a whole number of 64 bits, in digits")
	}
	return &seq, nil
}

func checkRooms(rooms []string, most int) error {
	if len(rooms) > most {
		return domain.Invalid(paramRoom, "must be given at most %d times", most)
	}
	for _, name := range rooms {
		if !isRoom(name) {
			return domain.Invalid(paramRoom, "must be order:ID or delivery:AGENT, with the order's UUID or the agent's user id")
		}
	}
	return nil
}

func isRoom(name string) bool {
	if agent, ok := strings.CutPrefix(name, "delivery:"); ok {
		return domain.CheckLine(paramRoom, agent, 1, domain.MaxUserID) == nil
	}
	order, ok := strings.CutPrefix(name, "order:")
	return ok && uuid.Validate(order) == nil
}
