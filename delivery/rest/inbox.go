package rest

import (
	"context"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/projections"
)

type inboxInput struct {
	MinSeq
	Paging
	Unread optional[bool] `query:"unread" doc:"true: only what is not read yet; false: only what is; absent: both."`
}

// inboxBody is a list's page with a count beside it.
type inboxBody struct {
	Items  []inbox.Entry `json:"items" nullable:"false"`
	Next   *string       `json:"next" doc:"The cursor of the next page; null on the last."`
	Unread int64         `json:"unread" doc:"How many entries of the whole inbox are not read yet."`
}

type notifyInput struct {
	Repeatable
	Body struct {
		UserID  string `json:"userId" minLength:"1" maxLength:"128" doc:"Whose inbox it goes to."`
		Title   string `json:"title" minLength:"1" maxLength:"200"`
		Message string `json:"message" minLength:"1" maxLength:"2000"`
		Type    string `json:"type" pattern:"^[a-z0-9_-]{1,50}$" patternDescription:"1 to 50 lower-case letters, digits, _ and -"`
	}
}

type readNotificationInput struct {
	ByID
	Repeatable
}

func (s *server) inbox(api huma.API) {
	tags := []string{"Notifications"}
	register(s, api, huma.Operation{
		OperationID: "list-notifications", Method: http.MethodGet, Path: prefix + "/notifications", Tags: tags,
		Summary: "The caller's inbox, newest first",
	}, anyRole, s.listNotifications)
	register(s, api, huma.Operation{
		OperationID: "notify", Method: http.MethodPost, Path: prefix + "/notifications", Tags: tags,
		Summary: "Put an entry into a user's inbox", DefaultStatus: http.StatusCreated,
		Description: "The user is told at once, or when they come back. What becomes of orders and payments is put there by itself.",
	}, admins, func(ctx context.Context, c *call, in *notifyInput) (*done[inbox.Entry], error) {
		return answerOf(s.cfg.Commands.Notify(ctx, c.request(), commands.Notify{
			UserID: in.Body.UserID, Title: in.Body.Title, Message: in.Body.Message, Type: in.Body.Type,
		}))
	})
	register(s, api, huma.Operation{
		OperationID: "read-notification", Method: http.MethodPatch, Path: prefix + "/notifications/{id}/read", Tags: tags,
		Summary:     "Mark an entry of the caller's as read",
		Description: "Doing it again changes nothing.",
	}, anyRole, func(ctx context.Context, c *call, in *readNotificationInput) (*done[inbox.Entry], error) {
		return answerOf(s.cfg.Commands.ReadNotification(ctx, c.request(), commands.ReadNotification{ID: in.ID}))
	})
	register(s, api, huma.Operation{
		OperationID: "read-all-notifications", Method: http.MethodPost, Path: prefix + "/notifications/read-all", Tags: tags,
		Summary:     "Mark all that is in the caller's inbox as read",
		Description: "What comes in later is not: unread in the answer is how many there are right after.",
	}, anyRole, func(ctx context.Context, c *call, _ *Repeatable) (*done[commands.AllRead], error) {
		return answerOf(s.cfg.Commands.ReadAllNotifications(ctx, c.request()))
	})
}

func (s *server) listNotifications(ctx context.Context, c *call, in *inboxInput) (*read[inboxBody], error) {
	if err := s.wait(ctx, in.MinSeq, s.cfg.Views.WaitFor); err != nil {
		return nil, err
	}
	found, err := s.cfg.Views.Inbox(ctx, projections.InboxQuery{
		UserID: c.user().UserID, Unread: in.Unread.pointer(), Limit: in.Limit, After: in.Cursor,
	})
	if err != nil {
		return nil, err
	}
	page := listOf(found.List)
	return &read[inboxBody]{Seq: page.Seq, Body: inboxBody{Items: page.Body.Items, Next: page.Body.Next, Unread: found.Unread}}, nil
}
