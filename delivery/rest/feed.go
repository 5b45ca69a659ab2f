package rest

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/google/uuid"

	"github.com/orderlog/orderlog/delivery"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/internal/auth"
	"github.com/orderlog/orderlog/projections"
)

// frame is a notification as the sockets send it.
type frame struct {
	Prev  int64           `json:"prev" doc:"The seq of the item before; of the first item, lastSeq."`
	Seq   int64           `json:"seq"`
	Event string          `json:"event"`
	Data  json.RawMessage `json:"data"`
	At    time.Time       `json:"at"`
}

type feedInput struct {
	MinSeq
	LastSeq int64  `query:"lastSeq" minimum:"0" default:"0" doc:"The last seq the client has; 0 for all that is held."`
	Cursor  int64  `query:"cursor" minimum:"0" doc:"next of the page before, as of any list: the same as lastSeq. The greater of both counts."`
	Log     string `query:"log" format:"uuid" doc:"The log lastSeq comes from, as an earlier answer named it."`
	Limit   int    `query:"limit" minimum:"1" maximum:"200" default:"50" doc:"The most items to answer."`
}

type feedBody struct {
	Items []frame   `json:"items" nullable:"false"`
	Next  *string   `json:"next" doc:"lastSeq, or cursor, of the next page, when there is one already; else null."`
	Seq   int64     `json:"seq" doc:"As X-Seq: nothing is missing up to here. The lastSeq to go on from."`
	Log   uuid.UUID `json:"log" format:"uuid" doc:"The id of the log the seqs belong to."`
}

func (s *server) feed(api huma.API) {
	register(s, api, huma.Operation{
		OperationID: "read-feed", Method: http.MethodGet, Path: prefix + "/feed", Tags: []string{"Feed"},
		Summary: "A page of the caller's own notifications",
		Description: "The notifications after lastSeq of the channels every connection of the caller is in (all, its role's, its own), " +
			"in order of seq, as the same objects as over the sockets.\n\nWhen lastSeq cannot be continued from, the answer is 410 and its " +
			"member seq is the feed's position: read what you show anew and go on from there.",
		Responses: map[string]*huma.Response{"410": {Description: "cursor_expired: older than what is held. cursor_ahead: the log " +
			"does not reach that far, as after a restore. cursor_of_another_log: log is not this log's id."}},
	}, anyRole, func(ctx context.Context, c *call, in *feedInput) (*read[feedBody], error) {
		in.LastSeq = max(in.LastSeq, in.Cursor)
		if err := s.wait(ctx, in.MinSeq, s.waitForFeed); err != nil {
			return nil, err
		}
		return s.readFeed(ctx, c.user(), in)
	})
}

// ownChannels are those every connection of a user is in.
func ownChannels(id auth.Identity) []string {
	return []string{"all", "role:" + string(id.Role), "user:" + id.UserID}
}

func (s *server) readFeed(ctx context.Context, id auth.Identity, in *feedInput) (*read[feedBody], error) {
	bounds, err := s.cfg.Feed.Bounds(ctx)
	if err != nil {
		return nil, err
	}
	if in.Log != "" {
		if log, err := uuid.Parse(in.Log); err != nil || log != bounds.LogID {
			return nil, staleCursor(delivery.CodeCursorOfAnotherLog, "lastSeq comes from another log", bounds)
		}
	}
	// Against the head, not the feed's position: a client may know of an event from the answer to its own command
	// before the feed has come to it.
	if in.LastSeq > bounds.Head {
		return nil, staleCursor(delivery.CodeCursorAhead, "the log does not reach lastSeq", bounds)
	}
	found, err := s.readChannels(ctx, ownChannels(id), in, &bounds)
	if errors.Is(err, projections.ErrExpired) {
		return nil, staleCursor(delivery.CodeCursorExpired, "what came after lastSeq is no longer held", bounds)
	}
	if err != nil {
		return nil, err
	}
	// A feed that is behind lastSeq must not send the client back.
	seq := max(found.Position, in.LastSeq)
	body := feedBody{Items: make([]frame, len(found.Items)), Seq: seq, Log: bounds.LogID}
	prev := in.LastSeq
	for i, n := range found.Items {
		body.Items[i] = frame{Prev: prev, Seq: n.Seq, Event: n.Event, Data: n.Data, At: n.At.UTC()}
		if len(n.Data) == 0 {
			body.Items[i].Data = json.RawMessage("{}")
		}
		prev = n.Seq
	}
	if found.More {
		next := strconv.FormatInt(seq, 10)
		body.Next = &next
	}
	return &read[feedBody]{Seq: seq, Body: body}, nil
}

// readChannels reads the page after lastSeq; of lastSeq 0, which never expires, the page after what is no longer held.
// That edge may move between asking for it and reading, so it is asked for once more.
func (s *server) readChannels(ctx context.Context, channels []string, in *feedInput, bounds *projections.Bounds) (projections.Page, error) {
	if in.LastSeq > 0 {
		return s.cfg.Feed.ReadChannels(ctx, channels, in.LastSeq, in.Limit)
	}
	found, err := s.cfg.Feed.ReadChannels(ctx, channels, bounds.Floor, in.Limit)
	if !errors.Is(err, projections.ErrExpired) {
		return found, err
	}
	if *bounds, err = s.cfg.Feed.Bounds(ctx); err != nil {
		return projections.Page{}, err
	}
	return s.cfg.Feed.ReadChannels(ctx, channels, bounds.Floor, in.Limit)
}

func staleCursor(code domain.Code, why string, bounds projections.Bounds) *Problem {
	return problem(code, why+": read the state anew and go on from seq").
		with("seq", bounds.Position).with("log", bounds.LogID.String())
}

// waitForFeed asks for the feed's position again and again: there is no hint to wait for here, and min_seq is rare.
func (s *server) waitForFeed(ctx context.Context, seq int64) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		bounds, err := s.cfg.Feed.Bounds(ctx)
		if err != nil || bounds.Position >= seq {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
}
