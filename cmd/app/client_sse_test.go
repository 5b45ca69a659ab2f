package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"
)

// overSSE keeps its cursor as an EventSource does: the last `id:` that it was sent, which goes back as Last-Event-ID. Its
// address never changes.
type overSSE struct {
	lastID string
}

type sseLink struct {
	d         *overSSE
	c         *client
	body      io.ReadCloser
	lines     *bufio.Reader
	end       context.CancelFunc
	returning bool
}

func (d *overSSE) claim(seq int64) { d.lastID = strconv.FormatInt(seq, 10) }

func (d *overSSE) connect(ctx context.Context, server string, c *client) (link, error) {
	query := url.Values{"room": c.rooms}
	if !c.live {
		query.Set("lastSeq", "0")
	}
	if c.log != "" {
		query.Set("log", c.log)
	}
	ctx, cancel := context.WithCancel(ctx)
	request, err := http.NewRequestWithContext(ctx, "GET", server+"/api/v1/events?"+query.Encode(), nil)
	if err != nil {
		cancel()
		return nil, err
	}
	request.Header.Set("Accept", "text/event-stream")
	request.Header.Set("Authorization", "Bearer "+c.token)
	if d.lastID != "" {
		request.Header.Set("Last-Event-ID", d.lastID)
	}
	opening := time.AfterFunc(patience, cancel)
	defer opening.Stop()
	response, err := transport.RoundTrip(request)
	if err != nil {
		cancel()
		return nil, err
	}
	if kind, _, _ := strings.Cut(response.Header.Get("Content-Type"), ";"); response.StatusCode != 200 || kind != "text/event-stream" {
		defer cancel()
		defer func() { _ = response.Body.Close() }()
		var problem struct{ Code string }
		_ = json.NewDecoder(response.Body).Decode(&problem)
		return nil, &deniedError{response.StatusCode, problem.Code}
	}
	return &sseLink{
		d: d, c: c, body: response.Body, lines: bufio.NewReader(response.Body), end: cancel,
		returning: d.lastID != "" || !c.live,
	}, nil
}

func (l *sseLink) cut() {
	l.end()
	_ = l.body.Close()
}

// next reads up to the next event that is dispatched. What is not ended by an empty line is none.
func (l *sseLink) next(ctx context.Context) (heard, error) {
	defer context.AfterFunc(ctx, l.cut)()
	silence := time.AfterFunc(patience, l.cut)
	defer silence.Stop()
	var event, data string
	id, given := l.d.lastID, false
	for {
		line, err := l.lines.ReadString('\n')
		if err != nil {
			return heard{}, err
		}
		line = strings.TrimRight(line, "\r\n")
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case line == "":
			l.d.lastID = id
			if data == "" {
				continue
			}
			return l.dispatch(event, strings.TrimSuffix(data, "\n"), given)
		case field == "id":
			id, given = value, true
		case field == "event":
			event = value
		case field == "data":
			data += value + "\n"
		case field == "retry":
			if ms, err := strconv.Atoi(value); err != nil || ms < 1 || ms > 60_000 {
				return heard{}, faultError("come back after " + value)
			}
		case field != "":
			return heard{}, faultError("an EventSource does not know " + line)
		}
	}
}

// dispatch takes an event, and holds its id to what it tells of.
func (l *sseLink) dispatch(event, text string, given bool) (heard, error) {
	f := heard{event: event, data: json.RawMessage(text)}
	var err error
	var position struct {
		Seq       int64
		Recovered bool
	}
	switch event {
	case registered:
		if err = json.Unmarshal(f.data, &position); err == nil && given == l.returning {
			err = errors.New("the start has an id exactly if the client brought no cursor")
		}
		if given && l.d.lastID != strconv.FormatInt(position.Seq, 10) {
			err = errors.New("the id is not where it begins")
		}
		f.lost = l.returning && !position.Recovered
	case "left", "error", "reconnect":
		if given {
			err = errors.New("it has an id")
		}
	case "caught_up", "checkpoint", "resync":
		err = json.Unmarshal(f.data, &position)
		f.seq = position.Seq
	default:
		f.logged = true
		f.seq, f.data, err = sequenced(f.data)
	}
	if f.seq > 0 && (!given || l.d.lastID != strconv.FormatInt(f.seq, 10)) {
		err = fmt.Errorf("the id of %d is %q", f.seq, l.d.lastID)
	}
	if err != nil {
		return f, faultError(fmt.Sprintf("%s: %v: %s", event, err, text))
	}
	if event == "error" && strings.Contains(text, `"code":"unavailable"`) { // an EventSource comes back by itself after that
		return f, &deniedError{code: "unavailable"}
	}
	return f, l.c.asDescribed(f)
}
