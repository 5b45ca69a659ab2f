package socketio

import (
	"encoding/json"
	"errors"
	"strings"

	"github.com/orderlog/orderlog/delivery/session"
	"github.com/orderlog/orderlog/domain"
)

// credentials are what a client says when it connects to a namespace: the payload of its CONNECT packet, which is the
// option `auth` of socket.io-client, with the pid and the offset that the client adds by itself.
type credentials struct {
	token   string // may begin with "Bearer "; "": none
	lastSeq *int64
	log     string // that lastSeq is of; "": unknown
	rooms   []string
	pid     string
	offset  string
}

// decodeCredentials reads them. Members that are null are taken as not given, and those that are not known are passed
// over: applications keep things of their own there. Errors are a *domain.Error invalid_request.
func decodeCredentials(raw json.RawMessage) (credentials, error) {
	var d struct {
		Token       *string         `json:"token"`
		LastSeq     *int64          `json:"lastSeq"`
		Log         *string         `json:"log"`
		Rooms       []string        `json:"rooms"`
		PID, Offset json.RawMessage // are not the application's to get right
	}
	if len(raw) > 0 && string(raw) != "null" {
		if err := json.Unmarshal(raw, &d); err != nil {
			return credentials{}, notCredentials(err)
		}
	}
	c := credentials{lastSeq: d.LastSeq, rooms: d.Rooms, pid: text(d.PID), offset: text(d.Offset)}
	if d.Token != nil && isToken(*d.Token) {
		c.token = *d.Token
	}
	if d.Log != nil {
		c.log = *d.Log
	}
	if c.lastSeq != nil && *c.lastSeq < 0 {
		return credentials{}, domain.Invalid("auth.lastSeq", "must not be negative")
	}
	return c, nil
}

// isToken says that a client gives a token, be it a bad one. It does not when it had none to put behind "Bearer": what
// stands there then is nothing, or JavaScript's null or undefined as text.
func isToken(s string) bool {
	words := strings.Fields(s)
	if len(words) > 0 && strings.EqualFold(words[0], "bearer") {
		words = words[1:]
	}
	return len(words) > 0 && (len(words) > 1 || (words[0] != "null" && words[0] != "undefined"))
}

func notCredentials(err error) error {
	var odd *json.UnmarshalTypeError
	if !errors.As(err, &odd) || odd.Field == "" {
		return domain.Invalid("auth", "must be an object {token?, lastSeq?, log?, rooms?}").WithCause(err)
	}
	member, _, _ := strings.Cut(odd.Field, ".")
	want := "text"
	switch strings.ToLower(member) {
	case "lastseq":
		member, want = "lastSeq", "an integer"
	case "rooms":
		want = "a list of text, such as [\"order:ID\"]"
	}
	return domain.Invalid("auth."+member, "must be %s", want).WithCause(err)
}

// text is a JSON string, or a number as it is written; of anything else something that is no pid and no offset.
func text(raw json.RawMessage) string {
	var s string
	switch {
	case len(raw) == 0 || string(raw) == "null":
		return ""
	case json.Unmarshal(raw, &s) == nil:
		return s
	}
	return string(raw)
}

// plan is how a connection is to begin.
type plan struct {
	start session.Start
	// pid is the one that the client keeps when the session goes on where it says; nil: it gets a new one.
	pid *pid
	// skipFirst is the seq whose first packet of the pair the client has already; 0: none.
	skipFirst int64
	// held is the offset that the client has now, of whatever stream.
	held offset
}

// planFor says how to begin for a user: after the later of what the client was told last, by its pid and offset, and of
// the lastSeq that the application gives.
//
// An application may give the same lastSeq for ever, since `auth` often is a constant. One that the pid's stream began
// with already says nothing new, and is passed over.
//
// A pid or an offset that cannot be read is of another server, most likely of the system before this one on the day its
// clients come over. What they were told last is not known, so they are told to read the state anew.
func planFor(c credentials, who digest) plan {
	held, readable := parseOffset(c.offset)
	if !readable {
		held = noOffset
	}
	anew := plan{start: session.Start{LastSeq: c.lastSeq, Log: c.log, Rooms: c.rooms}, held: held}
	p, ok := parsePID(c.pid)
	switch {
	case c.pid == "" || (ok && p.who != who): // another user was told nothing
		return anew
	case !ok || (c.offset != "" && !readable):
		anew.start.Foreign = true // unless it has a LastSeq
		return anew
	}
	at := offset{seq: p.start}
	if readable && p.told(held) && held.after(at) {
		at = held
	}
	if c.lastSeq != nil && givenOf(c.lastSeq, c.log) != p.given {
		if c.log != "" && !strings.EqualFold(c.log, p.log.String()) { // the application knows better
			return anew
		}
		// Who takes its lastSeq from the first packet of a pair has not got the second, as the offset says.
		if given := (offset{seq: min(*c.lastSeq, maxSeq)}); given.after(at) && (!at.first || given.seq != at.seq) {
			at = given
		}
	}
	cursor, skipFirst := at.resume()
	return plan{
		start: session.Start{LastSeq: &cursor, Log: p.log.String(), Rooms: c.rooms},
		pid:   &p, skipFirst: skipFirst, held: held,
	}
}
