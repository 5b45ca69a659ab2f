package commands_test

import (
	"testing"

	"github.com/google/uuid"

	"github.com/orderlog/orderlog/commands"
	"github.com/orderlog/orderlog/domain"
	"github.com/orderlog/orderlog/domain/inbox"
)

func TestAnAdminWritesIntoAnInboxAndItsUserReads(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	out, err := s.Notify(t.Context(), by(admin), commands.Notify{UserID: "c1", Title: "Hello", Message: "We moved", Type: "news"})
	if err != nil {
		t.Fatal(err)
	}
	id := out.Value.ID
	wantShown(s, inbox.Entry{}, inbox.StreamType, id, out)
	if n := out.Value; n.UserID != "c1" || n.Title != "Hello" || n.Message != "We moved" || n.Type != "news" || n.Read || n.OrderID != nil {
		t.Errorf("entered %+v", n)
	}
	_, err = s.Notify(t.Context(), by(admin), commands.Notify{UserID: "c1", Title: "Hello", Message: "We moved", Type: "No!"})
	wantCode(t, err, domain.CodeInvalidRequest)

	read := func(a commands.Actor, id uuid.UUID) (commands.Outcome[inbox.Entry], error) {
		return s.ReadNotification(t.Context(), by(a), commands.ReadNotification{ID: id})
	}
	for _, a := range []commands.Actor{stranger, admin, raj} {
		_, err = read(a, id)
		wantCode(t, err, domain.CodeForbidden)
	}
	_, err = read(customer, uuid.New())
	wantCode(t, err, domain.CodeNotFound)
	done, err := read(customer, id)
	if err != nil || !done.Value.Read {
		t.Fatalf("read %+v, %v", done, err)
	}
	wantShown(s, inbox.Entry{}, inbox.StreamType, id, done)
	events := len(s.store.Events())
	if again, err := read(customer, id); err != nil || again.Seq != done.Seq || s.types(events) != "" {
		t.Errorf("read again: %+v, %v", again, err)
	}
}

func TestReadingAllIsOneEventOfTheUser(t *testing.T) {
	t.Parallel()
	s := newShop(t)
	for i := range 3 {
		before := len(s.store.Events())
		out, err := s.ReadAllNotifications(t.Context(), by(customer))
		if err != nil || out.Value.Unread != 0 || out.Seq != int64(before)+1 {
			t.Errorf("read all, %d: %+v, %v", i, out, err)
		}
		last := s.store.Events()[before]
		if last.Type != "inbox.all_read" || last.Stream.ID != inbox.ReaderID("c1") || last.Version != int64(i)+1 {
			t.Errorf("read all, %d: event %+v", i, last)
		}
	}
	_, err := s.ReadAllNotifications(t.Context(), by(commands.Actor{Role: domain.RoleCustomer}))
	wantCode(t, err, domain.CodeUnauthenticated)
}
