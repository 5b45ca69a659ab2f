package commands

import (
	"context"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
	"github.com/orderlog/orderlog/eventstore"
)

// Notify asks to put an entry into a user's inbox.
type Notify struct {
	UserID  string
	Title   string
	Message string
	Type    string
}

// ReadNotification says that the actor read an entry.
type ReadNotification struct {
	ID uuid.UUID
}

// AllRead is the answer to ReadAllNotifications.
type AllRead struct {
	Unread int64 `json:"unread"` // how many entries are left, as of the answer's seq
}

// Apply returns the answer as it is.
func (a AllRead) Apply(domain.Event, time.Time) AllRead { return a }

// Stamp returns the answer as it is.
func (a AllRead) Stamp(time.Time) AllRead { return a }

// Notify puts an entry into a user's inbox, whether or not there is such a user. Admins may.
func (s *Service) Notify(ctx context.Context, req Request, cmd Notify) (Outcome[inbox.Entry], error) {
	id, err := uuid.NewV7()
	if err != nil {
		return Outcome[inbox.Entry]{}, fmt.Errorf("make an entry's id: %w", err)
	}
	entered := inbox.Entered{ID: id, UserID: cmd.UserID, Title: cmd.Title, Message: cmd.Message, Type: cmd.Type}
	c := command{name: "notify a user", roles: []domain.Role{domain.RoleAdmin}, asked: cmd}
	return execute(ctx, s, req, c, func(context.Context) (change[inbox.Entry], error) {
		none := loaded[inbox.Entry]{stream: entryStream(id)}
		events, err := none.state.Enter(entered)
		if err != nil {
			return change[inbox.Entry]{}, err
		}
		return decided(none, events)
	})
}

// ReadNotification says that the actor read an entry of its own inbox; doing so again changes nothing.
func (s *Service) ReadNotification(ctx context.Context, req Request, cmd ReadNotification) (Outcome[inbox.Entry], error) {
	return execute(ctx, s, req, readInbox(cmd), onStream(s, entryStream(cmd.ID), inbox.Entry{},
		func(n inbox.Entry) ([]domain.Event, error) { return n.MarkRead(req.Actor.UserID) }))
}

// ReadAllNotifications says that the actor read all that is in its inbox.
func (s *Service) ReadAllNotifications(ctx context.Context, req Request) (Outcome[AllRead], error) {
	id := req.Actor.UserID
	// It depends on nothing that it would have to read: what counts is where it stands in the log.
	reader := loaded[AllRead]{
		stream:  eventstore.StreamID{Type: inbox.ReaderStreamType, ID: inbox.ReaderID(id)},
		version: eventstore.AnyVersion,
	}
	return execute(ctx, s, req, readInbox(AllRead{}), func(context.Context) (change[AllRead], error) {
		return decided(reader, []domain.Event{inbox.AllRead{UserID: id}})
	})
}

func readInbox(cmd any) command {
	return command{
		name: "read notifications", asked: cmd,
		roles: []domain.Role{domain.RoleCustomer, domain.RoleAdmin, domain.RoleDelivery},
	}
}

func entryStream(id uuid.UUID) eventstore.StreamID {
	return eventstore.StreamID{Type: inbox.StreamType, ID: id}
}
