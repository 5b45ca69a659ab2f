package crowd

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/orderlog/orderlog/faults/history"
)

// sseLink is a stream of server-sent events.
type sseLink struct {
	d       *device
	body    io.ReadCloser
	lines   *bufio.Scanner
	end     context.CancelFunc
	silence *time.Timer
	lastID  string
}

// errNoSay says that a stream has one direction.
var errNoSay = errors.New("nothing can be said over a stream")

// dialSSE asks for the stream. Where it goes on is asked by header or by query, as its user's number has it.
func dialSSE(ctx context.Context, d *device, server string) (link, error) {
	d.mu.Lock()
	v := d.session
	query := url.Values{"room": v.rooms}
	if d.logID != "" {
		query.Set("log", d.logID)
	}
	lastID := ""
	if v.asked >= 0 {
		lastID = strconv.FormatInt(v.asked, 10)
	}
	d.mu.Unlock()
	if lastID != "" && !d.reads {
		query.Set("lastSeq", lastID)
	}
	if d.tickets {
		ticket, err := d.ticket(ctx)
		if err != nil {
			return nil, err
		}
		query.Set("ticket", ticket)
	}
	// The stream outlives the dialing.
	streaming, end := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, end)
	r, err := http.NewRequestWithContext(streaming, http.MethodGet, server+"/api/v1/events?"+query.Encode(), nil)
	if err != nil {
		panic(fmt.Sprintf("crowd: %v", err))
	}
	if !d.tickets {
		r.Header.Set("Authorization", "Bearer "+d.user.bearer(d.api.sign))
	}
	if lastID != "" && d.reads {
		r.Header.Set("Last-Event-ID", lastID)
	}
	response, err := d.api.client.Do(r)
	if !stop() && err == nil {
		err = ctx.Err()
		_ = response.Body.Close()
	}
	if err != nil {
		end()
		return nil, err
	}
	if response.StatusCode != http.StatusOK {
		defer end()
		defer func() { _ = response.Body.Close() }()
		return nil, d.refused(response, nil)
	}
	l := &sseLink{d: d, body: response.Body, lines: bufio.NewScanner(response.Body), end: end, lastID: lastID}
	l.lines.Buffer(make([]byte, 0, 2<<10), largest)
	l.lines.Split(wholeLines)
	l.silence = time.AfterFunc(silence, end)
	if kind, _, _ := mime.ParseMediaType(response.Header.Get("Content-Type")); kind != "text/event-stream" {
		defer l.close()
		d.mu.Lock()
		defer d.mu.Unlock()
		return nil, d.faulty("a stream of %q", response.Header.Get("Content-Type"))
	}
	return l, nil
}

// ticket asks the node for one.
func (d *device) ticket(ctx context.Context) (string, error) {
	a := d.api.do(ctx, d.nodeOf(), ask{method: http.MethodPost, path: "/events/ticket", user: d.user})
	var made struct{ Ticket string }
	switch {
	case a.status == 0:
		return "", errors.New("no answer to a ticket")
	case a.outcome() != history.Acknowledged:
		return "", &closedError{a.status, a.code}
	case json.Unmarshal(a.body, &made) != nil || made.Ticket == "":
		d.mu.Lock()
		defer d.mu.Unlock()
		return "", d.faulty("a ticket is %q", a.body)
	}
	return made.Ticket, nil
}

func (l *sseLink) say(string, any, int64) error { return errNoSay }

func (l *sseLink) close() {
	l.silence.Stop()
	l.end()
	_ = l.body.Close()
}

// block is one event of a stream as it is on the wire.
type block struct {
	event, data, id string
	hasID           bool
	size            int
}

// read takes in the lines up to the next event that is dispatched. What is not ended by an empty line is none.
func (l *sseLink) read() error {
	var b block
	for {
		more := l.lines.Scan()
		l.silence.Reset(silence)
		l.d.mu.Lock()
		over, err := true, l.ended()
		if more {
			over, err = l.line(&b, l.lines.Text())
		}
		l.d.mu.Unlock()
		if err != nil || over {
			return err
		}
	}
}

// wholeLines splits as bufio.ScanLines does, but for what a connection that broke left of a line: that is none.
func wholeLines(data []byte, atEOF bool) (advance int, line []byte, err error) {
	if atEOF && !bytes.ContainsRune(data, '\n') {
		return len(data), nil, nil
	}
	return bufio.ScanLines(data, atEOF)
}

// ended is why there are no more lines. mu is held.
func (l *sseLink) ended() error {
	switch err := l.lines.Err(); {
	case errors.Is(err, bufio.ErrTooLong):
		return l.d.faulty("a line of more than %d bytes", largest)
	case err != nil:
		return err
	}
	return io.EOF
}

// line takes in a line. mu is held.
func (l *sseLink) line(b *block, line string) (over bool, err error) {
	if b.size += len(line); b.size > largest {
		return true, l.d.faulty("an event of more than %d bytes", largest)
	}
	field, value, _ := strings.Cut(line, ":")
	value = strings.TrimPrefix(value, " ")
	switch {
	case line == "":
		if b.hasID {
			l.lastID = b.id
		}
		if b.event == "" && b.data == "" {
			*b = block{}
			return false, nil
		}
		return true, l.dispatch(*b)
	case field == "": // a comment
	case field == "id":
		b.id, b.hasID = value, true
	case field == "event":
		b.event = value
	case field == "data" && b.data == "":
		b.data = value
	case field == "retry":
		ms, err := strconv.Atoi(value)
		if err != nil || ms < 1 || ms > 60_000 {
			return true, l.d.faulty("come back after %q", value)
		}
		l.d.wait = min(time.Duration(ms)*time.Millisecond, longestWait)
	default:
		return true, l.d.faulty("a line that an EventSource does not know: %q", line)
	}
	return false, nil
}

// dispatch takes in an event, and holds its id to what it tells of. mu is held.
func (l *sseLink) dispatch(b block) error {
	var at struct {
		Seq  *int64 `json:"seq"`
		Code string `json:"code"`
	}
	if err := json.Unmarshal([]byte(b.data), &at); err != nil {
		return l.d.faulty("%q has data that is no object: %q", b.event, b.data)
	}
	v := l.d.session
	switch b.event {
	case "registered":
		if b.hasID == (v.asked >= 0) {
			return l.d.faulty("the start has an id exactly if the client brought no cursor: %+v", b)
		}
	case "left", "error", "reconnect":
		if b.hasID {
			return l.d.faulty("%s has an id: %+v", b.event, b)
		}
		at.Seq = nil
	default:
		if at.Seq == nil || !b.hasID {
			return l.d.faulty("%q has no seq or no id: %+v", b.event, b)
		}
	}
	if b.hasID && (at.Seq == nil || b.id != strconv.FormatInt(*at.Seq, 10)) {
		return l.d.faulty("the id is not the seq: %+v", b)
	}
	data := json.RawMessage(b.data)
	switch {
	case b.event == "registered":
		return l.d.registered(data)
	case b.event == "error" && !slices.Contains([]string{"unavailable", "overloaded", "rate_limited", "token_expired"}, at.Code):
		return l.d.faulty("the stream ends because of %s", b.data)
	case b.event == "error":
		return &closedError{0, at.Code}
	case eventNames[b.event]:
		rest, err := withoutSeq(data)
		if err != nil {
			return l.d.faulty("%s: %v: %s", b.event, err, data)
		}
		return l.d.event(-1, *at.Seq, b.event, rest, false)
	}
	return l.d.says(b.event, data)
}

// withoutSeq is the data of an event as the log has it: transports without an envelope put the seq inside.
func withoutSeq(data json.RawMessage) (json.RawMessage, error) {
	var members map[string]json.RawMessage
	if err := json.Unmarshal(data, &members); err != nil {
		return nil, err
	}
	delete(members, "seq")
	return json.Marshal(members)
}
